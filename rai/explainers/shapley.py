"""How much did each feature add to the score of each row? Shapley values, exact or with standard errors."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import design
from rai.explainers.games import CHUNK_BYTES, Game, Score, game
from rai.subject import Floats, Ints, Player

Exact = NDArray[np.float64]
MOST_EXACT = 13
MOST_TABULATED = 22
PER_PLAYER = 40
DESIGNS = 10


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

    `score` maps inputs (n, inputs) to (n,); `rows` (rows, inputs) are explained; features left out take the values of
    each `background` row in turn, and the mean counts. Up to 13 players all 2^players coalitions are scored and the
    values are exact. Beyond, or where `evaluations` (coalitions a row, default 40 × players) allows fewer, they come
    from paired leverage-score regression (Musco & Witter 2025, arXiv:2410.01917): exact for models without
    interactions of three or more players, else with a standard error for each value. Ten designs are shared by all
    rows, so errors of rows are not independent. Raises InputError where the parts do not fit or a score is not finite.
    """
    asked = game(score, rows, background, players)
    count = len(asked.players)
    allowed = _allowed(count, evaluations)
    if not count:
        return _nothing(asked)
    return exact(asked) if allowed >= 2**count else sampled(asked, allowed, rng)


def exact(asked: Game) -> Attribution:
    """Shapley values from the scores of all 2^players coalitions, without sampling error."""
    count = len(asked.players)
    if count > MOST_TABULATED:
        raise InputError(f"{count} players are too many for exact values", do="give fewer evaluations")
    table = np.arange(2**count)[:, None] >> np.arange(count) & 1 == 1
    full, empty = asked.full(), asked.empty()
    step = max(1, CHUNK_BYTES // (8 * 2**count))
    values = np.zeros((len(full), count))
    for start in range(0, len(full), step):
        part = slice(start, start + step)
        inner = asked.values(table[1:-1], part)
        values[part] = weighed(np.column_stack([empty[part], inner, full[part]]))
    return _attribution(asked, empty, values, coalitions=2**count)


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
    full, empty = asked.full(), asked.empty()
    pairs = (evaluations - 2) // 2
    values, error = np.zeros((2, len(full), len(asked.players)))
    for first in range(min(DESIGNS, len(full))):
        drawn, part = design(len(asked.players), pairs, rng), slice(first, None, DESIGNS)
        found = drawn.regression.shares(asked.values(drawn.both, part), (full - empty)[part])
        values[part], error[part] = found.values, found.error
    return _attribution(asked, empty, values, coalitions=2 * pairs + 2, error=error)


def _attribution(
    asked: Game, base: Exact, values: Exact, *, coalitions: int, error: Exact | None = None
) -> Attribution:
    """Name what was found: without `error` nothing was sampled."""
    count = len(asked.players)
    return Attribution(
        values=values,
        base=base,
        error=np.zeros_like(values) if error is None else error,
        players=tuple(each.name for each in asked.players),
        method="exact Shapley values" if error is None else "paired leverage-score Shapley regression",
        rows_scored=asked.cost(coalitions - 2),
        note=f"{coalitions:,} of {2**count:,} coalitions a row" if count <= 60 else f"{coalitions:,} coalitions a row",
    )


def _nothing(asked: Game) -> Attribution:
    """Without players nothing is shared out: the base is the score."""
    base, none = asked.full(), np.zeros((len(asked.rows), 0))
    return Attribution(base=base, values=none, error=none, players=(), method="none", rows_scored=len(base))


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
