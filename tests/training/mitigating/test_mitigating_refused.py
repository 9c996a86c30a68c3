"""A narrower gap that cannot be had is refused in one line, and no file is touched."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from rai.card import read_card
from rai.errors import InputError
from rai.train.fair.afterwards import Aim
from rai.training.mitigating import mitigate

Write = Callable[..., Path]
Gap = Callable[[Path], float]
Refused = Callable[..., None]


@pytest.fixture
def refused(quick: Aim) -> Refused:
    """Whether it is refused in one line, with these words, and no file is touched."""

    def check(base: Path, words: str, *, aim: Aim = quick, out: Path | None = None) -> None:
        before = {each: each.read_bytes() for each in base.parent.rglob("*") if each.is_file()}
        with pytest.raises(InputError) as caught:
            mitigate(base, aim, out=out)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert {each: each.read_bytes() for each in base.parent.rglob("*") if each.is_file()} == before

    return check


BAD_AIMS = {
    "no such criterion": ({"criterion": "parity"}, "fair.criterion: is 'parity'"),
    "no such method": ({"method": "reductions"}, "method: is 'reductions'; expected one of threshold"),
    "no such column": ({"sensitive": ("age",)}, "there is no group 'age'; expected among sex"),
    "no share": ({"strengths": (0.5, 2.0)}, "fair.strength: is 2.0 for 'threshold'; expected a share"),
    "no number": ({"strengths": (float("nan"),)}, "fair.strength: is nan"),
    "no seed": ({"seeds": 0}, "seeds: is 0"),
    "no gap": ({"at_most": float("nan")}, "at_most: is nan"),
}


@pytest.mark.parametrize("name", BAD_AIMS)
def test_a_senseless_aim_is_refused_in_one_line(quick: Aim, refused: Refused, base: Path, name: str) -> None:
    changed, words = BAD_AIMS[name]
    refused(base, words, aim=replace(quick, **changed))  # type: ignore[arg-type]


BAD_CARDS = {
    "no network": ('[network]\nkind = "mlp"\narguments = { inputs = 3, outputs = 1, hidden = [] }\n', "", "network is"),
    "no reference": ('reference = "rows/train.csv"\n', "", "names no reference rows with labels"),
    "no groups": ('sensitive = ["sex"]\n', "", "names no sensitive columns"),
    "another network": ("hidden = []", "hidden = [4]", "model.pt"),
    "not text": ('"rows/train.csv"', '"rows/none.csv"', "none.csv: no such file"),
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_says_too_little_is_refused_in_one_line(refused: Refused, card_with: Write, name: str) -> None:
    old, new, words = BAD_CARDS[name]
    refused(card_with(**{old: new}), words)


def test_nothing_of_somebody_elses_is_written_over(refused: Refused, base: Path) -> None:
    refused(base, "is the model's own folder", out=base.parent)
    for name, words in (
        ("model.pt", "holds a model.pt that rai mitigate did not write"),
        ("checkpoint.pt", "is of an"),
    ):
        (base.parent / name.removesuffix(".pt")).mkdir()
        shutil.copy(base, base.parent / name.removesuffix(".pt") / name)
        refused(base, words, out=base.parent / name.removesuffix(".pt"))


def test_a_model_that_was_mitigated_before_is_refused(quick: Aim, refused: Refused, base: Path) -> None:
    found = mitigate(base, quick)
    refused(found.model, "key network.kind is 'adjusted', which was made from other networks")


def test_probabilities_cannot_learn_further(quick: Aim, gap: Gap, refused: Refused, card_with: Write) -> None:
    base = card_with(**{'head = "logit"': 'head = "probability"'})
    torch.save({"0.weight": torch.tensor([[0.05, 0.0, 0.0]]), "0.bias": torch.tensor([0.5])}, base)
    refused(base, "outputs are probabilities, which cannot learn further", aim=replace(quick, method="gap_penalty"))
    found = mitigate(base, quick)
    assert str(read_card(found.card).head) == "logit"
    assert gap(found.model) < 0.12 < gap(found.baseline)


def test_too_few_rows_are_refused_in_one_line(refused: Refused, base: Path) -> None:
    file = base.parent / "rows" / "train.csv"
    pd.read_csv(file).groupby("sex").head(3).to_csv(file, index=False)
    refused(base, "reference rows: are too few to be dealt into three parts")


def test_a_gap_that_no_row_defines_is_refused_in_one_line(quick: Aim, refused: Refused, base: Path) -> None:
    """Without a woman who pays back, nobody knows how many of such women are found."""
    file = base.parent / "rows" / "train.csv"
    frame = pd.read_csv(file)
    frame.loc[frame["sex"] == "f", "repaid"] = "no"
    frame.to_csv(file, index=False)
    refused(
        base,
        "the equal opportunity difference is defined for no trial",
        aim=replace(quick, criterion="equal_opportunity"),
    )
