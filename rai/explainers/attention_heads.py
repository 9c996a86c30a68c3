"""What each head of a transformer does on average: how widely it looks, and whether at words or at special tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from rai.explainers.attention_seats import Seats
from rai.subject import Bools, Floats, Ints

MOST_POSITIONS = 12


@dataclass(frozen=True)
class Heads:
    """What heads do in each row, and where positions look on average.

    `spread`, (rows, layers, heads), is the entropy of where a row's positions look, 0 for one position and 1 for all
    alike; NaN for rows of fewer than two positions. `special` is the share that goes to special tokens, shaped alike,
    and `padding`, (rows,), the most that any position of a row gives to its padding. `grid`, (positions, positions),
    is the mean map of the first positions over the rows that have both, and `rows` counts these. `front` says whether
    the first of them was put there by the model.
    """

    spread: Floats
    special: Floats
    padding: Floats
    grid: Floats
    rows: Ints
    front: bool


def heads(module: Any, inputs: Any, *, where: Seats) -> Heads:
    """What the heads of a module do in these rows; raises `InputError` as `maps` does."""
    from rai.explainers.attention_maps import layers_of, readable  # imports torch

    ready = readable(module)
    found = [_heads(layers_of(ready, inputs[part]), where.take(part)) for part in where.batches()]
    rows = np.sum([each.rows for each in found], axis=0)
    total = np.sum([each.grid for each in found], axis=0)
    return Heads(
        np.concatenate([each.spread for each in found]),
        np.concatenate([each.special for each in found]),
        np.concatenate([each.padding for each in found]),
        total / np.maximum(rows, 1),
        rows,
        found[0].front,
    )


def _heads(layers: list[Floats], where: Seats) -> Heads:
    """The same for one batch, `grid` still a sum."""
    where = where.fitted(layers[0].shape[-1])
    known = where.known(layers[0].shape[-1])
    words = np.pad(where.words, ((0, 0), (known.shape[1] - where.words.shape[1], 0)))
    first = slice(MOST_POSITIONS)
    both = (known[:, first, None] & known[:, None, first]).astype(np.int64)
    mean = np.mean([each[:, :, first, first].mean(axis=1) for each in layers], axis=0, dtype=np.float64)
    return Heads(
        np.stack([_spread(each, known) for each in layers], axis=1),
        np.stack([_share(each, known, known & ~words) for each in layers], axis=1),
        np.max([_most(each, known) for each in layers], axis=0),
        (mean * both).sum(axis=0),
        both.sum(axis=0),
        known.shape[1] > where.words.shape[1],
    )


def _spread(layer: Floats, known: Bools) -> Floats:
    """Entropy over the logarithm of the positions there are, mean over a row's positions, (rows, heads)."""
    count = known.sum(axis=1)
    most = np.where(count > 1, np.log(np.maximum(count, 2)), np.nan)
    return _over_readers(entr(layer.astype(np.float64)).sum(axis=3), known) / most[:, None]


def _share(layer: Floats, known: Bools, chosen: Bools) -> Floats:
    """Mean share that a row's positions give to the chosen ones, (rows, heads)."""
    return _over_readers((layer * chosen[:, None, None, :]).sum(axis=3, dtype=np.float64), known)


def _most(layer: Floats, known: Bools) -> Floats:
    """The most that any position of a row gives to its padding, (rows,)."""
    given = (layer * ~known[:, None, None, :]).sum(axis=3, dtype=np.float64) * known[:, None, :]
    return np.asarray(given.max(axis=(1, 2)))


def _over_readers(values: Floats, known: Bools) -> Floats:
    """The mean over the positions before a row's padding, (rows, heads), of values (rows, heads, positions)."""
    return np.asarray((values * known[:, None, :]).sum(axis=2) / np.maximum(known.sum(axis=1), 1)[:, None])
