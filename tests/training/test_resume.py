"""A training that was stopped, gently or not, goes on to the same weights; what it left is never mistaken."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from rai.errors import InputError
from rai.ledger import read_ledger
from rai.train import fitting
from rai.train.loop import Moment, Watch
from rai.training import checkpoint_of, train


class Reaper:
    """Ends its own process at a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, moment: Moment) -> None:
        if moment.step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(recipe: Path, step: int) -> None:
    """Train with a checkpoint after every step, and be killed; in a process of its own."""
    fitting.Keeper = partial(fitting.Keeper, every=0.0)  # type: ignore[assignment, misc]
    train(recipe, watch=Reaper(step))


def weights(model: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(model, weights_only=True))


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_weights_come(
    folder: Path, tmp_path: Path, stop_at: Callable[[int], Watch]
) -> None:
    unbroken = train(folder / "recipe.toml", out=tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        train(folder / "recipe.toml", watch=stop_at(40))
    assert checkpoint_of(folder / "recipe.toml").exists()
    assert not (folder / "model.pt").exists()
    resumed = train(folder / "recipe.toml", resume=True)
    assert same(unbroken.model, resumed.model)
    first, second = read_ledger(unbroken.ledger), read_ledger(resumed.ledger)
    assert [each.loss for each in first.epochs] == [each.loss for each in second.epochs]
    assert not checkpoint_of(folder / "recipe.toml").exists()


@pytest.mark.parametrize("step", [1, 33])
def test_a_killed_training_goes_on_to_the_same_weights(
    folder: Path, tmp_path: Path, in_processes: Callable[..., list[int]], step: int
) -> None:
    unbroken = train(folder / "recipe.toml", out=tmp_path / "unbroken")
    assert in_processes(lambda: killed(folder / "recipe.toml", step)) == [-signal.SIGKILL]
    if step > 1:
        assert same(unbroken.model, train(folder / "recipe.toml", resume=True).model)
    else:
        with pytest.raises(InputError, match="no checkpoint to go on from"):
            train(folder / "recipe.toml", resume=True)
        assert same(unbroken.model, train(folder / "recipe.toml").model)
    assert not (folder / ".training").exists()


def test_a_stopped_training_is_not_silently_begun_anew(folder: Path, stop_at: Callable[[int], Watch]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(folder / "recipe.toml", watch=stop_at(40))
    with pytest.raises(InputError, match="--resume, or delete it"):
        train(folder / "recipe.toml")


def test_changed_rows_and_changed_settings_are_not_gone_on_with(
    folder: Path, recipe_with: Callable[..., Path], stop_at: Callable[[int], Watch]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(folder / "recipe.toml", watch=stop_at(40))
    with pytest.raises(InputError, match="learning_rate was 0.02"):
        train(recipe_with(**{"learning_rate = 0.02": "learning_rate = 0.03"}), resume=True)
    rows = (folder / "rows.csv").read_text()
    (folder / "rows.csv").write_text(rows.replace(rows.splitlines()[1], "40.0,9,clerk,f,no"))
    with pytest.raises(InputError, match="data was"):
        train(recipe_with(), resume=True)


def test_nothing_to_go_on_from_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint to go on from"):
        train(folder / "recipe.toml", resume=True)
