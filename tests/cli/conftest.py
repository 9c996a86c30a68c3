"""A trained model on disk with its card and data, and a way to run the command line in this process."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rai import cli

CARD = """\
task = "binary"
name = "loans"
head = "logit"
classes = ["no", "yes"]
positive = "yes"

[network]
kind = "mlp"
arguments = { inputs = 4, outputs = 1, hidden = [8] }

[data]
test = "test.csv"
reference = "train.csv"
target = "repaid"
sensitive = ["sex"]

[[columns]]
name = "income"
kind = "number"
mean = 50.0
scale = 10.0

[[columns]]
name = "years"
kind = "number"

[[columns]]
name = "job"
kind = "category"
categories = ["clerk", "cook"]
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.normal(50, 10, rows).round(2)
    years = rng.integers(0, 30, rows)
    frame = pd.DataFrame({"income": income, "years": years, "job": rng.choice(["clerk", "cook"], rows)})
    frame["sex"] = rng.choice(["f", "m"], rows)
    chance = 1 / (1 + np.exp(-((income - 50) / 5 + (years - 15) / 10)))
    frame["repaid"] = np.where(rng.random(rows) < chance, "yes", "no")
    return frame


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loans")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    with torch.no_grad():
        model[0].weight[0] = torch.tensor([1.5, 0.08, 0.0, 0.0])
        model[0].bias[0] = 1.0
        model[2].weight[0] = 0.0
        model[2].weight[0, 0] = 1.2
        model[2].bias[0] = -2.6
    torch.save(model.state_dict(), folder / "model.pt")
    people(400, 1).to_csv(folder / "train.csv", index=False)
    people(600, 2).to_csv(folder / "test.csv", index=False)
    (folder / "model.toml").write_text(CARD, encoding="utf-8")
    return folder


@pytest.fixture
def loans(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished model's folder that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "loans"))


@pytest.fixture
def rai_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run `rai WORDS` in this process, in an empty folder, and return exit code and output."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rai", *(str(word) for word in words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.run()
        found = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), found.out, found.err)

    return run
