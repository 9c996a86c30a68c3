"""Training again on the same rows is entered as a run; a ledger that was changed stops it before anything is spent."""

from dataclasses import replace
from pathlib import Path

import pytest

from rai.errors import InputError
from rai.ledger import Privacy, read_ledger
from rai.training import train
from rai.training.earlier import counted


def test_each_training_again_is_one_run_more(folder: Path) -> None:
    first = read_ledger(train(folder / "recipe.toml").ledger)
    second = read_ledger(train(folder / "recipe.toml", seed=7).ledger)
    third = read_ledger(train(folder / "recipe.toml").ledger)
    assert [len(each.runs) for each in (first, second, third)] == [0, 1, 2]
    assert [run.settings["seed"] for run in third.runs] == [first.seed, 7]
    assert third.runs[1].results["loss"] == second.epochs[-1].loss


def test_another_folder_begins_anew(folder: Path, tmp_path: Path) -> None:
    train(folder / "recipe.toml")
    assert read_ledger(train(folder / "recipe.toml", out=tmp_path / "b").ledger).runs == ()


def test_a_changed_ledger_stops_the_training_and_keeps_the_model(folder: Path) -> None:
    made = train(folder / "recipe.toml")
    model = made.model.read_bytes()
    made.ledger.write_bytes(made.ledger.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(InputError, match="what was spent on these rows is unknown"):
        train(folder / "recipe.toml")
    assert made.model.read_bytes() == model


def test_a_promise_names_the_earlier_runs_it_does_not_count(folder: Path) -> None:
    plain = read_ledger(train(folder / "recipe.toml").ledger)
    promise = Privacy("record", 2.0, 1e-5, 1.0, 1.0, 0.1, 10, 8.0, "PLD")
    before, now = replace(plain, privacy=promise), replace(plain, privacy=replace(promise, epsilon=3.0))
    found = counted(now, before)
    assert [run.epsilon for run in found.runs] == [2.0]
    assert found.privacy is not None
    assert found.privacy.waived == ("1 earlier run on the same rows, which epsilon does not count",)


def test_other_rows_are_another_matter(folder: Path) -> None:
    plain = read_ledger(train(folder / "recipe.toml").ledger)
    other = replace(
        plain, data=replace(plain.data, sha256="0" * 64), recipe={**plain.recipe, "data": {"train": "others.csv"}}
    )
    assert counted(plain, other) is plain
    assert counted(plain, None) is plain
