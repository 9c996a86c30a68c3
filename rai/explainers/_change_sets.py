"""Which sets of changes to try on one row, when each change alone has been tried."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rai.subject import Bools, Floats, Ints

KEPT = 80
"""Single changes that may become part of a set."""
TRIED = 60
"""Sets of one size that the model is asked about, and that may then grow."""


@dataclass(frozen=True)
class Row:
    """What is known of the changes of one row.

    `need` is how much its margin must rise. Of each change: `index` its position among all changes, `player` the
    feature it changes, `cost`, and `gain` what it did to the margin alone. `best` is the cheapest set found to turn the
    decision (positions among all changes) and `price` its cost, infinite where there is none. `sets` (sets, size) are
    those to ask the model about, as positions in `index`, and `gains` (sets,) what they did to the margin.
    """

    need: float
    index: Ints
    player: Ints
    cost: NDArray[np.float64]
    gain: NDArray[np.float64]
    best: tuple[int, ...]
    price: float
    sets: Ints
    gains: NDArray[np.float64]


def started(need: float, index: Ints, player: Ints, cost: NDArray[np.float64]) -> Row:
    """A row of which nothing is known yet: every single change is to be tried."""
    nothing = np.zeros(len(index))
    return Row(need, index, player, cost, nothing, (), np.inf, np.arange(len(index))[:, None], nothing)


def learned(row: Row, gains: Floats) -> Row:
    """Take in what the sets did to the margin, (sets,); single changes keep it for what comes."""
    told = replace(row, gains=np.asarray(gains, dtype=np.float64))
    if row.sets.shape[1] == 1:
        told = replace(told, gain=told.gains)
    price = row.cost[row.sets].sum(axis=1)
    turned = np.flatnonzero((told.gains >= row.need) & (price < row.price))
    if not len(turned):
        return told
    cheapest = turned[int(price[turned].argmin())]
    best = tuple(int(each) for each in row.index[row.sets[cheapest]])
    return replace(told, best=best, price=float(price[cheapest]))


def narrowed(row: Row) -> Row:
    """Keep the 80 single changes that gain most for their cost and are cheaper than the best set."""
    cheaper = np.flatnonzero(row.cost < row.price)
    kept = cheaper[np.argsort(-(row.gain[cheaper] / row.cost[cheaper]), kind="stable")[:KEPT]]
    fewer = replace(row, index=row.index[kept], player=row.player[kept], cost=row.cost[kept], gain=row.gain[kept])
    return replace(fewer, sets=np.arange(len(kept))[:, None], gains=row.gain[kept])


def grown(row: Row) -> Row:
    """Let every set grow by one change; the most promising of the larger sets are to be tried.

    What a set will do is foretold as what it did before it grew and what the added change does alone. Half of the
    tries go to the cheapest sets foretold to turn the decision, the rest to those foretold to gain most for their cost.
    Sets that cost as much as the best one found are left out.
    """
    unions = _unions(row)
    cost = row.cost[unions.sets].sum(axis=1)
    sets, gain, cost = (each[cost < row.price] for each in (unions.sets, unions.foretold, cost))
    turning = np.flatnonzero(gain >= row.need)
    cheap = turning[np.argsort(cost[turning], kind="stable")[: TRIED // 2]]
    rest = np.setdiff1d(np.arange(len(sets)), turning)
    thrifty = rest[np.argsort(-gain[rest] / cost[rest], kind="stable")[: (TRIED - len(cheap)) // 2]]
    far = rest[np.argsort(-gain[rest], kind="stable")[: TRIED - len(cheap) - len(thrifty)]]
    chosen = np.unique(np.concatenate([cheap, thrifty, far]))
    return replace(row, sets=sets[chosen], gains=gain[chosen])


@dataclass(frozen=True)
class _Unions:
    """Sets of changes, (sets, size), and the gain foretold for each."""

    sets: Ints
    foretold: Floats


def _unions(row: Row) -> _Unions:
    """Every set with one more change, of a feature that it does not change yet; each set once."""
    many, size = len(row.index), row.sets.shape[1]
    place, added = np.nonzero(_fresh(row))
    foretold = row.gains[place] + row.gain[added]
    order = np.argsort(-foretold, kind="stable")
    wide = np.sort(np.column_stack([row.sets[place], added]), axis=1)[order]
    first = np.unique(wide @ many ** np.arange(size + 1), return_index=True)[1]
    return _Unions(wide[first], foretold[order][first])


def _fresh(row: Row) -> Bools:
    """Which change can be added to which set, (sets, changes)."""
    taken = row.player[row.sets]
    return np.asarray((taken[:, :, None] != row.player[None, None, :]).all(axis=1))
