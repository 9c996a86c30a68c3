"""What `rai init` says of the card it drafted: whether the model answers better than no model would."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rai.draft import draft
from rai.rehearsal import rehearse

ROWS = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = np.random.default_rng(3).normal(size=(ROWS, 2)).round(3)
    outcome = rows[:, 0] + 0.25 > 0
    frame = pd.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "y": np.where(outcome, "yes", "no"), "v": 3 * rows[:, 0]})
    frame.to_csv(tmp_path / "test.csv", index=False)
    return tmp_path


def drafted(folder: Path, weight: float, bias: float, target: str = "y") -> str:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[weight, 0.0]])
        layer.bias[:] = bias
    other = "v" if target == "y" else "y"
    pd.read_csv(folder / "test.csv").drop(columns=other).to_csv(folder / "rows.csv", index=False)
    torch.save(layer.state_dict(), folder / "model.pt")
    text = draft(folder / "model.pt", folder / "rows.csv", target=target)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return rehearse(folder / "model.pt")


def test_a_card_that_fits_is_not_doubted(folder: Path) -> None:
    frame = pd.read_csv(folder / "test.csv")
    usual = frame["y"].value_counts(normalize=True).max()
    assert drafted(folder, 1.0, 0.25) == (
        f"tried on the 200 test rows, the model is right for 100.0% of them, and always saying 'yes' for {usual:.1%}"
    )


def test_a_card_that_leads_to_chance_is_doubted(folder: Path) -> None:
    assert "a guess may be wrong: check mean and scale, activation" in drafted(folder, -1.0, 0.0)


@pytest.mark.parametrize(("weight", "doubted"), [(3.0, False), (0.0, True)])
def test_values_are_held_against_their_mean(folder: Path, weight: float, doubted: bool) -> None:  # noqa: FBT001
    said = drafted(folder, weight, 0.0, target="v")
    assert "root mean square" in said
    assert ("a guess may be wrong" in said) == doubted


def test_a_model_that_cannot_be_read_is_named_and_not_run(folder: Path) -> None:
    drafted(folder, 1.0, 0.0)
    torch.save(nn.Linear(2, 1), folder / "model.pt")
    said = rehearse(folder / "model.pt")
    assert said.startswith("rai audit cannot use this card yet: ")
    assert "--allow-code-in-model" in said
