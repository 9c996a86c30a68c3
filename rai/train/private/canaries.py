"""Made-up rows planted by the toss of a coin, so that a later audit can tell how much the model gives away.

Half of the candidates, in the mean, are trained on as if they were rows like others. Whoever knows the candidates and
not the coins guesses which they were; what is guessed beyond chance bounds epsilon from below (Steinke, Nasr and
Jagielski 2023, arXiv:2305.08846). They stand for nobody, and the promise to all other rows is as before.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rai.ledger import Canaries
from rai.train.batches import Batch, Rows
from rai.train.losses import Task
from rai.train.private.sampling import Units, secret


def toss(count: int) -> Canaries | None:
    """Toss a fair coin for each of `count` canaries; None where none are wanted. Seed and coins are the system's."""
    if not count:
        return None
    seed = int.from_bytes(os.urandom(6), "big")
    return Canaries(seed, tuple(bool(coin) for coin in secret().random(count) < 0.5))


def candidates(canaries: Canaries, like: Tensor, *, task: Task, outputs: int, tokens: int | None = None) -> Batch:
    """Make all canaries again, those trained on and the others, in the order of `canaries.included`.

    `like` are rows whose shape and kind of number they get: standard normal numbers, or token numbers below `tokens`.
    Targets are drawn evenly among the classes that `outputs` numbers tell apart; in regression they are normal.
    """
    rng, count = np.random.default_rng(canaries.seed), len(canaries.included)
    shape = (count, *like.shape[1:])
    made = rng.standard_normal(shape) if tokens is None else rng.integers(0, tokens, shape)
    return Batch(torch.from_numpy(made).to(like.dtype), torch.from_numpy(_targets(rng, count, task, outputs)))


def _targets(rng: np.random.Generator, count: int, task: Task, outputs: int) -> NDArray[Any]:
    match task:
        case "multiclass":
            return rng.integers(0, outputs, count)
        case "regression":
            return rng.standard_normal((count, outputs))
        case _:
            return rng.integers(0, 2, (count, outputs))


def planted(rows: Rows, made: Batch, canaries: Canaries) -> Rows:
    """The rows with those canaries behind them whose coin fell so. They belong to no group."""
    kept = torch.tensor(canaries.included)
    inputs = torch.cat([rows.inputs, made.inputs[kept].to(rows.inputs.dtype)])
    targets = made.targets[kept].to(rows.targets.dtype).reshape(-1, *rows.targets.shape[1:])
    return replace(rows, inputs=inputs, targets=torch.cat([rows.targets, targets]), groups={})


def with_canaries(units: Units, rows: int, canaries: Canaries | None) -> Units:
    """The units with each planted canary as one of its own, behind the `rows` rows there are."""
    more = sum(canaries.included) if canaries is not None else 0
    if units.members is None or not more:
        return replace(units, count=units.count + more)
    alone = torch.split(torch.arange(rows, rows + more), 1)
    return Units(units.count + more, (*units.members, *alone))
