"""Which coalitions to try when there are too many to try all, and what to make of their scores."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import helmert

from rai.subject import Bools, Floats

FEWEST_CANDIDATES, MOST_CANDIDATES = 8, 32
MOST_COMPARED = 24


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


def design(players: int, pairs: int, rng: np.random.Generator, start: Bools | None = None, *, rows: int = 1) -> Design:
    """Draw pairs of coalitions without replacement, as many of each size as its leverage scores say.

    In the Shapley regression every size has the same total leverage, so every size is given the same number of pairs
    until it has no more. The pairs of `start` (pairs, players), drawn before in the same way, come first and count.
    Source: Musco & Witter 2025, Provably Accurate Shapley Value Estimation via Leverage Score Sampling
    (arXiv:2410.01917), here with fixed numbers for each size. Up to 24 players, those of a size are the ones out of
    eight times as many drawn (up to 32, the more rows share the design) that are least like the pairs chosen before,
    so that fewer interactions look like the share of a player; each coalition of a size stays as likely as another.
    """
    known = np.zeros((0, players), dtype=bool) if start is None else start
    sizes = known.sum(axis=1)
    chosen, aims = known, allotment(players, pairs)
    for size in sorted(aims, key=lambda size: (available(players, size) > aims[size], size)):
        mine = known[sizes == size]
        fresh = max(0, aims[size] - len(mine))
        pool = _pool(mine, size, fresh * _candidates(players, rows), rng)
        chosen = np.concatenate([chosen, _unlike(pool, chosen, fresh) if fresh < len(pool) else pool])
    return weighted(chosen)


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


def _candidates(players: int, rows: int) -> int:
    """How many are drawn for each that is chosen: more where many rows gain from it, one for many players."""
    return min(MOST_CANDIDATES, FEWEST_CANDIDATES + rows // 2) if players <= MOST_COMPARED else 1


def _pool(known: Bools, size: int, offered: int, rng: np.random.Generator) -> Bools:
    """At least so many pairs of one size that are not yet known, or all there are."""
    players = known.shape[1]
    if not offered or available(players, size) > 2 * (len(known) + offered):
        return _random(known, size, len(known) + offered, rng)[len(known) :]
    return _distinct(np.concatenate([known, _some_of_all(players, size, rng)]))[len(known) :]


def _unlike(pool: Bools, chosen: Bools, count: int) -> Bools:
    """So many of the pool, each the least like those chosen before it.

    Likeness is the fourth power of the product of two coalitions' signs: its sum is least where neither a player nor
    two players look like another or like three (a design of strength four, as far as there is one of this length).
    """
    signs = np.where(pool, np.float32(1), np.float32(-1))
    likeness = _fourth(signs @ np.where(chosen, np.float32(1), np.float32(-1)).T).sum(axis=1)
    picked = np.zeros(count, dtype=np.int64)
    for place in range(count):
        picked[place] = likeness.argmin()
        likeness += _fourth(signs @ signs[picked[place]])
        likeness[picked[place]] = np.inf
    return np.asarray(pool[picked])


def _fourth(product: Floats) -> Floats:
    product *= product
    product *= product
    return product


def _some_of_all(players: int, size: int, rng: np.random.Generator) -> Bools:
    """Every pair of this size, shuffled; combinations of half the players begin with those that hold player 0."""
    members = np.array(list(islice(combinations(range(players), size), available(players, size))))
    table = np.zeros((len(members), players), dtype=bool)
    np.put_along_axis(table, members, values=True, axis=1)
    return rng.permutation(table)


def _random(known: Bools, size: int, count: int, rng: np.random.Generator) -> Bools:
    """The known and then others, `count` different pairs of this size in the order of their drawing."""
    found, players = known, known.shape[1]
    while len(found) < count:
        fresh = rng.permuted(np.tile(np.arange(players) < size, (count + count // 4, 1)), axis=1)
        if _halves(players, size) == 2:
            fresh ^= ~fresh[:, :1]
        found = _distinct(np.concatenate([found, fresh]))
    return found[:count]


def _distinct(table: Bools) -> Bools:
    packed = np.packbits(table, axis=1)
    words = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)
    names = words[:, 0] if words.shape[1] == 1 else words
    first = np.unique(names, axis=0, return_index=True)[1]
    return np.asarray(table[np.sort(first)])
