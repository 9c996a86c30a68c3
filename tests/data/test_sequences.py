"""Sequences come in scaled and filled up; whatever is missing or twice is named by row and step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rai.card import Card, Files, SequenceInput
from rai.data import load
from rai.errors import InputError

CARD = Card(
    task="binary",
    classes=("no", "yes"),
    data=Files(target="y", sensitive=("sex",)),
    input=SequenceInput("sequence", features=("load", "heat"), steps=5, mean=(1.0, 0.0), scale=(2.0, 10.0), segments=2),
)
LENGTHS = np.array([3, 1, 4])
SIDES = {"y": np.array([0, 1, 1]), "sex": np.array(["f", "m", "f"])}
NUMBERED = replace(CARD, classes=("0", "1"))


def values() -> np.ndarray:
    made = np.arange(24.0).reshape(3, 4, 2)
    for row, length in enumerate(LENGTHS):
        made[row, length:] = np.nan
    return made


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    def make(**arrays: Any) -> Path:
        np.savez(tmp_path / "a.npz", **{**SIDES, "values": values(), **arrays})
        return tmp_path / "a.npz"

    return make


@pytest.fixture
def long() -> pd.DataFrame:
    """The same three sequences, one row a step."""
    lines = [
        (f"p{row}", step, *values()[row, step], SIDES["y"][row], SIDES["sex"][row])
        for row, length in enumerate(LENGTHS)
        for step in range(length)
    ]
    return pd.DataFrame(lines, columns=["id", "step", "load", "heat", "y", "sex"])


def expected() -> np.ndarray:
    made = np.full((3, 5, 2), np.nan)
    made[:, :4] = (values() - [1.0, 0.0]) / [2.0, 10.0]
    return made


def test_values_are_scaled_and_short_ones_end_in_nan(archive: Callable[..., Path]) -> None:
    data = load(archive(), NUMBERED)
    assert (data.kind, data.inputs.dtype) == ("sequence", np.float32)
    np.testing.assert_allclose(data.inputs, expected(), rtol=1e-6)
    np.testing.assert_allclose(data.features, np.nan_to_num(expected()).reshape(3, -1), rtol=1e-6)
    np.testing.assert_array_equal(data.labels, SIDES["y"])


def test_declared_lengths_say_what_filling_means_nothing(archive: Callable[..., Path]) -> None:
    filled = np.nan_to_num(values(), nan=99.0)
    np.testing.assert_allclose(load(archive(values=filled, lengths=LENGTHS), NUMBERED).inputs, expected(), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_long_table_means_the_same_in_any_order_of_its_steps(long: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    mixed = pd.concat([long.iloc[[0]], long.iloc[[3]], long.iloc[[7]], long.iloc[[2, 1]], long.iloc[4:7]])
    path = tmp_path / f"long.{suffix}"
    mixed.to_csv(path, index=False) if suffix == "csv" else mixed.to_parquet(path)
    data = load(path, NUMBERED)
    np.testing.assert_allclose(data.inputs, expected(), rtol=1e-6)
    np.testing.assert_array_equal(data.labels, SIDES["y"])
    np.testing.assert_array_equal(data.groups["sex"].codes, [0, 1, 0])


def test_players_are_features_in_parts_of_the_time(archive: Callable[..., Path]) -> None:
    players = load(archive(), NUMBERED).players
    assert {player.name: player.inputs for player in players} == {
        "load, steps 1 to 2": (0, 2),
        "load, steps 3 to 5": (4, 6, 8),
        "heat, steps 1 to 2": (1, 3),
        "heat, steps 3 to 5": (5, 7, 9),
    }


def broken(row: int, step: int, feature: int, value: float) -> np.ndarray:
    made = values()
    made[row, step, feature] = value
    return made


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"values": broken(2, 1, 1, np.nan)},
            r"row 3, step 2, feature 'heat' \(the first is 1\): the value is missing",
        ),
        ({"values": broken(0, 0, 0, np.inf)}, "row 1, step 1, feature 'load'.*: the value is not a finite number"),
        ({"values": broken(1, 0, 0, 1e300)}, r"row 2 \(the first is 1\) holds a value too large for a 32-bit number"),
        ({"values": np.full((3, 4, 2), np.nan)}, r"row 1 \(the first is 1\) has no step"),
        ({"values": np.zeros((3, 6, 2))}, "row 1 .* has 6 steps; expected at most 5, as the card says"),
        ({"values": np.zeros((3, 4, 3))}, "array 'values' has shape 3 × 4 × 3; expected rows × steps × 2 features"),
        ({"lengths": np.array([3, 0, 4])}, "array 'lengths', row 2 .* is 0; expected a number of steps from 1 to 4"),
        ({"lengths": np.array([3, 1, 5])}, "array 'lengths', row 3 .* is 5"),
        ({"lengths": np.array([3, 1, 2**63], dtype=np.uint64)}, "row 3 .* is 9223372036854775808"),
        ({"lengths": np.array([3.0, 1, 4])}, "array 'lengths' has shape 3; expected one whole number"),
        ({"lengths": np.array([3, 2, 4])}, "row 2, step 2, feature 'load' .*: the value is missing"),
        ({"y": np.array([[0], [1], [1]])}, "array 'y' has shape 3 × 1; expected one value for each of 3 rows"),
    ],
)
def test_what_is_no_whole_sequence_is_named(archive: Callable[..., Path], arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(archive(**arrays), NUMBERED)


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (1, "step", 0, "column 'step', data row 2 .*: '0' stands twice in a sequence; give each step of 'p0' its"),
        (2, "sex", "m", "column 'sex', data row 3 .*: 'm' differs from the same sequence's first row"),
        (2, "heat", "", "column 'heat', data row 3 .*: the value is missing"),
        (2, "heat", "hot", "column 'heat', data row 3 .*: 'hot' is not a number"),
        (2, "id", "", "column 'id', data row 3 .*: names no sequence"),
        (0, "step", "", "column 'step', data row 1 .*: the step is missing"),
    ],
)
def test_a_faulty_row_of_a_long_table_is_named(
    long: pd.DataFrame, tmp_path: Path, row: int, column: str, value: Any, said: str
) -> None:
    faulty = long.astype(object)
    faulty.loc[row, column] = value
    faulty.to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(InputError, match=said):
        load(tmp_path / "long.csv", NUMBERED)


def test_a_sequence_longer_than_the_card_says_is_refused(long: pd.DataFrame, tmp_path: Path) -> None:
    longer = pd.concat(
        [long, pd.DataFrame({"id": "p0", "step": range(10, 14), "load": 1, "heat": 1, "y": 0, "sex": "f"})]
    )
    longer.to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(InputError, match="sequence 1 .* has 7 steps; expected at most 5"):
        load(tmp_path / "long.csv", NUMBERED)


def test_the_answer_may_not_be_shown_as_a_feature(archive: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="column 'load' is both data.target and an input"):
        load(archive(), replace(CARD, data=Files(target="load")))
