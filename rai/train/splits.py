"""Which rows are learned from and which are held back, so that no class and no group is forgotten in either part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.subject import Groups, Ints

BINS = 4
"""Values of a regression are put into this many classes of equal size before they are dealt out."""


@dataclass(frozen=True)
class Split:
    """Positions of the rows to learn from and of those held back, each in rising order."""

    kept: Ints
    held: Ints


def strata(labels: NDArray[Any], groups: Mapping[str, Groups]) -> Ints:
    """Return which stratum each row is in: one for each combination of label and group that occurs.

    Real-numbered labels are cut at their quartiles; those of several columns count as one combination.
    """
    found = np.zeros(len(labels), dtype=np.int64)
    columns = [*_classes(labels), *(groups[name].codes for name in sorted(groups))]
    for each in columns:
        codes = np.unique(each, return_inverse=True)[1].ravel()
        found = np.unique(found * (codes.max(initial=0) + 1) + codes, return_inverse=True)[1].ravel()
    return np.asarray(found)


def split(found: Ints, share: float, seed: int) -> Split:
    """Hold back `share` of the rows, as near to it in every stratum as whole rows allow.

    Seats are dealt out by largest remainder, first among strata that have none yet; a stratum's last row is never held
    back. The same strata, share and seed give the same rows.
    """
    rng = np.random.default_rng([seed, 0x5B117])
    sizes = np.bincount(found)
    seats = _seats(sizes, share, rng)
    shuffled = rng.permutation(len(found))
    ordered = shuffled[np.argsort(found[shuffled], kind="stable")]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(len(found)) - starts
    away = place < np.repeat(seats, sizes)
    return Split(np.sort(ordered[~away]), np.sort(ordered[away]))


def _seats(sizes: Ints, share: float, rng: np.random.Generator) -> Ints:
    """How many rows of each stratum are held back."""
    quotas = sizes * share
    seats = np.minimum(np.floor(quotas).astype(np.int64), np.maximum(sizes - 1, 0))
    left = round(float(quotas.sum())) - int(seats.sum())
    while left > 0 and len(able := np.flatnonzero(seats < sizes - 1)):
        order = np.lexsort((rng.random(len(able)), -(quotas - seats)[able], seats[able] > 0))
        seats[able[order[:left]]] += 1
        left -= min(left, len(able))
    return np.asarray(seats)


def _classes(labels: NDArray[Any]) -> list[NDArray[Any]]:
    if labels.ndim == 2:
        return [each for column in labels.T for each in _classes(column)]
    if labels.dtype.kind == "f" and len(np.unique(labels)) > BINS:
        return [np.asarray(np.searchsorted(np.quantile(labels, np.arange(1, BINS) / BINS), labels))]
    return [labels]
