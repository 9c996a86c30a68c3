"""Labels become class positions and sensitive columns groups, under names a person knows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rai.card import Card, Column
from rai.data import from_frames, load
from rai.data.groups import round_cuts
from rai.errors import InputError

Save = Callable[..., Path]
Recard = Callable[..., Card]


def labels(texts: Sequence[str], classes: tuple[str, ...], save: Save, recard: Recard) -> list[int]:
    task = "binary" if len(classes) == 2 else "multiclass"
    card = recard(columns=(Column("a", "number"),), sensitive=(), classes=classes, task=task)
    found = load(save("\n".join(["a,y", *(f"1,{text}" for text in texts)])), card)
    assert found.labels is not None
    return [int(label) for label in found.labels]


@pytest.mark.parametrize(
    ("texts", "classes", "expected"),
    [
        (["no", " yes", "yes ", "no"], ("no", "yes"), [0, 1, 1, 0]),
        (["no", "yes"], ("yes", "no"), [1, 0]),
        (["0", "1", "0.0", "1.0", "True", "false"], ("0", "1"), [0, 1, 0, 1, 1, 0]),
        (["1", "0", "true"], ("False", "True"), [1, 0, 1]),
        (["2", "10", "1"], ("1", "2", "10"), [1, 2, 0]),
        (["1", "1.0"], ("1.0", "1"), [1, 0]),
        (["01", "1"], ("01", "1"), [0, 1]),
        (["NA", "x"], ("NA", "x"), [0, 1]),
        (["yes", "no"], (" yes", "no "), [0, 1]),
    ],
)
def test_labels_find_their_class(
    texts: list[str], classes: tuple[str, ...], expected: list[int], save: Save, recard: Recard
) -> None:
    assert labels(texts, classes, save, recard) == expected


def test_bands_are_named_and_hold_their_lower_bound(save: Save, recard: Recard) -> None:
    ages = ["29.9", "30", "49", "50", "", "80", "-3"]
    card = recard(columns=(Column("i", "number"),), sensitive=("age",), bands={"age": (30.0, 50.0)})
    found = load(save("\n".join(["i,age,y", *(f"{i},{a},{('no', 'yes')[i % 2]}" for i, a in enumerate(ages))])), card)
    assert found.groups["age"].levels == ("under 30", "30 to under 50", "50 and over")
    assert found.groups["age"].codes.tolist() == [0, 1, 1, 2, -1, 2, 0]


def test_a_band_without_rows_stays_with_a_count_of_zero(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("i", "number"),), sensitive=("i",), bands={"i": (0.5, 10.0, 20.0)})
    found = load(save("i,y\n0,no\n1,yes\n2,no\n"), card)
    assert found.groups["i"].levels == ("under 0.5", "0.5 to under 10", "10 to under 20", "20 and over")
    assert found.groups["i"].counts.tolist() == [1, 2, 0, 0]


def test_numbers_of_few_levels_keep_their_numbers_in_order(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("i", "number", fill=0.0),), sensitive=("i",))
    found = load(save("i,y\n10,no\n9,yes\n,no\n100,no\n9,no\n"), card)
    assert found.groups["i"].levels == ("9", "10", "100")
    assert found.groups["i"].codes.tolist() == [1, 0, -1, 2, 0]


def test_names_are_sorted_and_spaces_around_them_ignored() -> None:
    found = from_frames(np.zeros((4, 1)), [0, 1, 0, 1], sensitive_features=[" b", "a", "b ", " "]).data
    assert found.groups["sensitive_feature"].levels == ("a", "b")
    assert found.groups["sensitive_feature"].codes.tolist() == [1, 0, 1, -1]


def test_twenty_numbers_are_levels_and_twenty_one_want_bands(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("i", "number"),), sensitive=("i",))
    lines = [f"{i},{('no', 'yes')[i % 2]}" for i in range(21)]
    assert len(load(save("\n".join(["i,y", *lines[:20]])), card).groups["i"].levels) == 20
    with pytest.raises(InputError, match=r"21 values.*data\.bands\.'i', for example \[7, 10\]"):
        load(save("\n".join(["i,y", *lines])), card)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=60))
def test_suggested_cuts_are_ascending_and_leave_no_band_empty(values: list[float]) -> None:
    assume(len(set(values)) > 2)
    cuts = round_cuts(np.array(values))
    assert list(cuts) == sorted(set(cuts))
    assert len(cuts) in {1, 2}
    assert len(np.unique(np.digitize(values, cuts))) == len(cuts) + 1


def test_suggested_cuts_are_round_and_about_equal() -> None:
    ages = np.random.default_rng(0).integers(18, 90, 3000).astype(float)
    assert round_cuts(ages) == (40.0, 70.0)


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(-100, 100), min_size=2, max_size=40),
    cuts=st.lists(st.integers(-90, 90), min_size=1, max_size=5, unique=True).map(sorted),
)
def test_bands_equal_a_slow_loop(values: list[float], cuts: list[int]) -> None:
    slow = [sum(value >= cut for cut in cuts) for value in values]
    assume(len(set(slow)) > 1)
    answers = [i % 2 for i in range(len(values))]
    found = from_frames(np.zeros((len(values), 1)), answers, sensitive_features={"a": values}, bands={"a": cuts})
    assert found.data.groups["a"].codes.tolist() == slow
