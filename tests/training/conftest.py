"""Tiny rows of every kind with a pattern that a small network learns, and recipes for them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rai import intake
from rai.ledger import Ledger, read_ledger
from rai.subject import Subject
from rai.train.loop import Moment, Watch
from rai.training.making import Made
from rai.training.mitigating import Mitigated

Write = Callable[..., Path]


def loans(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income, years = rng.normal(50, 10, rows).round(2), rng.integers(0, 30, rows)
    frame = pd.DataFrame({"income": income, "years": years, "job": rng.choice(["clerk", "cook"], rows)})
    frame["sex"] = rng.choice(["f", "m"], rows)
    chance = 1 / (1 + np.exp(-((income - 50) / 3 + (years - 15) / 5)))
    frame["repaid"] = np.where(rng.random(rows) < chance, "yes", "no")
    return frame


def unequal_loans(folder: Path, rows: int = 600) -> pd.DataFrame:
    """The loans again: one sex has less income and more often one of the jobs, and fewer of it pay back."""
    rng = np.random.default_rng(3)
    sex = rng.choice(["f", "m"], rows)
    income = (rng.normal(50, 10, rows) - 12 * (sex == "f")).round(2)
    frame = pd.DataFrame({"income": income, "years": rng.integers(0, 30, rows), "sex": sex})
    frame["job"] = np.where(rng.random(rows) < np.where(sex == "f", 0.8, 0.2), "clerk", "cook")
    chance = 1 / (1 + np.exp(-((income - 46) / 3 + (frame["years"] - 15) / 5)))
    frame["repaid"] = np.where(rng.random(rows) < chance, "yes", "no")
    frame.to_csv(folder / "rows.csv", index=False)
    return frame


def scans(path: Path, rows: int = 120) -> None:
    rng = np.random.default_rng(0)
    bright = rng.random(rows) < 0.5
    images = rng.integers(0, 60, (rows, 8, 8)).astype(np.uint8)
    images[bright, 2:6, 2:6] += 120
    site = rng.choice(["A", "B"], rows)
    np.savez(path, images=images, label=np.where(bright, "bright", "dark"), site=site)


def days(path: Path, rows: int = 120) -> None:
    rng = np.random.default_rng(0)
    high = rng.random(rows) < 0.5
    lengths = rng.integers(4, 7, rows)
    values = rng.normal(10, 3, (rows, 6, 2)) + np.where(high, 6.0, 0.0)[:, None, None]
    np.savez(
        path, values=values, lengths=lengths, label=np.where(high, "high", "low"), site=rng.choice(["A", "B"], rows)
    )


def letters(rows: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    good = rng.random(rows) < 0.5
    words = [rng.choice(["plain", "room", "table", "door", "cup"], 5).tolist() for _ in range(rows)]
    text = [
        " ".join([*each, "lovely" if fine else "dreadful", str(i)])
        for i, (each, fine) in enumerate(zip(words, good, strict=True))
    ]
    return pd.DataFrame({"text": text, "site": rng.choice(["A", "B"], rows), "label": np.where(good, "good", "bad")})


TABLE = """\
name = "loans"
positive = "yes"
[data]
train = "rows.csv"
target = "repaid"
sensitive = ["sex"]
[network]
arguments = { hidden = [8] }
[fit]
epochs = 12
batch_size = 32
learning_rate = 0.02
"""
MADE_PRIVATE = {
    "[network]": "public_columns = true\n[network]",
    "epochs = 12\nbatch_size = 32\nlearning_rate = 0.02\n": """\
optimizer = "sgd"
learning_rate = 1.0
[private]
epsilon = 4.0
delta = 1e-3
sample_rate = 0.25
steps = 40
expected_batch = 80
""",
}


class Stopper:
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, moment: Moment) -> None:
        if moment.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stop_at() -> Callable[[int], Watch]:
    """Something that watches a training, and presses Ctrl-C at the step given."""
    return Stopper


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with rows of a table and a recipe for them."""
    loans().to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "recipe.toml").write_text(TABLE)
    return tmp_path


@pytest.fixture
def recipe_with(folder: Path) -> Write:
    """Write a recipe into the folder of the table: another one whole, or the usual one with a text put in place.

    What is `more` stands at its end.
    """

    def write(text: str = TABLE, *, more: str = "", **changed: str) -> Path:
        for old, new in changed.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "recipe.toml").write_text(text + more)
        return folder / "recipe.toml"

    return write


@pytest.fixture
def private_with(recipe_with: Write) -> Write:
    """The same for the usual recipe with a promise; it ends with the table [private]."""

    def write(*, more: str = "", **changed: str) -> Path:
        return recipe_with(recipe_with(**MADE_PRIVATE).read_text(), more=more, **changed)

    return write


@pytest.fixture
def fair_with(folder: Path, recipe_with: Write) -> Write:
    """Write the usual recipe with a table [fair] at its end, for rows whose groups differ."""
    unequal_loans(folder)
    large = {"epochs = 12": "epochs = 10", "batch_size = 32": "batch_size = 120"}

    def write(*lines: str, more: str = "", **changed: str) -> Path:
        text = recipe_with(**large).read_text()
        return recipe_with(text, more="\n".join(["[fair]", *lines, more]) + "\n", **changed)

    return write


@pytest.fixture
def unequal() -> Callable[[Path], pd.DataFrame]:
    """Write rows whose groups differ into a folder once more."""
    return unequal_loans


@pytest.fixture
def subject_of() -> Callable[[Path], Subject]:
    """What an audit makes of a model's files."""
    return read_subject


@pytest.fixture
def ledger_of() -> Callable[[Made | Mitigated], Ledger]:
    """The ledger beside a model."""
    return lambda made: read_ledger(made.ledger)


@pytest.fixture
def gap() -> Callable[[Path], float]:
    """The difference of the shares that are said yes to, on test rows."""

    def difference(model: Path) -> float:
        subject = read_subject(model)
        rates = [subject.predicted[group.mask(i)].mean() for group in subject.data.groups.values() for i in range(2)]
        return float(max(rates) - min(rates))

    return difference


@pytest.fixture
def every_kind(tmp_path: Path) -> dict[str, Path]:
    """A recipe for each kind of rows, in a folder of its own."""
    kinds = {
        "table": (TABLE, lambda at: loans().to_csv(at / "rows.csv", index=False)),
        "image": (_recipe("rows.npz", "epochs = 6"), lambda at: scans(at / "rows.npz")),
        "sequence": (_recipe("rows.npz", "epochs = 12"), lambda at: days(at / "rows.npz")),
        "text": (
            _recipe("rows.csv", "epochs = 10", 'kind = "text"'),
            lambda at: letters().to_csv(at / "rows.csv", index=False),
        ),
    }
    for name, (text, write) in kinds.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name)
        (tmp_path / name / "recipe.toml").write_text(text)
    return {name: tmp_path / name / "recipe.toml" for name in kinds}


def read_subject(model: Path) -> Subject:
    return intake.from_files(model, intake.Choices()).subject


def _recipe(rows: str, fit: str, more: str = "") -> str:
    data = f'[data]\ntrain = "{rows}"\ntarget = "label"\nsensitive = ["site"]\ntest_share = 0.3\n{more}\n'
    network = {"epochs = 10": "[network]\narguments = { width = 8, heads = 2, layers = 1, feedforward = 8 }\n"}
    return f"{data}{network.get(fit, '')}[fit]\n{fit}\nbatch_size = 16\nlearning_rate = 0.02\n"
