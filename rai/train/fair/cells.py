"""The cells that a criterion compares: combinations of sensitive levels, with or without the actual class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.subject import UNKNOWN, Floats, Ints
from rai.train.fair.job import Attribute


@dataclass(frozen=True)
class Combinations:
    """The combinations of levels that occur among some rows: `codes` (combinations, attributes), in rising order."""

    codes: Ints

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, codes: Ints) -> Ints:
        """Return which combination each row has, (rows,), -1 where a level is unknown or the combination new."""
        places = {tuple(each): place for place, each in enumerate(self.codes.tolist())}
        return np.array([places.get(tuple(each), UNKNOWN) for each in codes.tolist()], dtype=np.int64)


def combinations(codes: Ints) -> Combinations:
    """Return the combinations among rows with `codes` (rows, attributes); rows with an unknown level do not count."""
    return Combinations(np.unique(codes[(codes >= 0).all(axis=1)], axis=0))


@dataclass(frozen=True)
class Terms:
    """What a criterion asks to be 0, term by term: how far a group's rate is from that of all groups together.

    Were row i of class y and combination k, its decision for class `decisions[t]` would add `pulls[t, y, k]` to the
    mean that is term t. `pulls` (terms, classes, combinations), `decisions` (terms,).
    """

    pulls: Floats
    decisions: Ints

    def seen(self, likely: Floats) -> Floats:
        """Return what deciding for each row adds, (rows, terms); `likely` (rows, classes, combinations) sum to 1."""
        return np.asarray(np.einsum("nyk,tyk->nt", likely, self.pulls, optimize=True))

    def actual(self, labels: Ints, cells: Ints) -> Floats:
        """Return the same where class and combination of each row are known: (rows, terms)."""
        return np.asarray(self.pulls[:, labels, cells].T)

    def owners(self, decisions: int) -> Floats:
        """Return which decision each term is about: (terms, decisions) of 0 and 1."""
        return np.eye(decisions)[self.decisions]


def terms(
    criterion: str, counts: NDArray[Any], found: Combinations, attributes: Sequence[Attribute], *, least: int = 1
) -> Terms:
    """Return the terms of a criterion; `counts` (classes, combinations) are the rows of each class and combination.

    Of two classes decisions for class 1 alone are looked at (decision 0 of one), of more each against the rest. A level
    with fewer than `least` rows that count has no term.
    """
    watched = [1] if len(counts) == 2 else list(range(len(counts)))
    share = counts / counts.sum()
    kept = [
        (pull, place)
        for place, watch in enumerate(watched)
        for among in _conditions(criterion, watch, len(counts))
        for column, each in enumerate(attributes)
        for pull in _pulls(share, among, found.codes[:, column], (len(each.levels), least / counts.sum()))
    ]
    pulls = np.array([pull for pull, _ in kept]).reshape(-1, *counts.shape)
    return Terms(pulls, np.array([place for _, place in kept], dtype=np.int64))


def _conditions(criterion: str, watched: int, classes: int) -> list[Floats]:
    """Among rows of which actual classes the rates are compared: (classes,) of 0 and 1."""
    own = np.eye(classes)[watched]
    known = {"demographic_parity": [np.ones(classes)], "equal_opportunity": [own]}
    return known.get(criterion, [own, 1.0 - own])


def _pulls(share: Floats, among: Floats, codes: Ints, wanted: tuple[int, float]) -> Iterator[Floats]:
    """One term for each of so many levels that has this share of rows at least, where there are two such levels."""
    levels, least = wanted
    counted = np.outer(among, np.ones(len(codes)))
    inside = [counted * (codes == level) for level in range(levels)]
    present = [each for each in inside if (each * share).sum() > least * (1 - 1e-9)]
    if len(present) > 1:
        pooled = counted / (counted * share).sum()
        yield from (each / (each * share).sum() - pooled for each in present)
