"""The way of clipping that suits a network: each that gives the true sum is timed on a batch; the fastest is taken."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.train.batches import Batch
from rai.train.private.clipped_sum import Clipped, ClippedSum, Losses, trainable
from rai.train.private.gradients_book_keeping import book_keeping
from rai.train.private.gradients_loop import loop
from rai.train.private.gradients_opacus import ghost, hooks

__all__ = ["MODES", "Chosen", "Clipped", "ClippedSum", "Losses", "chosen"]

MODES: Mapping[str, Clipped] = MappingProxyType({"book_keeping": book_keeping, "ghost": ghost, "hooks": hooks})
"""Every fast way of clipping by its name in a recipe; `loop` is the slow one that they are held against."""
HELD_AGAINST = 3
"""So many rows are clipped one by one, to see whether a faster way finds the same sum."""
MOST_NUMBERS = 2**28
"""`hooks` is not tried where it would hold more numbers than this (1 GiB of float32) at once."""


@dataclass(frozen=True)
class Chosen:
    """The way of clipping that was chosen, with what was measured.

    `seconds` a batch of each that works, and in `refused`, by name, why each other does not.
    """

    name: str
    clipped: Clipped
    seconds: Mapping[str, float]
    refused: Mapping[str, str]


def chosen(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float, mode: str = "auto") -> Chosen:
    """Return the fastest way of clipping that gives the same sum as the explicit loop on a few rows of `batch`.

    Dropout rests while they are compared; a network that is random in other ways is taken at its word. The module must
    be in training mode and leaves as it came, and torch's generator too. A `mode` other than "auto" is compared and
    timed alone. With "auto", where none works the explicit loop is chosen. Raises `InputError` when `mode` is not
    known or does not work, when the batch has no rows, or when the network cannot read one row alone.
    """
    if mode != "auto" and mode not in MODES:
        raise InputError(f"is {mode!r}", where="private.gradients", expected=f"auto or one of {', '.join(MODES)}")
    if not len(batch.inputs):
        raise InputError("has no rows to try the gradients on", where="private training, first batch")
    asked = MODES if mode == "auto" else {mode: MODES[mode]}
    with torch.random.fork_rng(devices=[]):
        truth = _truth(module, losses, batch, max_grad_norm)
        trial = _Trial(module, losses, batch, max_grad_norm, truth)
        seconds, refused = _tried(asked, trial)
    if seconds:
        best = min(seconds, key=seconds.__getitem__)
        return Chosen(best, MODES[best], seconds, refused)
    if mode != "auto":
        raise InputError(refused[mode], where=f"private.gradients = {mode!r}", do='choose gradients = "auto"')
    return Chosen("loop", loop, {}, refused)


@dataclass(frozen=True)
class _Trial:
    """What each way of clipping is tried on, and the true sum over its first rows (`None`: it is random)."""

    module: nn.Module
    losses: Losses
    batch: Batch
    max_grad_norm: float
    truth: ClippedSum | None

    def clip(self, way: Clipped) -> None:
        way(self.module, self.losses, self.batch, self.max_grad_norm)

    def differs(self, way: Clipped) -> bool:
        """Whether this way finds another sum than the explicit loop."""
        if self.truth is None:
            return False
        with _without_dropout(self.module):
            found = way(self.module, self.losses, _few(self.batch), self.max_grad_norm)
        return not _alike(found, self.truth, self.max_grad_norm)


def _tried(ways: Mapping[str, Clipped], trial: _Trial) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of each way that works, and why each other does not."""
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name, way in ways.items():
        try:
            if problem := _problem(name, way, trial):
                refused[name] = problem
            else:
                seconds[name] = _seconds(way, trial, min(seconds.values(), default=math.inf))
        except InputError as error:
            refused[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a vendor may fail in any way on a network that it does not know
            refused[name] = f"it cannot follow this network ({type(error).__name__})"
    return seconds, refused


def _problem(name: str, way: Clipped, trial: _Trial) -> str | None:
    numbers = len(trial.batch.inputs) * sum(each.numel() for each in trainable(trial.module).values())
    if name == "hooks" and numbers > MOST_NUMBERS:
        return f"it would hold {numbers / 2**28:.1f} GiB of gradients at once"
    return "its sum differs from the explicit loop's" if trial.differs(way) else None


def _seconds(way: Clipped, trial: _Trial, best: float) -> float:
    """Least of up to three runs; one run that is far from the best so far is enough."""
    times: list[float] = []
    while not times or (len(times) < 3 and min(times) < 3 * best):
        began = time.perf_counter()
        trial.clip(way)
        times.append(time.perf_counter() - began)
    return min(times)


def _truth(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum | None:
    """The sum over a few rows by the explicit loop; `None` when the network answers differently each time."""
    try:
        with _without_dropout(module):
            first, second = (loop(module, losses, _few(batch), max_grad_norm) for _ in range(2))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the network or its loss fails on one row alone ({type(error).__name__})",
            where="private training",
            expected="a network whose answer to a row needs no other row",
        ) from error
    return first if _alike(first, second, max_grad_norm) else None


def _few(batch: Batch) -> Batch:
    return Batch(batch.inputs[:HELD_AGAINST], batch.targets[:HELD_AGAINST])


def _alike(one: ClippedSum, other: ClippedSum, max_grad_norm: float) -> bool:
    """Whether norms and sums are the same up to rounding, which grows with the square root of the precision."""
    close = 4 * math.sqrt(torch.finfo(other.norms.dtype).eps)

    def same(found: Tensor, true: Tensor) -> bool:
        return torch.allclose(found, true, rtol=close, atol=close * max_grad_norm)

    return same(one.norms, other.norms) and all(same(one.sums[name], true) for name, true in other.sums.items())


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    """No layer drops anything until the block ends."""
    rates = [
        (each, name, getattr(each, name))
        for each in module.modules()
        for name in ("p", "dropout")
        if isinstance(getattr(each, name, None), float)
    ]
    try:
        for each, name, _ in rates:
            setattr(each, name, 0.0)
        yield
    finally:
        for each, name, rate in rates:
            setattr(each, name, rate)
