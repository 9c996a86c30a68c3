"""What is the nearest change of a row of a table that turns the model's decision?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rai.data import mixer
from rai.explainers._change_sets import Row, grown, learned, narrowed, started
from rai.subject import Bools, Data, Floats, Ints

MOST_VALUES = 12
MOST_CATEGORIES = 20
MOST_COLUMNS = 4
CHUNK = 40_000
UNCHANGED = -1
Margin = Callable[[Any], Floats]


@dataclass(frozen=True)
class Freedom:
    """What may be changed of one feature, in the units of `Data.features`.

    An `immutable` feature stays as it is. Others move within `least` and `most`, and only up or down where `direction`
    says so; of a feature of several inputs only `immutable` counts. A change of a `category` costs 1, whatever to.
    """

    immutable: bool = False
    category: bool = False
    least: float = -np.inf
    most: float = np.inf
    direction: Literal["both", "increase", "decrease"] = "both"

    def allows(self, now: Floats, then: Floats) -> Bools:
        """Whether a person can get from `now` to `then`, arrays of numbers that broadcast."""
        within = np.broadcast_to((then >= self.least) & (then <= self.most), np.broadcast_shapes(now.shape, then.shape))
        if self.direction == "both":
            return np.asarray(within)
        return np.asarray(within & (then >= now if self.direction == "increase" else then <= now))


@dataclass(frozen=True)
class Counterfactuals:
    """The nearest change found for each row.

    `cost` (rows,) is NaN where none was found. `sources` (rows, players) holds, for each changed feature, the position
    of the background row that its new value comes from, and -1 elsewhere. `inputs` are the changed rows as the model
    takes them, `rows_scored` counts the rows it was asked about.
    """

    cost: NDArray[np.float64]
    sources: Ints
    inputs: Any
    rows_scored: int

    @property
    def found(self) -> Bools:
        """Whether a change that turns the decision was found, (rows,)."""
        return ~np.isnan(self.cost)

    @property
    def changed(self) -> Bools:
        """Which features change, (rows, players)."""
        return np.asarray(self.sources != UNCHANGED)


def nearest(margin: Margin, data: Data, background: Data, freedoms: Sequence[Freedom]) -> Counterfactuals:
    """Find for each row of a table the cheapest change of at most four features that turns the decision.

    `margin` maps inputs to how far a row is above the line of decision, (rows,): 0 or more is the decision wanted. New
    values are those of `background` rows: 12 quantiles of a number, the 20 commonest categories. A change costs the sum
    over changed features of |change| / MAD for numbers (Wachter et al. 2018, arXiv:1711.00399) and 1 for categories;
    the MAD is the background's median absolute deviation. Every single change is tried. Sets of two, three and four are
    ranked by what their single changes did, and the most promising are tried, so a cheaper set can be missed; whatever
    is found does turn the decision. `freedoms` holds one for each player.
    """
    table = _Table(data, background, tuple(freedoms))
    own = np.asarray(margin(data.inputs), dtype=np.float64)
    rows = [table.started(place, -float(each)) for place, each in enumerate(own)]
    scored = len(own)
    for size in range(1, MOST_COLUMNS + 1):
        tried = rows if size == 1 else [grown(narrowed(row) if size == 2 else row) for row in rows]
        gains = _gains(margin, table, tried, own)
        scored += sum(len(row.sets) for row in tried)
        rows = [learned(row, gain) for row, gain in zip(tried, gains, strict=True)]
    return table.answer(rows, scored)


@dataclass(frozen=True)
class _Table:
    """Rows to change, rows to take new values from, and every single change: `player` and background row `source`."""

    data: Data
    background: Data
    freedoms: tuple[Freedom, ...]

    @cached_property
    def changes(self) -> Ints:
        """Every new value that can be tried, (changes, 2): its player and the background row it stands in."""
        found = [
            (place, source)
            for place, freedom in enumerate(self.freedoms)
            if not freedom.immutable
            for source in self._values(place, freedom)
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _values(self, place: int, freedom: Freedom) -> list[int]:
        """Background rows whose values of this player are tried."""
        there = np.ones(self.background.rows, dtype=np.bool_)
        if self.background.missing is not None:
            there = ~self.background.missing[:, place]
        known, block = np.flatnonzero(there), self._block(self.background, place)
        distinct, first, counts = np.unique(block[known], axis=0, return_index=True, return_counts=True)
        if freedom.category or block.shape[1] > 1 or len(distinct) <= MOST_VALUES:
            return [int(each) for each in known[first[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]]]
        order = np.argsort(block[known, 0], kind="stable")
        spread = np.linspace(0, len(order) - 1, MOST_VALUES).round().astype(np.int64)
        return [int(each) for each in known[order[np.unique(spread)]]]

    def _block(self, data: Data, place: int) -> Floats:
        return data.features[:, list(data.players[place].inputs)]

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """What each change costs each row, (rows, changes); infinite where it is not allowed or no change."""
        found = np.full((self.data.rows, len(self.changes)), np.inf)
        for place, freedom in enumerate(self.freedoms):
            mine = np.flatnonzero(self.changes[:, 0] == place)
            if len(mine):
                found[:, mine] = self._cost(place, freedom, self.changes[mine, 1])
        return found

    def _cost(self, place: int, freedom: Freedom, sources: Ints) -> Floats:
        known, now = self._block(self.background, place), self._block(self.data, place)[:, None, :]
        then = known[sources][None]
        price = (now != then).any(axis=2).astype(np.float64)
        if now.shape[2] == 1:
            size = np.abs(then - now)[:, :, 0] / _deviation(known[:, 0])
            price = price if freedom.category else np.asarray(size, dtype=np.float64)
            price = np.where(freedom.allows(now[:, :, 0], then[:, :, 0]), price, np.inf)
        return np.where(price > 0, price, np.inf)

    def started(self, place: int, need: float) -> Row:
        """One row with the changes that are allowed to it; none where it needs none."""
        cost = self.costs[place]
        index = np.flatnonzero(np.isfinite(cost)) if need > 0 else np.zeros(0, dtype=np.int64)
        return started(need, index, self.changes[index, 0], cost[index])

    @cached_property
    def _both(self) -> Callable[[Ints], Any]:
        """From positions of cells, counted on from the rows to those of the background, to inputs."""
        ours, theirs = self.data.inputs, self.background.inputs
        if hasattr(ours, "iloc"):
            return mixer(ours, theirs)
        both = np.concatenate([ours, theirs])
        return lambda places: both[places, np.arange(both.shape[1])]

    def inputs(self, rows: Ints, sources: Ints) -> Any:
        """Rows as the model takes them, with the cells changed that have a source; `sources` (n, players)."""
        places = np.repeat(rows[:, None], self.data.inputs.shape[1], axis=1)
        for place, player in enumerate(self.data.players):
            new = sources[:, place] != UNCHANGED
            places[np.ix_(new, list(player.inputs))] = self.data.rows + sources[new, place][:, None]
        return self._both(places)

    def sources(self, sets: Ints) -> Ints:
        """Sources of each player, (sets, players), of sets of changes given by their positions, (sets, size)."""
        found = np.full((len(sets), len(self.freedoms)), UNCHANGED)
        for column in sets.T:
            found[np.arange(len(sets)), self.changes[column, 0]] = self.changes[column, 1]
        return found

    def answer(self, rows: Sequence[Row], scored: int) -> Counterfactuals:
        """What was found, row by row; a row that is decided as wanted already costs nothing."""
        cost = np.array([0.0 if row.need <= 0 else row.price for row in rows])
        sources = np.concatenate(
            [np.zeros((0, len(self.freedoms)), dtype=np.int64)]
            + [self.sources(np.array([row.best], dtype=np.int64)) for row in rows]
        )
        return Counterfactuals(
            np.where(np.isfinite(cost), cost, np.nan), sources, self.inputs(np.arange(len(rows)), sources), scored
        )


def _deviation(values: Floats) -> float:
    """Median absolute deviation; the mean one where half of the values are alike, and 1 where all are."""
    apart = np.abs(values - np.median(values))
    return float(np.median(apart)) or float(apart.mean()) or 1.0


def _gains(margin: Margin, table: _Table, rows: Sequence[Row], own: Floats) -> list[Floats]:
    """How much each tried set raises the margin of its row, asked in chunks of 40,000 rows."""
    counts = [len(row.sets) for row in rows]
    place = np.repeat(np.arange(len(rows)), counts)
    sets = [row.index[row.sets] for row in rows if len(row.sets)]
    if not sets:
        return [np.zeros(0) for _ in rows]
    every = np.concatenate(sets)
    parts = [slice(start, start + CHUNK) for start in range(0, len(every), CHUNK)]
    found = [margin(table.inputs(place[part], table.sources(every[part]))) for part in parts]
    gains = np.concatenate(found).astype(np.float64) - own[place]
    return np.split(gains, np.cumsum(counts)[:-1])
