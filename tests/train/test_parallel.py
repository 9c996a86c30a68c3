"""Several processes end where one alone would: plain and private, to 1e-6, in every parameter."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rai.errors import InputError
from rai.subject import Groups
from rai.train import parallel
from rai.train.batches import Rows
from rai.train.parallel import World, joined, world
from rai.train.private import shards
from rai.train.private.shards import shard

WORKER = Path(__file__).parent / "parallel_worker.py"


@pytest.fixture(scope="module")
def alone() -> Any:
    """What one process alone makes of all rows."""
    return runpy.run_path(str(WORKER))["trainings"]()


@pytest.fixture(scope="module")
def both(alone: Any, in_two_processes: Callable[..., list[int]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each of two processes has in the end; they begin with what `alone` has loaded."""
    folder = tmp_path_factory.mktemp("two")

    def script(_rank: int) -> None:
        sys.argv = [str(WORKER), str(folder)]
        runpy.run_path(str(WORKER), run_name="__main__")

    assert in_two_processes(script) == [0, 0]
    return tuple(torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))


def furthest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("kind", ["plain", "private", "noisy"])
def test_two_processes_end_where_one_does(kind: str, alone: Any, both: tuple[Any, Any]) -> None:
    start = {name: each.detach() for name, each in runpy.run_path(str(WORKER))["net"]().named_parameters()}
    assert furthest(alone[kind]["parameters"], start) > 0.05
    for found in both:
        assert furthest(found[kind]["parameters"], alone[kind]["parameters"]) <= 1e-6
    assert furthest(both[0][kind]["parameters"], both[1][kind]["parameters"]) == 0.0


def test_batches_of_one_row_leave_one_process_without_any(alone: Any, both: tuple[Any, Any]) -> None:
    for found in both:
        assert furthest(found["plain"]["single"], alone["plain"]["single"]) <= 1e-6


def test_each_process_computes_its_part_of_every_batch_alone(alone: Any, both: tuple[Any, Any]) -> None:
    first, second = (np.array(found["plain"]["rows"]) for found in both)
    assert (first + second == alone["plain"]["rows"]).all()
    assert (abs(first - second) <= 1).all()


def test_every_process_knows_the_losses_of_all_rows(alone: Any, both: tuple[Any, Any]) -> None:
    for found in both:
        assert np.array(found["plain"]["losses"]) == pytest.approx(np.array(alone["plain"]["losses"]), abs=1e-6)


def test_each_shard_tossed_its_own_coins_and_sometimes_drew_nobody(alone: Any, both: tuple[Any, Any]) -> None:
    first, second = (np.array(found["private"]["seen"]) for found in both)
    assert (first + second == alone["private"]["seen"]).all()
    assert ((first == 0) != (second == 0)).any()


def test_processes_judge_alike_and_stop_together_with_batch_normalisation(both: tuple[Any, Any]) -> None:
    first, second = (found["normalised"] for found in both)
    assert furthest(first["state"], second["state"]) == 0
    assert first["losses"] == second["losses"]
    assert 1 < len(first["losses"]) < 12


def test_noise_was_added(alone: Any) -> None:
    assert furthest(alone["private"]["parameters"], alone["noisy"]["parameters"]) > 0.05


def test_the_noise_of_all_processes_together_is_that_of_the_ledger(alone: Any, both: tuple[Any, Any]) -> None:
    """3,001 numbers: their spread is known to 1.3 %. Noise of both processes would be 1.4 times too much."""
    for found in (alone, *both):
        assert found["noise"]["claimed"] == 2.0
        assert float(found["noise"]["moved"]["all"].std()) == pytest.approx(2.0 * 1.005, rel=0.08)
    assert furthest(both[0]["noise"]["moved"], both[1]["noise"]["moved"]) <= 1e-5


def test_processes_that_start_differently_are_made_alike(alone: Any, both: tuple[Any, Any]) -> None:
    for found in both:
        assert furthest(found["alike"], alone["alike"]) == 0


@given(
    rows=st.integers(0, 30),
    size=st.integers(1, 5),
    unit=st.sampled_from(["record", "group:team"]),
    seed=st.integers(0, 9),
)
def test_shards_hold_every_row_once_and_no_unit_twice(rows: int, size: int, unit: str, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 4, rows)
    whole = Rows(
        torch.arange(rows)[:, None], torch.zeros(rows), "binary", {"team": Groups("team", tuple("abcd"), codes)}
    )
    with pytest.MonkeyPatch.context() as patched:
        parts = []
        for rank in range(size):
            patched.setattr(shards, "world", lambda rank=rank: World(rank, size))
            parts.append(shard(whole, unit))
    held = [each.inputs[:, 0].tolist() for each in parts]
    assert sorted(row for each in held for row in each) == list(range(rows))
    assert all(each == sorted(each) for each in held)
    if unit != "record":
        teams = [set(each.groups["team"].codes.tolist()) for each in parts]
        assert sum(map(len, teams)) == len(set(codes.tolist()))


@pytest.fixture
def no_torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in parallel.NEEDED:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_torchrun_a_process_is_alone(no_torchrun: pytest.MonkeyPatch) -> None:
    with joined() as here:
        assert here == world() == World(0, 1)
        assert here.first


def test_half_of_torchrun_is_refused_in_one_line(no_torchrun: pytest.MonkeyPatch) -> None:
    no_torchrun.setenv("WORLD_SIZE", "2")
    no_torchrun.setenv("RANK", "0")
    with pytest.raises(InputError, match="torchrun: MASTER_ADDR is not set; start with"), joined():
        pass
