"""The networks that the explanation benchmarks explain, trained in-run from seeds, and what is compared with what.

Beside `benchmarks.explain`, further files `benchmarks/explain_*.py` take their networks, counted scores and timings
from here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer

from rai.subject import Floats, Player

Explainer = Callable[["Case", Floats], Floats]


@dataclass
class Case:
    """A network, rows to explain and one background row; `asked` counts the rows that its score was asked about."""

    name: str
    module: torch.nn.Module
    rows: Floats
    background: Floats
    asked: int = 0

    @property
    def players(self) -> tuple[Player, ...]:
        """One player for each input."""
        return tuple(Player(f"x{each}", (each,)) for each in range(self.rows.shape[1]))

    def score(self, table: Any) -> Floats:
        """The one output of the network, (rows,); the same function for every method."""
        with torch.inference_mode():
            return np.asarray(self.forward(torch.from_numpy(np.asarray(table, dtype=np.float32))).numpy())

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        """The same from a tensor to a tensor."""
        self.asked += len(table)
        return torch.as_tensor(self.module(table)[:, 0])


@dataclass(frozen=True)
class Tried:
    """What one method made of a case: values (rows, players), and for each row the rows asked and milliseconds."""

    values: Floats
    evaluations: float
    milliseconds: float


def tried(case: Case, explain: Explainer, rows: int, repeats: int = 1) -> Tried:
    """Explain the first rows, after one row to warm up.

    The time is processor time, the least of the repeats: with one thread it is the wall time of a machine at rest.
    """
    chosen = case.rows[:rows]
    explain(case, chosen[:1])
    case.asked, taken, values = 0, [], chosen
    for _ in range(repeats):
        began = time.process_time()
        values = explain(case, chosen)
        taken.append(time.process_time() - began)
    return Tried(values, case.asked / len(chosen) / repeats, 1000 * min(taken) / len(chosen))


def relative_error(found: Floats, truth: Floats) -> float:
    """Mean over rows of squared distance, relative to the squared length of the true values."""
    return float((((found - truth) ** 2).sum(axis=1) / (truth**2).sum(axis=1)).mean())


def demand(rows: int = 100) -> Case:
    """A 64-64 network of 12 generated columns shaped like hourly bike rental: calendar, hour, weather."""
    rng = np.random.default_rng(0)
    highs = {"season": 4, "year": 2, "month": 12, "hour": 24, "holiday": 2, "weekday": 7, "work": 2, "sky": 4}
    cell = {name: rng.integers(0, high, 8000).astype(float) for name, high in highs.items()}
    cell |= {name: rng.random(8000) for name in ("warm", "felt", "humid", "wind")}
    y = _rides(cell)
    X = np.stack(list(cell.values()), axis=1)
    return _case("demand", ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32), y, rows)


def _rides(cell: dict[str, Floats]) -> Floats:
    """Rush hours on working days, afternoons on others, both scaled by warmth, sky, season and year."""
    hour = cell["hour"]
    rush = np.exp(-(((hour - 8) / 1.5) ** 2)) + np.exp(-(((hour - 17.5) / 2) ** 2))
    leisure = np.exp(-(((hour - 14) / 4) ** 2))
    rides = np.where(cell["work"] * (1 - cell["holiday"]) > 0, rush, leisure)
    weather = (0.3 + cell["warm"] + 0.3 * cell["felt"]) * (1 - 0.2 * cell["sky"]) * (1.2 - 0.6 * cell["humid"])
    return np.asarray(rides * weather * (1 + 0.4 * cell["year"] + 0.1 * cell["season"]) - 0.1 * cell["wind"])


def mixed(inputs: int, rows: int = 100) -> Case:
    """A 64-64 network of a task with eight interactions of three."""
    X = _normal(inputs, seed=1)
    places = np.arange(8)
    threes = X[:, places] * X[:, (places + 1) % inputs] * np.tanh(X[:, (places + 5) % inputs])
    return _case(f"interactions of three, {inputs} inputs", X, threes.sum(axis=1) + _linear(X, seed=2, size=0.5), rows)


def cancer(inputs: int, rows: int = 100) -> Case:
    """A 64-64 network of the first columns of the breast cancer data that scikit-learn brings along."""
    X, y = load_breast_cancer(return_X_y=True)
    scaled = ((X - X.mean(axis=0)) / X.std(axis=0))[:, :inputs].astype(np.float32)
    return _case(f"breast cancer, {inputs} columns", scaled, 4.0 * y - 2, rows, epochs=150)


def _case(name: str, X: Floats, y: Floats, rows: int, epochs: int = 20) -> Case:
    held = len(X) - rows
    scaled = (y - y.mean()) / y.std()
    return Case(name, trained(X[:held], scaled[:held], epochs=epochs), X[held:], X[:held].mean(axis=0, keepdims=True))


def trained(X: Floats, y: Floats, *, hidden: Sequence[int] = (64, 64), epochs: int = 20, seed: int = 0) -> Any:
    """A ReLU network fitted to the rows by Adam, from a seed."""
    torch.manual_seed(seed)
    widths = [X.shape[1], *hidden]
    layers = [each for a, b in pairwise(widths) for each in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1))
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    inputs, target = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)[:, None]
    for _ in range(epochs):
        order = torch.randperm(len(X))
        for start in range(0, len(X), 256):
            batch = order[start : start + 256]
            optimiser.zero_grad()
            torch.autograd.backward(torch.nn.functional.mse_loss(module(inputs[batch]), target[batch]))
            optimiser.step()
    return module.eval()


class Blocks(torch.nn.Module):
    """A sum of networks, each of which sees eight inputs of its own: Shapley values are exact block by block."""

    def __init__(self, parts: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        """Sum of the parts' outputs, (rows, 1)."""
        return torch.stack([part(table[:, 8 * i : 8 * i + 8]) for i, part in enumerate(self.parts)]).sum(dim=0)


def blocks(count: int, rows: int = 20) -> tuple[Case, list[Case]]:
    """A network of 8 × count inputs, and the cases of its blocks."""
    singles = []
    for seed in range(count):
        X = _normal(8, seed=100 + seed, rows=3000)
        y = X[:, 0] * X[:, 1] * np.tanh(X[:, 2]) + np.maximum(X[:, 3], X[:, 4]) + _linear(X, seed=seed, size=0.5)
        held = len(X) - rows
        module = trained(X[:held], y[:held], epochs=6, seed=seed)
        singles.append(Case(f"block {seed}", module, X[held:], X[:held].mean(axis=0, keepdims=True)))
    whole = Blocks([each.module for each in singles])
    explained = np.concatenate([each.rows for each in singles], axis=1)
    background = np.concatenate([each.background for each in singles], axis=1)
    return Case(f"blocks, {8 * count} inputs", whole, explained, background), singles


def _normal(inputs: int, seed: int, rows: int = 8000) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, inputs)).astype(np.float32)


def _linear(X: Floats, *, seed: int, size: float) -> Floats:
    return np.asarray(X @ np.random.default_rng(seed).normal(size=X.shape[1]) * size)
