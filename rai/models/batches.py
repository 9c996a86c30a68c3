"""Asks a model in batches and brings its answers into one shape."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rai.errors import InputError
from rai.subject import Floats

BATCH = 4096
MOST_NUMBERS, MOST_PLACES, MOST_PIXELS = 2**22, 2**14, 2**20
"""The most of a batch: numbers of a table, tokens or time steps, pixels.

Inside a network every token or step becomes hundreds of numbers and every pixel dozens. Under these bounds a common
network (BERT base, or 64 maps of 224 × 224 pixels) takes about half a gigabyte; larger batches were no faster.
"""


def in_batches(answer: Callable[[Any], Floats], inputs: Any, *, tokens: bool = False) -> Floats:
    """Ask about as many rows at a time as memory bears, in batches of nearly equal size, and join the answers.

    With `tokens`, the inputs are texts: a token weighs more than a number.
    """
    rows = len(inputs)
    pieces = max(1, math.ceil(rows / most_rows(np.shape(inputs), tokens=tokens)))
    bounds = [rows * piece // pieces for piece in range(pieces + 1)]
    parts = [answer(some(inputs, start, stop)) for start, stop in pairwise(bounds)]
    return parts[0] if pieces == 1 else np.concatenate(parts)


def most_rows(shape: Sequence[int], *, tokens: bool = False) -> int:
    """How many rows of inputs of this shape a batch may hold: from 1 to 4096."""
    if len(shape) == 2 and not tokens:
        most, each = MOST_NUMBERS, shape[1]
    elif len(shape) == 4:
        most, each = MOST_PIXELS, shape[2] * shape[3]
    else:
        most, each = MOST_PLACES, math.prod(shape[1:2])
    return max(1, min(BATCH, most // max(1, each)))


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
