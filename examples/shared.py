"""What the examples share: a small network trained in seconds, and a card written beside it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rai.card import Column, Network
from rai.networks import build


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train."""

    hidden: tuple[int, ...]
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    seed: int = 0

    def seeded(self, seed: int) -> "Recipe":
        """The same recipe with another seed."""
        return replace(self, seed=seed)


def describe(frame: pd.DataFrame, fill: Mapping[str, str] | None = None) -> tuple[Column, ...]:
    """Describe each column for the card: numbers with mean and scale, texts with their categories."""
    return tuple(_column(frame[name], (fill or {}).get(str(name))) for name in frame)


def _column(values: pd.Series, fill: str | None) -> Column:
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values):
        return Column(name, "number", mean=float(values.mean()), scale=float(values.std()) or 1.0)
    return Column(name, "category", categories=tuple(sorted(set(values))), fill=fill)


def encode(frame: pd.DataFrame, columns: Sequence[Column]) -> torch.Tensor:
    """Turn raw columns into model inputs, shape (rows, inputs), as the card describes them."""
    parts = [_encoded(frame[each.name], each) for each in columns]
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)


def _encoded(values: pd.Series, column: Column) -> np.ndarray:
    if column.kind == "number":
        return np.asarray((values.to_numpy(dtype=np.float64) - column.mean) / column.scale)[:, None]
    texts, named = values.to_numpy(dtype=object), np.array(column.categories, dtype=object)
    return np.asarray(texts[:, None] == named[None, :], dtype=np.float64)


def train(inputs: torch.Tensor, labels: torch.Tensor, network: Network, recipe: Recipe) -> torch.nn.Module:
    """Fit one of rai's networks with AdamW on the binary cross-entropy of its single logit."""
    torch.manual_seed(recipe.seed)
    model = build(network)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    loss = torch.nn.BCEWithLogitsLoss()
    for _ in range(recipe.epochs):
        for rows in torch.split(torch.randperm(len(inputs)), recipe.batch):
            optimizer.zero_grad()
            loss(model(inputs[rows])[:, 0], labels[rows]).backward()
            optimizer.step()
    return model.eval()


@dataclass(frozen=True)
class Story:
    """Training and test rows, their target and positive class, and the card's text with {inputs} and {columns}."""

    training: pd.DataFrame
    test: pd.DataFrame
    target: str
    positive: str
    card: str
    kept_from_model: tuple[str, ...]
    fill: Mapping[str, str] = field(default_factory=dict)


def prepare(story: Story, recipe: Recipe, folder: Path) -> Path:
    """Train, and write model.pt, model.toml, train.csv and test.csv; return the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = describe(story.training.drop(columns=[*story.kept_from_model, story.target]), story.fill)
    inputs = encode(story.training, columns)
    network = Network("mlp", {"inputs": inputs.shape[1], "outputs": 1, "hidden": recipe.hidden})
    labels = torch.tensor((story.training[story.target] == story.positive).to_numpy(), dtype=torch.float32)
    torch.save(train(inputs, labels, network, recipe).state_dict(), folder / "model.pt")
    text = story.card.format(inputs=inputs.shape[1], columns=column_tables(columns))
    (folder / "model.toml").write_text(text, encoding="utf-8")
    story.training.to_csv(folder / "train.csv", index=False)
    story.test.to_csv(folder / "test.csv", index=False)
    return folder / "model.pt"


@dataclass(frozen=True)
class Filled:
    """A card's text with {network} and further words to fill in."""

    card: str
    network: Network
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The card as it is written to disk."""
        return self.card.format(network=network_table(self.network), **self.words)


def save(model: torch.nn.Module, folder: Path, card: Filled) -> Path:
    """Write model.pt (weights only) and model.toml; return the model's path."""
    torch.save(model.state_dict(), folder / "model.pt")
    (folder / "model.toml").write_text(card.text, encoding="utf-8")
    return folder / "model.pt"


def network_table(network: Network) -> str:
    """Write the [network] table of a card."""
    arguments = ", ".join(f"{key} = {_toml(value)}" for key, value in network.arguments.items())
    return f'[network]\nkind = "{network.kind}"\narguments = {{ {arguments} }}\n'


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def column_tables(columns: Sequence[Column]) -> str:
    """Write the [[columns]] tables of a card."""
    return "\n".join(_column_table(each) for each in columns)


def _column_table(column: Column) -> str:
    lines = ["[[columns]]", f"name = {json.dumps(column.name)}", f'kind = "{column.kind}"']
    if column.kind == "number":
        lines += [f"mean = {column.mean!r}", f"scale = {column.scale!r}"]
    else:
        lines += [f"categories = {json.dumps(column.categories)}"]
    if column.fill is not None:
        lines += [f"fill = {json.dumps(column.fill)}"]
    return "\n".join(lines) + "\n"


def train_by(recipe: Path) -> Path:
    """Run `rai train` as a user would and return the model's path; end here where training failed.

    The story begins anew each time: a model that is there goes, with its ledger, which would count this run to its own.
    """
    for name in ("model.pt", "ledger.json"):
        recipe.with_name(name).unlink(missing_ok=True)
    command = [sys.executable, "-m", "rai", "train", str(recipe)]
    print("$ rai train", *command[4:])
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own command line
    if code:
        raise SystemExit(code)
    return recipe.with_name("model.pt")


def audit(model: Path, out: Path, *more: str) -> int:
    """Run `rai audit` as a user would and return its exit code."""
    command = [sys.executable, "-m", "rai", "audit", str(model), "--out", str(out), *more]
    print("$ rai audit", *command[4:])
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own command line
