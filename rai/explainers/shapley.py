"""How much did each feature add to the score of each row? Shapley values, exact or with standard errors."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import CHUNK_BYTES, Game, Score, game
from rai.explainers.odd import pays
from rai.explainers.options import chosen
from rai.explainers.parts import solved
from rai.explainers.questions import Question
from rai.explainers.sampling import Plan, laid_out, relative_error, restored, sampled_shares
from rai.subject import Floats, Ints, Player

Exact = NDArray[np.float64]
MOST_EXACT = 13
MOST_TABULATED = 22
MOST_SCORED = 50_000_000
PER_PLAYER = 40
FIRST_PER_PLAYER = 10
MOST_PER_PLAYER = 400
EXACT = "exact Shapley values"
SAMPLED = "paired leverage-score Shapley regression"
ODD = "paired Shapley regression with interactions"


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
    the values of each `background` row in turn, and the mean counts. `evaluations`: coalitions a row. By default all
    2^players are scored, and the values exact, for up to 13 players as long as the model is asked about 50 million
    rows at most; else 40 × players. From a sample of coalitions the values come from regression on pairs of
    complementary coalitions drawn by leverage scores (Musco & Witter 2025, arXiv:2410.01917), up to 24 players spread
    evenly and with interactions: exact for models without interactions of three or more players, else with a standard
    error for each value. It says how far the value may lie from that of all coalitions against this background; how far
    another background would move it, it does not say. Up to ten designs are shared by all rows, so errors of rows are
    not independent. Raises InputError where the parts do not fit or a score is not finite.
    """
    asked = game(score, rows, background, players)
    count = len(asked.players)
    allowed = _allowed(asked, evaluations)
    if not count:
        return _nothing(asked)
    return exact(asked) if allowed >= 2**count else sampled(asked, allowed, rng)


def explain(question: Question) -> Attribution:
    """Shapley values of the features of each row; exact where all coalitions can be scored within the budget.

    With the option `precision`, such as 0.02, each row is given more coalitions only until the standard errors are on
    average that share of the mean absolute value, at most `budget` (by default 2^players, from 14 players on 400 ×
    players). The note says what precision the evaluations have bought.
    """
    precision = _precision(question)
    found = solved(question, partial(_solve, budget=question.budget, precision=precision), "Shapley values")
    return replace(found, note=_bought(Shares(found.values, found.error), precision))


def _precision(question: Question) -> float | None:
    given = chosen(question, precision=None)["precision"]
    if given is not None and not (isinstance(given, int | float) and 0 < given < math.inf):
        raise InputError(f"is {given!r}", where="precision", expected="a share of the mean value, such as 0.02")
    return given


def _bought(found: Shares, precision: float | None) -> str:
    reached = relative_error(found)
    if not found.error.any():
        return "every coalition was scored: no sampling error"
    note = f"standard errors are on average {reached:.2g} of the mean absolute value"
    missed = precision is not None and reached > precision
    return f"{note}; the budget ended before the {precision:g} asked for" if missed else note


def _solve(asked: Game, rng: np.random.Generator, *, budget: int | None, precision: float | None) -> Shares:
    count = len(asked.players)
    if not count:
        return Shares(*np.zeros((2, len(asked.rows), 0, asked.full.shape[1])))
    if precision is None:
        most = first = _allowed(asked, budget)
    else:
        most = _allowed(asked, _most(count) if budget is None else budget)
        first = min(most, max(FIRST_PER_PLAYER * count, 4 * count + 2))
    if first >= 2**count:
        return _exact_shares(asked)
    pairs = min(most, 2**count) // 2 - 1
    return sampled_shares(asked, Plan(first // 2 - 1, pairs, precision or 0.0), rng)


def _most(players: int) -> int:
    return 2**players if players <= MOST_EXACT else MOST_PER_PLAYER * players


def exact(asked: Game) -> Attribution:
    """Shapley values from the scores of all 2^players coalitions, without sampling error."""
    return attribution(asked, _exact_shares(asked), coalitions=2 ** len(asked.players), method=EXACT)


def _exact_shares(asked: Game) -> Shares:
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
    return Shares(values, np.zeros_like(values))


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
    pairs = evaluations // 2 - 1
    found = sampled_shares(asked, Plan(pairs, pairs), rng)
    method = ODD if pays(len(asked.players), pairs) else SAMPLED
    return attribution(asked, found, coalitions=2 * pairs + 2, method=method)


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


def _allowed(asked: Game, evaluations: int | None) -> int:
    """Coalitions a row, at least as many as a regression with standard errors takes."""
    players = len(asked.players)
    if evaluations is None:
        few = PER_PLAYER * players
        cheap = players <= MOST_EXACT and asked.cost(2**players) <= MOST_SCORED
        return 2**players if cheap or few >= 2**players else few
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
