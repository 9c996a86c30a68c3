"""Shapley values from a sample of the coalitions: how many are tried, for which rows, until they are precise enough."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rai.explainers.designs import Design, Shares, design
from rai.explainers.games import Game
from rai.explainers.odd import OddRegression, pays
from rai.subject import Floats

Exact = NDArray[np.float64]
DESIGNS = 10
ROWS_A_DESIGN = 50
GROWTH = 2


@dataclass(frozen=True)
class Plan:
    """How many pairs of coalitions a row is given: `first`, then twice as many, at most `most`.

    It is given more until the standard errors of its values are on average at most `precision` times their mean
    absolute value.
    """

    first: int
    most: int
    precision: float = 0.0


@dataclass(frozen=True)
class Tried:
    """A design, the scores (rows, outputs) wise of its coalitions and of their complements, and what they add up to.

    `inside` and `outside` have shape (rows, pairs, outputs), `total` (rows, outputs).
    """

    drawn: Design
    inside: Exact
    outside: Exact
    total: Exact

    def shares(self) -> Shares:
        """Values and standard errors, (rows, players, outputs)."""
        players, outputs = self.drawn.coalitions.shape[1], self.total.shape[1]
        scores = laid_out(np.concatenate([self.inside, self.outside], axis=1))
        better = pays(players, len(self.drawn.coalitions))
        solver = OddRegression(self.drawn) if better else self.drawn.regression
        found = solver.shares(scores, self.total.ravel())
        return Shares(restored(found.values, outputs), restored(found.error, outputs))


def sampled_shares(asked: Game, plan: Plan, rng: np.random.Generator) -> Shares:
    """Values and standard errors of all rows, (rows, players, outputs); about 50 rows or more share a design."""
    values, error = np.zeros((2, len(asked.full), len(asked.players), asked.full.shape[1]))
    for part in _groups(len(asked.full)):
        found = _precise_enough(asked, part, plan, rng)
        values[part], error[part] = found.values, found.error
    return Shares(values, error)


def relative_error(found: Shares) -> float:
    """Mean standard error as a share of the mean absolute value; 0 where nothing was sampled."""
    error = float(found.error.mean()) if found.error.size else 0.0
    return error / max(float(np.abs(found.values).mean()), np.finfo(float).tiny) if error else 0.0


def laid_out(scores: Exact) -> Exact:
    """Scores (rows, coalitions, outputs) with each output as a row of its own: (rows × outputs, coalitions)."""
    return scores.transpose(0, 2, 1).reshape(-1, scores.shape[1])


def restored(values: Floats, outputs: int) -> Exact:
    """Values (rows × outputs, players) as (rows, players, outputs)."""
    return np.asarray(values.reshape(-1, outputs, values.shape[1]).transpose(0, 2, 1))


def _groups(rows: int) -> Iterator[slice]:
    """The rows that share a design: errors within a group are not independent, so there are up to ten groups."""
    count = min(DESIGNS, max(1, rows // ROWS_A_DESIGN))
    return (slice(first, None, count) for first in range(count))


def _precise_enough(asked: Game, part: slice, plan: Plan, rng: np.random.Generator) -> Shares:
    players = len(asked.players)
    total = (asked.full - asked.empty)[part]
    none = np.zeros((len(total), 0, total.shape[1]))
    tried = Tried(design(players, 0, rng), none, none, total)
    pairs = plan.first
    while True:
        tried = _grown(asked, part, tried, design(players, pairs, rng, tried.drawn.coalitions, rows=len(total)))
        found = tried.shares()
        if pairs >= plan.most or relative_error(found) <= plan.precision:
            return found
        pairs = min(plan.most, GROWTH * pairs)


def _grown(asked: Game, part: slice, tried: Tried, drawn: Design) -> Tried:
    """The same with the scores of the coalitions that were added to the design."""
    fresh = drawn.coalitions[len(tried.drawn.coalitions) :]
    scores = asked.values(np.concatenate([fresh, ~fresh]), part)
    inside, outside = np.split(scores, [len(fresh)], axis=1)
    return replace(
        tried,
        drawn=drawn,
        inside=np.concatenate([tried.inside, inside], axis=1),
        outside=np.concatenate([tried.outside, outside], axis=1),
    )
