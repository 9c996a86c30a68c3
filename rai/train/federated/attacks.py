"""What a dishonest or broken site could send: attacks to try a strategy with, as pure functions.

Sign flips are those of Li et al. 2019 (RSA, arXiv:1811.03761); the rest are faults that happen.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError

if TYPE_CHECKING:
    from rai.train.federated.site import Learner, Task, Update

Arrays = Mapping[str, NDArray[Any]]
ATTACKS = ("sign_flip", "nan", "inflated")
BOTH = "both"
CLAIMED = 1_000_000


def sign_flip(update: Arrays, reference: Arrays, scale: float = 5.0) -> dict[str, NDArray[Any]]:
    """Return an update that walks `scale` times as far in the opposite direction from what was sent out."""
    return {name: _flipped(each, reference[name], scale) for name, each in update.items()}


def _flipped(array: NDArray[Any], start: NDArray[Any], scale: float) -> NDArray[Any]:
    if not _floating(array):
        return array.copy()
    return np.asarray(start - scale * (array - start)).astype(array.dtype)


def nan(update: Arrays) -> dict[str, NDArray[Any]]:
    """Return an update whose every floating-point number is NaN."""
    return {name: np.full_like(each, np.nan) if _floating(each) else each.copy() for name, each in update.items()}


def inflated(examples: int) -> int:
    """Return how many rows a site claims that wants to outweigh all others: a million, or more where it has more."""
    return max(CLAIMED, 10 * examples)


def dishonest(learner: "Learner", attack: str, scale: float = 5.0) -> "Learner":
    """Return a learner that learns as `learner` does and sends what the attack makes of it.

    `attack` is one of `ATTACKS`, or "both", a flipped sign with an inflated count. Raises `InputError` for another.
    """
    if attack not in {*ATTACKS, BOTH}:
        raise InputError(f"is {attack!r}", where="attack", expected=f"one of {', '.join((*ATTACKS, BOTH))}")

    def sent(module: Any, rows: Any, task: "Task") -> "Update":
        return _attacked(learner(module, rows, task), task.state, attack, scale)

    return sent


def _attacked(update: "Update", reference: Arrays, attack: str, scale: float) -> "Update":
    arrays, examples = update.arrays, update.examples
    if attack in {"sign_flip", BOTH}:
        arrays = sign_flip(arrays, reference, scale)
    if attack == "nan":
        arrays = nan(arrays)
    if attack in {"inflated", BOTH}:
        examples = inflated(examples)
    return replace(update, arrays=arrays, examples=examples)


def _floating(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f"
