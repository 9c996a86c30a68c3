"""Which coalitions to try when there are too many to try all, and what to make of their scores."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import helmert

from rai.subject import Bools, Floats


@dataclass(frozen=True)
class Design:
    """Coalitions to try, each together with its complement.

    `coalitions` (pairs, players) holds one of each pair; `weights` (pairs,) its Shapley kernel weight divided by its
    chance to be drawn; `unseen` (pairs,) the share of the pairs of its size that were not drawn.
    """

    coalitions: Bools
    weights: Floats
    unseen: Floats

    @cached_property
    def both(self) -> Bools:
        """The coalitions, then their complements in the same order, (2 × pairs, players)."""
        return np.concatenate([self.coalitions, ~self.coalitions])

    @cached_property
    def regression(self) -> "Regression":
        """The least-squares fit of this design, the same for every row."""
        signs = np.where(self.coalitions, 0.5, -0.5)
        basis, root = helmert(signs.shape[1]), np.sqrt(self.weights)
        wide = root[:, None] * (signs @ basis.T)
        inverse = np.linalg.pinv(wide)
        return Regression(signs, basis.T @ (inverse * root), np.einsum("ij,ji->i", wide, inverse), self.unseen)


@dataclass(frozen=True)
class Shares:
    """Shapley values and their standard errors, (rows, players) each."""

    values: NDArray[np.float64]
    error: NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """Weighted least squares of halved differences of pairs, under the constraint that values add up.

    `signs` (pairs, players) is ½ for members and -½ for others, `projection` (players, pairs) maps what equal shares
    leave over to values, `leverage` (pairs,) says how far each pair fixes its own fit.
    """

    signs: Floats
    projection: Floats
    leverage: Floats
    unseen: Floats

    def shares(self, scores: Floats, total: Floats) -> Shares:
        """Values from the scores of `Design.both`, (rows, 2 × pairs), and what they must add up to, (rows,).

        The standard error is that of leaving out one pair at a time (the jackknife in closed form, MacKinnon & White
        1985, HC3), times the root of the share of pairs not drawn.
        """
        pairs, equal = len(self.signs), total[:, None] / self.signs.shape[1]
        left_over = (scores[:, :pairs] - scores[:, pairs:]) / 2 - equal * self.signs.sum(axis=1)
        moved = left_over @ self.projection.T
        alone = (left_over - moved @ self.signs.T) / np.maximum(1 - self.leverage, 1e-9)
        variance = (self.unseen * alone**2) @ (self.projection**2).T
        return Shares(moved - moved.mean(axis=1, keepdims=True) + equal, np.sqrt(variance))


def design(players: int, pairs: int, rng: np.random.Generator, start: Bools | None = None) -> Design:
    """Draw pairs of coalitions without replacement, as many of each size as its leverage scores say.

    In the Shapley regression every size has the same total leverage, so every size is given the same number of pairs
    until it has no more. The pairs of `start` (pairs, players), drawn before in the same way, come first and count.
    Source: Musco & Witter 2025, Provably Accurate Shapley Value Estimation via Leverage Score Sampling
    (arXiv:2410.01917), here with fixed numbers for each size.
    """
    known = np.zeros((0, players), dtype=bool) if start is None else start
    sizes = known.sum(axis=1)
    strata = [_stratum(known[sizes == size], size, count, rng) for size, count in allotment(players, pairs).items()]
    return weighted(np.concatenate([known, *strata]))


def weighted(coalitions: Bools) -> Design:
    """The design of these coalitions, each size of which was drawn with equal chances and without replacement."""
    players = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    count = np.bincount(sizes, minlength=players)[sizes]
    halves = np.array([_halves(players, size) for size in sizes])
    there = np.array([float(available(players, size)) for size in sizes])
    return Design(coalitions, 1 / (halves * count * sizes * (players - sizes)), 1 - count / there)


def allotment(players: int, pairs: int) -> dict[int, int]:
    """How many pairs to draw of each size of their smaller coalition, up to half the players."""
    sizes = sorted(range(1, players // 2 + 1), key=lambda size: available(players, size) * _halves(players, size))
    left, share, found = pairs, sum(1 / _halves(players, size) for size in sizes), {}
    for size in sizes:
        mine = 1 / _halves(players, size)
        found[size] = min(available(players, size), math.ceil(left * mine / share - 1e-9))
        left, share = left - found[size], share - mine
    return {size: count for size, count in found.items() if count}


def available(players: int, size: int) -> int:
    """How many pairs of a coalition of this size and its complement there are."""
    return math.comb(players, size) // _halves(players, size)


def _halves(players: int, size: int) -> int:
    """2 where the complement has the same size, so that each pair would be counted twice; else 1."""
    return 2 if 2 * size == players else 1


def _stratum(known: Bools, size: int, count: int, rng: np.random.Generator) -> Bools:
    """Pairs of one size that are not yet known, so many that with those known there are `count`."""
    if count <= len(known):
        return known[:0]
    players = known.shape[1]
    if available(players, size) <= 2 * count:
        return _distinct(np.concatenate([known, _some_of_all(players, size, rng)]))[len(known) : count]
    return _random(known, size, count, rng)[len(known) : count]


def _some_of_all(players: int, size: int, rng: np.random.Generator) -> Bools:
    """Every pair of this size, shuffled; combinations of half the players begin with those that hold player 0."""
    members = np.array(list(islice(combinations(range(players), size), available(players, size))))
    table = np.zeros((len(members), players), dtype=bool)
    np.put_along_axis(table, members, values=True, axis=1)
    return rng.permutation(table)


def _random(known: Bools, size: int, count: int, rng: np.random.Generator) -> Bools:
    """The known and at least `count` different pairs of this size, in the order of their drawing."""
    found, players = known, known.shape[1]
    while len(found) < count:
        order = rng.random((2 * count, players)).argsort(axis=1)
        fresh = order < size
        if _halves(players, size) == 2:
            fresh ^= ~fresh[:, :1]
        found = _distinct(np.concatenate([found, fresh]))
    return found


def _distinct(table: Bools) -> Bools:
    first = np.unique(np.packbits(table, axis=1), axis=0, return_index=True)[1]
    return np.asarray(table[np.sort(first)])
