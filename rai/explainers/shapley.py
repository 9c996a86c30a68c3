"""How much did each feature add to the score of each row? Shapley values, exact or with standard errors."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares, design
from rai.explainers.games import CHUNK_BYTES, Game, Score, game
from rai.explainers.parts import solved
from rai.explainers.questions import Question
from rai.subject import Floats, Ints, Player

Exact = NDArray[np.float64]
MOST_EXACT = 13
MOST_TABULATED = 22
PER_PLAYER = 40
DESIGNS = 10
EXACT = "exact Shapley values"
SAMPLED = "paired leverage-score Shapley regression"


def shapley_values(
    score: Score,
    rows: Floats,
    background: Floats,
    players: Sequence[Player],
    rng: np.random.Generator,
    *,
    evaluations: int | None = None,
) -> Attribution:
    """Share out the score of each row over its features, so that the shares add up to it (Shapley 1953).

    `score` maps inputs (n, inputs) to (n,) or (n, outputs); `rows` (rows, inputs) are explained; features left out take
    the values of each `background` row in turn, and the mean counts. Up to 13 players all 2^players coalitions are
    scored and the values are exact. Beyond, or where `evaluations` (coalitions a row, default 40 × players) allows
    fewer, they come from paired leverage-score regression (Musco & Witter 2025, arXiv:2410.01917): exact for models
    without interactions of three or more players, else with a standard error for each value. Ten designs are shared by
    all rows, so errors of rows are not independent. Raises InputError where the parts do not fit or a score is not
    finite.
    """
    asked = game(score, rows, background, players)
    count = len(asked.players)
    allowed = _allowed(count, evaluations)
    if not count:
        return _nothing(asked)
    return exact(asked) if allowed >= 2**count else sampled(asked, allowed, rng)


def explain(question: Question) -> Attribution:
    """Shapley values of the features of each row; exact where all coalitions can be scored within the budget."""
    return solved(question, partial(_solve, budget=question.budget), "Shapley values")


def _solve(asked: Game, rng: np.random.Generator, *, budget: int | None) -> Shares:
    count = len(asked.players)
    if not count:
        return Shares(*np.zeros((2, len(asked.rows), 0, asked.full.shape[1])))
    allowed = _allowed(count, budget)
    found = exact(asked) if allowed >= 2**count else sampled(asked, allowed, rng)
    shape = (len(asked.rows), count, -1)
    return Shares(found.values.reshape(shape), found.error.reshape(shape))


def exact(asked: Game) -> Attribution:
    """Shapley values from the scores of all 2^players coalitions, without sampling error."""
    count = len(asked.players)
    if count > MOST_TABULATED:
        raise InputError(f"{count} players are too many for exact values", do="give fewer evaluations")
    table = np.arange(2**count)[:, None] >> np.arange(count) & 1 == 1
    full, empty = asked.full, asked.empty
    outputs = full.shape[1]
    step = max(1, CHUNK_BYTES // (8 * 2**count * outputs))
    values = np.zeros((len(full), count, outputs))
    for start in range(0, len(full), step):
        part = slice(start, start + step)
        inner = asked.values(table[1:-1], part)
        scores = np.concatenate([empty[part, None], inner, full[part, None]], axis=1)
        values[part] = restored(weighed(laid_out(scores)), outputs)
    return attribution(asked, Shares(values, np.zeros_like(values)), coalitions=2**count, method=EXACT)


def laid_out(scores: Exact) -> Exact:
    """Scores (rows, coalitions, outputs) with each output as a row of its own: (rows × outputs, coalitions)."""
    return scores.transpose(0, 2, 1).reshape(-1, scores.shape[1])


def restored(values: Exact, outputs: int) -> Exact:
    """Values (rows × outputs, players) as (rows, players, outputs)."""
    return values.reshape(-1, outputs, values.shape[1]).transpose(0, 2, 1)


def weighed(scores: Exact) -> Exact:
    """Shapley values, (rows, players), from the scores of all coalitions, (rows, 2^players).

    Bit i of a coalition's position says whether player i takes part.
    """
    rows, count = len(scores), int(scores.shape[1]).bit_length() - 1
    weights = _weights(count)[_sizes(count - 1)]
    values = np.zeros((rows, count))
    for player in range(count):
        split = scores.reshape(rows, -1, 2, 2**player)
        gains = (split[:, :, 1] - split[:, :, 0]).reshape(rows, -1)
        values[:, player] = gains @ weights
    return values


def sampled(asked: Game, evaluations: int, rng: np.random.Generator) -> Attribution:
    """Shapley values by weighted regression on pairs of complementary coalitions, with standard errors."""
    full, empty = asked.full, asked.empty
    outputs, pairs = full.shape[1], (evaluations - 2) // 2
    values, error = np.zeros((2, len(full), len(asked.players), outputs))
    for first in range(min(DESIGNS, len(full))):
        drawn, part = design(len(asked.players), pairs, rng), slice(first, None, DESIGNS)
        found = drawn.regression.shares(laid_out(asked.values(drawn.both, part)), (full - empty)[part].ravel())
        values[part], error[part] = restored(found.values, outputs), restored(found.error, outputs)
    return attribution(asked, Shares(values, error), coalitions=2 * pairs + 2, method=SAMPLED)


def attribution(asked: Game, found: Shares, *, coalitions: int, method: str) -> Attribution:
    """Name what was found; a single output is not an axis of its own."""
    count = len(asked.players)
    return Attribution(
        values=found.values,
        base=asked.empty,
        full=asked.full,
        error=found.error,
        players=tuple(each.name for each in asked.players),
        method=method,
        rows_scored=asked.cost(coalitions - 2),
        note=f"{coalitions:,} of {2**count:,} coalitions a row" if count <= 60 else f"{coalitions:,} coalitions a row",
    ).tidied()


def _nothing(asked: Game) -> Attribution:
    """Without players nothing is shared out: the base is the score."""
    base = asked.full
    none = np.zeros((len(base), 0, base.shape[1]))
    return Attribution(
        base=base, full=base, values=none, error=none, players=(), method="none", rows_scored=len(base)
    ).tidied()


def _allowed(players: int, evaluations: int | None) -> int:
    """Coalitions a row, at least as many as a regression with standard errors takes."""
    if evaluations is None:
        return 2**players if players <= MOST_EXACT else PER_PLAYER * players
    least = min(2**players, 4 * players + 2)
    if evaluations < least:
        what = f"{evaluations} evaluations are too few for {players} players"
        raise InputError(what, expected=f"at least {least}", do="give more or leave them out")
    return evaluations


def _sizes(players: int) -> Ints:
    """How many players take part in each of the 2^players coalitions."""
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(players):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def _weights(players: int) -> Floats:
    """Chance that exactly a given coalition precedes a player in a random order, by its size."""
    return np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
