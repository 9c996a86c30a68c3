"""Walks from a baseline to each row, in steps that are doubled until nothing of the score's change is missing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.gradients_entrance import OTHERS, Entrance, batch, tensor
from rai.subject import Bools, Ints

Numbers = NDArray[np.float64]
STEPS = 32
FEWEST_MOST, MOST = 256, 2**14
MOST_BYTES = 2**27
CLOSE = 0.01
CANCELLED = 1e-4


@dataclass(frozen=True)
class Way:
    """Rows as numbers, where their ways start, (rows, *numbers) both, and what the module itself is given."""

    numbers: torch.Tensor
    start: torch.Tensor
    given: torch.Tensor

    def take(self, rows: Ints) -> "Way":
        """The ways of these rows."""
        kept = torch.from_numpy(rows).to(self.given.device)
        return Way(self.numbers[kept], self.start[kept], self.given[kept])


@dataclass(frozen=True)
class Walked:
    """What walks came to: `values` (rows, *shape, outputs), `base` (rows, outputs), and rows that the model scored."""

    values: Numbers
    base: Numbers
    scored: int


Walk = Callable[[Way, int, int], torch.Tensor]


def walked(inside: Entrance, rows: Any, against: Any, *, most: int | None, walk: Walk) -> Walked:
    """Walk from `against` to `rows`, both as the module takes them, for each output.

    `walk(way, output, steps)` gives (rows, *shape), which should add up to the change of the score. `most`: steps a
    row, by default 16,384 for small rows, fewer for large ones and at least 256.
    """
    probe = inside.enter(tensor(inside.module, rows[:1]))
    size = max(1, batch(probe) // STEPS)
    most = most or max(FEWEST_MOST, min(MOST, MOST_BYTES // (probe.numel() * probe.element_size())))
    parts = [slice(first, first + size) for first in range(0, len(rows), size)]
    found = [_part(inside, rows[part], against[part], most, walk) for part in parts]
    values, base = (np.concatenate([getattr(each, name) for each in found]) for name in ("values", "base"))
    return Walked(values, base, inside.scored)


def _part(inside: Entrance, rows: Any, against: Any, most: int, walk: Walk) -> Walked:
    given = tensor(inside.module, rows)
    way = Way(inside.enter(given), inside.enter(tensor(inside.module, against)), given)
    base, full = numbers(inside.level(way.start, given)), numbers(inside.level(way.numbers, given))
    outputs = range(full.shape[1])
    values = [_refined(way, full[:, output], base[:, output], most, _at(walk, output)) for output in outputs]
    return Walked(np.stack(values, axis=-1), base, 0)


def _at(walk: Walk, output: int) -> Callable[[Way, int], torch.Tensor]:
    return lambda way, steps: walk(way, output, steps)


def _refined(way: Way, full: Numbers, base: Numbers, most: int, walk: Callable[[Way, int], torch.Tensor]) -> Numbers:
    steps = min(STEPS, most)
    values = _finite(walk(way, steps))
    open_ = np.flatnonzero(incomplete(values, full, base))
    while len(open_) and 2 * steps <= most:
        steps *= 2
        values[open_] = _finite(walk(way.take(open_), steps))
        open_ = open_[incomplete(values[open_], full[open_], base[open_])]
    return values


def incomplete(values: Numbers, full: Numbers, base: Numbers) -> Bools:
    """Which rows' values miss full - base by more than 1 % of it, (rows,).

    Where values cancel almost wholly, 0.01 % of their sizes' sum will do: to halve a miss that small doubles the steps,
    until the rounding of 32-bit gradients ends it. The note on the attribution still names such rows.
    """
    flat = values.reshape(len(values), -1)
    missed = np.abs(flat.sum(axis=1) - (full - base))
    return np.asarray(missed > np.maximum(CLOSE * np.abs(full - base), CANCELLED * np.abs(flat).sum(axis=1)))


def judged(found: Attribution) -> Attribution:
    """The same, with a note where some rows' values do not add up within 1 % of the score's change."""
    apart = np.asarray(found.gap > CLOSE)
    if not apart.any():
        return found
    missed = np.abs(found.values.sum(axis=1) - (found.full - found.base))[apart].max()
    rows = int(np.any(apart.reshape(len(apart), -1), axis=1).sum())
    said = f"for {rows} of {len(apart)} rows the values miss the change of the score by more than 1 % of it"
    return replace(found, note=f"{said}, at most by {missed:.2g}")


def numbers(found: torch.Tensor) -> Numbers:
    """A tensor as an array of 64-bit numbers."""
    return found.detach().cpu().double().numpy()


def _finite(found: torch.Tensor) -> Numbers:
    array = numbers(found)
    if not np.isfinite(array).all():
        raise InputError("the model's gradient is not finite for some rows", do=OTHERS)
    return array
