"""Killed while its files are put in place, a training leaves the old set, the new one, or one that --resume settles."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rai import intake
from rai.errors import InputError
from rai.files import ENDED, sha256
from rai.ledger import read_ledger
from rai.subject import Subject
from rai.training import making, train
from rai.training import workshop as shop

WIDER = {"hidden = [8]": "hidden = [6, 6]"}
FILES = {"ledger.json", "model.pt", "model.toml", "rows_test.csv", "rows_train.csv"}
RENAMES = range(1, 2 + len(FILES))


def killed_before(recipe: Path, name: str) -> None:
    """Train, and be killed before the file of this name is put in its place; in a process of its own."""
    whole = os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(target).name == name and Path(source).parent.name == ENDED:
            os.kill(os.getpid(), signal.SIGKILL)
        whole(source, target)

    os.replace = replace
    train(recipe)


class Kill(BaseException):
    """The end of a process, as far as one process can play it."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], int]:
    """Train, and be stopped at so-many-th renaming of those that put the files in place; return how many there were."""

    def run(recipe: Path, place: int) -> int:
        whole, seen = os.replace, []

        def replace(source: Any, target: Any) -> None:
            seen.append(source)
            if len(seen) == place:
                raise Kill
            whole(source, target)

        def commit(ready: shop.Workshop) -> None:
            patch.setattr(os, "replace", replace)
            shop.commit(ready)

        with monkeypatch.context() as patch:
            patch.setattr(making, "commit", commit)
            try:
                train(recipe)
            except Kill:
                assert len(seen) == place
        return len(seen)

    return run


def subject_of(model: Path) -> Subject:
    return intake.from_files(model, intake.Choices()).subject


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def same(one: Path, other: Path) -> bool:
    first, second = (torch.load(each, weights_only=True) for each in (one, other))
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_every_renaming_is_among_those_that_are_tried(
    folder: Path, recipe_with: Callable[..., Path], killed_at: Callable[[Path, int], int]
) -> None:
    train(folder / "recipe.toml")
    assert killed_at(recipe_with(**WIDER), 0) == RENAMES[-1]
    assert {each.name for each in folder.iterdir()} == {*FILES, "rows.csv", "recipe.toml"}


@pytest.mark.parametrize("place", RENAMES)
def test_killed_at_any_renaming_it_is_the_old_set_or_refused_and_then_the_new_one(
    folder: Path, tmp_path: Path, recipe_with: Callable[..., Path], killed_at: Callable[[Path, int], int], place: int
) -> None:
    model = train(folder / "recipe.toml").model
    old = contents(folder)
    recipe = recipe_with(**WIDER)
    unbroken = train(recipe, out=tmp_path / "unbroken")
    killed_at(recipe, place)
    with pytest.raises(InputError, match="--resume"):
        train(recipe)
    if contents(folder) == old and not (folder / ENDED).exists():
        assert place == 1
        assert subject_of(model).ledger is not None
    else:
        with pytest.raises(InputError, match="run rai train RECIPE --resume again") as refused:
            subject_of(model)
        assert "\n" not in str(refused.value)
    made = train(recipe, resume=True)
    assert same(made.model, unbroken.model)
    ledger = read_ledger(made.ledger)
    assert subject_of(made.model).ledger == ledger
    assert [run.settings["epochs"] for run in ledger.runs] == [12]
    assert {each.name for each in folder.iterdir()} == {*FILES, "rows.csv", "recipe.toml", "unbroken"}


@pytest.mark.parametrize("name", ["ledger.json", "model.pt"])
def test_a_process_that_is_killed_for_good_is_settled_without_training_again(
    folder: Path, in_processes: Callable[..., list[int]], name: str
) -> None:
    """The first model in its folder: there is none to audit, and that is said in the same words."""
    assert in_processes(lambda: killed_before(folder / "recipe.toml", name)) == [-signal.SIGKILL]
    waiting = sha256(folder / ENDED / "model.pt")
    with pytest.raises(InputError, match="run rai train RECIPE --resume again"):
        subject_of(folder / "model.pt")
    heard: list[object] = []
    made = train(folder / "recipe.toml", resume=True, watch=SimpleNamespace(step=heard.append))
    assert heard == []
    assert made.summary[0].startswith("the training had ended before")
    assert read_ledger(made.ledger).model == sha256(made.model) == waiting
    assert subject_of(made.model).ledger is not None


def test_a_stop_after_the_model_is_in_place_is_no_matter_to_an_audit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(shop.shutil, "rmtree", stopped)
        with pytest.raises(Kill):
            shop.settle(_waiting(folder))
    assert (folder / "model.pt").read_bytes() == b"new"
    assert not (folder / "checkpoint.pt").exists()
    shop.settle(folder)
    assert not (folder / ENDED).exists()


def test_a_folder_of_rows_takes_the_place_of_an_earlier_one_at_any_point(folder: Path) -> None:
    for place in range(1, 5):
        _waiting(folder)
        for where, name in ((folder, "old.png"), (folder / ENDED, "new.png")):
            (where / "rows_train").mkdir(exist_ok=True)
            (where / "rows_train" / name).write_bytes(b"")
        whole, seen = os.replace, []

        def replace(source: Any, target: Any, whole: Any = whole, seen: list[Any] = seen, place: int = place) -> None:
            seen.append(source)
            if len(seen) == place:
                raise Kill
            whole(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", replace)
            try:
                shop.settle(folder)
            except Kill:
                shop.settle(folder)
        assert [each.name for each in (folder / "rows_train").iterdir()] == ["new.png"]
        assert not (folder / ENDED).exists()
        (folder / "rows_train" / "new.png").unlink()


def _waiting(folder: Path) -> Path:
    """A folder where the files of a training that has ended wait."""
    (folder / ENDED).mkdir()
    (folder / "checkpoint.pt").write_bytes(b"old")
    for name in ("model.pt", "ledger.json"):
        (folder / name).write_bytes(b"old")
        (folder / ENDED / name).write_bytes(b"new")
    return folder
