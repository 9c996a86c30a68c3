"""How fast does a score fall when features are taken away in the order that an explanation names?

Features are taken away from the one that adds most to the score to the one that takes most from it. Raw areas under
such curves cannot be compared between models, so each is held against the best and the worst order of its own row
(Edin et al. 2024, Normalized AOPC, arXiv:2408.08137) and against random orders.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rai.explainers.quality_boards import Board
from rai.subject import Floats, Ints

Exact = NDArray[np.float64]
GRID = np.linspace(0, 1, 21)
STEPS = 16
MOST_EXACT = 8
DRAWS = 10
NOISE = 1e-6


@dataclass(frozen=True)
class Fall:
    """How the score of each row falls: `curves` (rows, 21) at equal shares of features gone, `areas` (rows,) below it.

    NaN for a row without features.
    """

    areas: Exact
    curves: Exact


@dataclass(frozen=True)
class Controls:
    """What any order is held against: the best and the worst one found, and the mean of random ones."""

    best: Fall
    worst: Fall
    random: Fall

    def gain(self, found: Fall) -> Exact:
        """How much faster the score falls than in random orders, (rows,): 0 is no better, 1 about the best.

        On a scale where the best order of the row is 1 and the worst -1. NaN where all orders are alike.
        """
        low = np.minimum(self.best.areas, found.areas)
        high = np.maximum(self.worst.areas, found.areas)
        told = high - low > NOISE * np.abs(self.best.curves).max(axis=1)
        ahead = 2 * (self.random.areas - found.areas)
        return np.asarray(np.divide(ahead, high - low, out=np.full(len(low), np.nan), where=told))


def fall(played: Sequence[Board], values: Floats) -> Fall:
    """The fall of each row's score where features go in the order of their `values`, (rows, players)."""
    return _over(played, len(values), lambda board: falls(board, order_of(board, values)))


def controls(played: Sequence[Board], rows: int, rng: np.random.Generator, draws: int = DRAWS) -> Controls:
    """The best, the worst and the mean random fall; random orders are drawn in pairs, one the reverse of the other."""
    return Controls(
        _over(played, rows, lambda board: extreme(board, lowest=True)),
        _over(played, rows, lambda board: extreme(board, lowest=False)),
        _over(played, rows, lambda board: _random(board, rng, draws)),
    )


def order_of(board: Board, values: Floats) -> Ints:
    """Players of each row from the one that adds most to the one that takes most, (rows, players)."""
    return np.argsort(-values[np.ix_(board.rows, board.players)], axis=1, kind="stable")


def ends_of(players: int) -> Ints:
    """How many players are gone after each step: one a step, or in at most 16 steps of about equal size."""
    return np.unique(np.round(np.linspace(0, players, min(players, STEPS) + 1)).astype(np.int64))


def falls(board: Board, orders: Ints) -> Fall:
    """The fall of each row's score in the order of removal given for it, (rows, players)."""
    ends, place = ends_of(orders.shape[1]), np.argsort(orders, axis=1)
    inner = board.scores(place[:, None, :] >= ends[1:-1, None])
    heights, gone = np.column_stack([board.full, inner, board.empty]), ends / ends[-1]
    curves = np.stack([np.interp(GRID, gone, each) for each in heights])
    return Fall(np.trapezoid(heights, gone, axis=1), curves)


def extreme(board: Board, *, lowest: bool) -> Fall:
    """The fall of the order with the lowest (or highest) area: of all orders up to 8 players, else by greedy search.

    The search takes away the best player step by step, and also builds the order up from nothing; the better counts.
    """
    if len(board.players) <= MOST_EXACT:
        return falls(board, _of_all(board, lowest=lowest))
    first, second = (falls(board, _greedy(board, lowest=lowest, back=back)) for back in (False, True))
    better = first.areas <= second.areas if lowest else first.areas >= second.areas
    return Fall(np.where(better, first.areas, second.areas), np.where(better[:, None], first.curves, second.curves))


def _of_all(board: Board, *, lowest: bool) -> Ints:
    """The best of all orders, by the least sum of scores on the way to each coalition."""
    scores = board.table() if lowest else -board.table()
    rows, count = len(scores), len(board.players)
    least, last = scores.copy(), np.zeros(scores.shape, dtype=np.int64)
    for left in range(2**count - 2, -1, -1):
        gone = [player for player in range(count) if not left >> player & 1]
        before = least[:, [left | 1 << player for player in gone]]
        last[:, left] = np.array(gone)[before.argmin(axis=1)]
        least[:, left] += before.min(axis=1)
    orders, left_of = np.zeros((rows, count), dtype=np.int64), np.zeros(rows, dtype=np.int64)
    for place in range(count - 1, -1, -1):
        orders[:, place] = last[np.arange(rows), left_of]
        left_of |= 1 << orders[:, place]
    return orders


def _greedy(board: Board, *, lowest: bool, back: bool) -> Ints:
    """An order of removal found step by step; `back` finds it from the end, by giving players back to nobody."""
    rows, count = len(board.rows), len(board.players)
    moved, order = np.zeros((rows, count), dtype=bool), np.zeros((rows, 0), dtype=np.int64)
    sizes = np.diff(ends_of(count))
    for size in sizes[::-1] if back else sizes:
        free = np.nonzero(~moved)[1].reshape(rows, -1)
        tried = moved[:, None, :] | (free[:, :, None] == np.arange(count))
        scores = board.scores(tried if back else ~tried)
        taken = np.argsort(scores if lowest else -scores, axis=1, kind="stable")[:, :size]
        chosen = np.take_along_axis(free, taken, axis=1)
        np.put_along_axis(moved, chosen, values=True, axis=1)
        order = np.concatenate([order, chosen], axis=1)
    return order[:, ::-1] if back else order


def _random(board: Board, rng: np.random.Generator, draws: int) -> Fall:
    shape = (len(board.rows), len(board.players))
    found = []
    for _ in range(draws // 2):
        orders = rng.random(shape).argsort(axis=1)
        found += [falls(board, orders), falls(board, orders[:, ::-1])]
    return Fall(np.mean([each.areas for each in found], axis=0), np.mean([each.curves for each in found], axis=0))


def _over(played: Sequence[Board], rows: int, fall_of: Callable[[Board], Fall]) -> Fall:
    """The falls of all boards, in the order of the question's rows."""
    areas, curves = np.full(rows, np.nan), np.full((rows, len(GRID)), np.nan)
    for board in played:
        found = fall_of(board)
        areas[board.rows], curves[board.rows] = found.areas, found.curves
    return Fall(areas, curves)
