"""A model whose weights are right and whose gap is planted, and what comes of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rai.train.fair.afterwards import Aim
from rai.training.mitigating import Mitigated, mitigate

QUICK = Aim("demographic_parity", at_most=0.12, strengths=(0.5, 1.0), seeds=1)
CARD = """\
name = "loans"
task = "binary"
head = "logit"
classes = ["no", "yes"]
positive = "yes"
[network]
kind = "mlp"
arguments = { inputs = 3, outputs = 1, hidden = [] }
[data]
test = "rows/test.csv"
reference = "rows/train.csv"
target = "repaid"
sensitive = ["sex"]
[[columns]]
name = "income"
kind = "number"
[[columns]]
name = "job"
kind = "category"
categories = ["clerk", "cook"]
"""


def people(rows: int, seed: int) -> pd.DataFrame:
    """Income decides, one sex has less of it, and the job tells the sex of most."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows)
    income = (rng.normal(0, 1, rows) + 0.5 * (sex == "m") - 0.5 * (sex == "f")).round(3)
    job = np.where(rng.random(rows) < np.where(sex == "f", 0.95, 0.05), "clerk", "cook")
    repaid = np.where(rng.random(rows) < 1 / (1 + np.exp(-2 * income)), "yes", "no")
    return pd.DataFrame({"income": income, "job": job, "sex": sex, "repaid": repaid})


@pytest.fixture(scope="session")
def quick() -> Aim:
    """An aim that few short trials decide."""
    return QUICK


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model whose weights are right, its card, and its rows a folder below."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "rows").mkdir()
    people(1500, 1).to_csv(folder / "rows" / "train.csv", index=False)
    people(1500, 2).to_csv(folder / "rows" / "test.csv", index=False)
    tensors = {"0.weight": torch.tensor([[2.0, 0.0, 0.0]]), "0.bias": torch.zeros(1)}
    torch.save(tensors, folder / "model.pt")
    (folder / "model.toml").write_text(CARD)
    return folder


@pytest.fixture
def base(written: Path, tmp_path: Path) -> Path:
    """A model of one's own, in a folder that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "base")) / "model.pt"


@pytest.fixture(scope="session")
def made(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Mitigated:
    """What comes of that model, in a folder far from it."""
    return mitigate(written / "model.pt", QUICK, out=tmp_path_factory.mktemp("out") / "a" / "b")


@pytest.fixture
def card_with(base: Path) -> Callable[..., Path]:
    """Change the model's card."""

    def write(**changed: str) -> Path:
        text = CARD
        for old, new in changed.items():
            assert old in text
            text = text.replace(old, new)
        base.with_suffix(".toml").write_text(text)
        return base

    return write
