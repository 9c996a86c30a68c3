"""A private recipe: what is promised, which holes are named, and that no row moves another one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rai import intake
from rai.ledger import Privacy, read_ledger
from rai.train.loop import Watch
from rai.train.settings import Private
from rai.training import read_recipe, train
from rai.training.describing import CLASSES, MEANS
from rai.training.splitting import by_content, split
from rai.training.workshop import workshop

DECLARED = """\
classes = ["no", "yes"]
task = "binary"
[[columns]]
name = "income"
kind = "number"
mean = 50.0
scale = 10.0
[[columns]]
name = "job"
kind = "category"
categories = ["clerk", "cook"]
[data]
"""


def promise_of(made_ledger: Path) -> Privacy:
    found = read_ledger(made_ledger).privacy
    assert found is not None
    return found


def test_the_promise_is_in_the_ledger_and_its_holes_are_named(private_with: Callable[..., Path]) -> None:
    made = train(private_with())
    promise = promise_of(made.ledger)
    assert 3.5 < promise.epsilon <= 4.0
    assert (promise.delta, promise.steps, promise.sample_rate, promise.unit) == (1e-3, 40, 0.25, "record")
    assert {MEANS, CLASSES} <= set(promise.waived)
    assert any("ε 4 at δ 0.001" in each or "ε 3.9" in each for each in made.summary)
    assert any(MEANS in each for each in made.summary)
    subject = intake.from_files(made.model, intake.Choices()).subject
    assert np.mean(subject.predicted == subject.data.labels) > 0.7


def test_numbers_that_the_recipe_declares_are_no_hole(private_with: Callable[..., Path], tmp_path: Path) -> None:
    """They need no public_columns either, because nothing is read off the rows."""
    path = private_with(**{"public_columns = true\n": "", "[data]\n": DECLARED})
    with workshop(read_recipe(path), path, tmp_path / "out") as ready:
        assert ready.read == ()
        assert [each.mean for each in ready.card.columns] == [50.0, 0.0]


def test_runs_of_a_search_are_no_part_of_the_promise_and_that_is_said(private_with: Callable[..., Path]) -> None:
    search = (
        '[search]\nmethod = "grid"\nobjectives = ["quality", "epsilon"]\nspace = { "private.epsilon" = [1.0, 4.0] }\n'
    )
    made = train(private_with(more=search))
    runs = read_ledger(made.ledger).runs
    assert [run.epsilon for run in runs] == pytest.approx([1.0, 4.0], rel=0.1)
    total = sum(run.epsilon for run in runs if run.epsilon is not None)
    assert any("2 runs of tuning" in each and f"{total:.3g}" in each for each in promise_of(made.ledger).waived)


def test_the_price_is_measured_against_a_twin_on_test_rows(private_with: Callable[..., Path]) -> None:
    made = train(private_with(more="compare = true\n"))
    compared = promise_of(made.ledger).compared
    assert any("sex" in name for name in compared)


def test_an_interrupted_private_training_keeps_its_promise(
    private_with: Callable[..., Path], stop_at: Callable[[int], Watch]
) -> None:
    path = private_with()
    with pytest.raises(KeyboardInterrupt):
        train(path, watch=stop_at(20))
    promise = promise_of(train(path, resume=True).ledger)
    assert promise.epsilon <= 4.0
    assert promise.steps >= 40


@given(st.lists(st.binary(max_size=6), min_size=2, max_size=40), st.integers(0, 5), st.data())
def test_a_row_less_moves_no_other_row(rows: list[bytes], seed: int, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(rows) - 1))
    whole = by_content(rows, 0.3, seed)
    less = by_content(rows[:gone] + rows[gone + 1 :], 0.3, seed)
    np.testing.assert_array_equal(np.delete(whole, gone), less)


def test_the_share_drawn_by_content_is_the_share_asked_for() -> None:
    rows = [f"row {i}".encode() for i in range(4_000)]
    found = by_content(rows, 0.3, 1)
    assert abs(found.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4_000)
    assert 0.05 < np.mean(found & by_content(rows, 0.3, 2)) < 0.13


@pytest.mark.parametrize("kind", ["table", "sequence"])
def test_a_private_split_of_a_file_less_one_row_is_the_same_but_for_it(
    every_kind: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    folder = every_kind[kind].parent
    recipe = replace(read_recipe(every_kind[kind]), private=Private(0.1, 10, 1e-3, 10.0, epsilon=1.0))
    parts = {}
    for name in ("whole", "less"):
        (tmp_path / name).mkdir()
        found = split(recipe, folder, tmp_path / name)
        parts[name] = (_rows(found.training), _rows(found.test))
        _without(folder / recipe.data.train, 17)
    for before, after in zip(parts["whole"], parts["less"], strict=True):
        assert len(before) - len(after) in (0, 1)
        assert after <= before
    assert sum(map(len, parts["whole"])) == 1 + sum(map(len, parts["less"]))


def _rows(path: Path) -> set[str]:
    if path.suffix == ".csv":
        return set(path.read_text().splitlines())
    arrays = dict(np.load(path))
    return {str([array[row].tolist() for array in arrays.values()]) for row in range(len(arrays["label"]))}


def _without(path: Path, row: int) -> None:
    if path.suffix == ".csv":
        pd.read_csv(path, dtype=str).drop(index=row).to_csv(path, index=False)
    else:
        np.savez(path, **{name: np.delete(array, row, axis=0) for name, array in dict(np.load(path)).items()})
