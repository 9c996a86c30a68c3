"""Asks a model in batches and brings its answers into one shape."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from rai.errors import InputError
from rai.subject import Floats

BATCH = 4096


def in_batches(answer: Callable[[Any], Floats], inputs: Any) -> Floats:
    """Ask about at most 4096 rows at a time, in batches of nearly equal size, and join the answers."""
    rows = len(inputs)
    pieces = max(1, math.ceil(rows / BATCH))
    bounds = [rows * piece // pieces for piece in range(pieces + 1)]
    parts = [answer(some(inputs, start, stop)) for start, stop in pairwise(bounds)]
    return parts[0] if pieces == 1 else np.concatenate(parts)


def some(inputs: Any, start: int, stop: int) -> Any:
    """Rows from `start` to before `stop` of an array or a data frame."""
    return inputs.iloc[start:stop] if hasattr(inputs, "iloc") else inputs[start:stop]


def shaped(answer: Any, rows: int, where: str) -> Floats:
    """An answer as an array of shape (rows, outputs); raise `InputError` when it is no such thing."""
    found = np.asarray(answer)
    if found.dtype.kind not in "fiub":
        raise InputError("does not answer with real numbers", where=where, expected="one row of numbers for each row")
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != rows or found.shape[1] == 0:
        shape = " × ".join(map(str, np.shape(answer))) or "a single number"
        raise InputError(
            f"answers {rows} rows with an array of shape {shape}", where=where, expected=f"shape {rows} × outputs"
        )
    return found if found.dtype.kind == "f" and found.dtype.itemsize >= 4 else found.astype(np.float32)
