"""Does a model behave differently on the made-up rows that explainers ask it about?

Explainers mix the features of several rows. A model can be built to recognise such rows and to answer them by another,
harmless rule, so that its explanation hides what decides about real people (Slack et al. 2020, arXiv:1911.02508). Here
stand-ins are taught the model's answers on real rows alone, and are then asked about the same mixed rows. Honest models
that agree on real rows differ in their explanations too; what a model differs beyond that is the gap.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import Head
from rai.errors import InputError
from rai.explainers.quality import picked
from rai.explainers.questions import Question, Target
from rai.explainers.shapley import explain as shapley
from rai.subject import Bools, Data, Floats, Ints, Trust

Exact = NDArray[np.float64]
UNITS = 256
STAND_INS = 6
RIDGE = 1e-2
PER_PLAYER = 10
MOST_COALITIONS = 3000
FEWEST = 8
UNEVEN = 0.6
"""How unevenly stand-ins weigh the columns, as a standard deviation of logarithms, so that copies are told apart."""


@dataclass(frozen=True)
class StandIn:
    """A small network taught another model's answers: random bends of weighted columns, and a ridge regression."""

    centre: Exact
    scale: Exact
    bends: Exact
    shifts: Exact
    weights: Exact
    head: Head = Head.VALUE
    trust: Trust = "in memory"

    def scores(self, inputs: Any) -> Floats:
        """The stand-in's answers, (rows, outputs)."""
        return np.asarray(_bent(self, inputs) @ self.weights)

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:  # noqa: ARG002 - the protocol's
        """Raise `InputError`: there is no torch module to look into."""
        raise InputError("only its answers can be seen", where="stand-in")


@dataclass(frozen=True)
class Scaffolding:
    """How far the model's explanation lies from those of its stand-ins, beyond how far they lie from one another.

    `gaps` holds one entry a stand-in: the share of all influence that would have to be moved from one feature to
    another. `model` and `stand_ins` (stand-ins, players) are shares of influence on mixed rows, `fit` (stand-ins,) how
    much of the model's answers on other real rows each stand-in explains (R²).
    """

    gaps: Exact
    model: Exact
    stand_ins: Exact
    fit: Exact
    players: tuple[str, ...]


def scaffolding(question: Question, outputs: Ints, real: Data, scores: Floats, count: int = STAND_INS) -> Scaffolding:
    """Compare the explanations of a model and of `count` stand-ins taught its answers `scores` on `real` rows.

    `scores` (real rows, explained) are in the unit of the question, `outputs` (rows,) the explained one of each row.
    Raises InputError for data that is no table.
    """
    if question.data.kind != "table":
        raise InputError("only explanations of tables are tried for this", where="scaffolding")
    rng = np.random.default_rng([question.seed, 3])
    halves = [rng.permutation(real.rows) for _ in range(count)]
    known = [_taught(real, scores, each[: 2 * len(each) // 3], rng) for each in halves]
    fit = [_fit(made, real, scores, each[2 * len(each) // 3 :]) for made, each in zip(known, halves, strict=True)]
    names = tuple(each.name for each in question.data.players)
    few = np.arange(min(question.data.rows, max(FEWEST, MOST_COALITIONS // (PER_PLAYER * len(names)))))
    asked = replace(question, data=question.data.take(few), budget=PER_PLAYER * len(names))
    own = shares(asked, outputs[few])
    theirs = np.stack([shares(numeric(asked, each), outputs[few]) for each in known])
    blurred = alike(real)
    return Scaffolding(gaps_of(own @ blurred, theirs @ blurred), own, theirs, np.array(fit), names)


def alike(real: Data) -> Exact:
    """How much influence of one player (line) could as well be another's, (players, players): lines add up to 1.

    By squared correlations. Honest models may lean on either of two copies, so what moves between them tells nothing.
    """
    table = np.nan_to_num(np.asarray(real.features, dtype=np.float64) - np.nanmean(real.features, axis=0))
    spread = table.std(axis=0)
    units = table / np.where(spread > 0, spread, 1)
    squares = (units.T @ units / len(units)) ** 2
    pairs = [[squares[np.ix_(a.inputs, b.inputs)].max(initial=0) for b in real.players] for a in real.players]
    found = np.array(pairs)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def gaps_of(own: Exact, theirs: Exact) -> Exact:
    """Distance of `own` shares from each of `theirs`, less that one's mean distance from the others, (stand-ins,)."""
    apart = np.abs(theirs[:, None] - theirs[None]).sum(axis=2) / 2
    among = apart.sum(axis=1) / (len(theirs) - 1)
    return np.asarray(np.abs(theirs - own).sum(axis=1) / 2 - among)


def shares(question: Question, outputs: Ints) -> Exact:
    """Each player's share of the influence on the question's rows: mean sizes of Shapley values, (players,)."""
    sizes = np.abs(picked(question, shapley, outputs)).mean(axis=0)
    return np.asarray(sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(sizes), 1 / max(1, len(sizes))))


def numeric(question: Question, model: StandIn) -> Question:
    """The same question to a stand-in, which takes numbers."""
    data, known = (replace(each, inputs=each.features) for each in (question.data, question.background))
    return replace(question, model=model, target=Target(), data=data, background=known)


def mixed_rows(real: Data, rng: np.random.Generator) -> Floats:
    """Numeric rows in which about half of the players' columns come from another row, as explainers mix them."""
    features = np.asarray(real.features)
    owner = np.zeros(features.shape[1], dtype=np.int64)
    for place, player in enumerate(real.players):
        owner[list(player.inputs)] = place
    own = rng.random((len(features), len(real.players))) < 0.5
    return np.where(own[:, owner], features, features[rng.permutation(len(features))])


@dataclass(frozen=True)
class Recognised:
    """How made-up some rows look to a stand-in that was shown others, (rows,), and which of them are, (rows,)."""

    looks: Floats
    mixed: Bools


def recognised(real: Data, rng: np.random.Generator) -> Recognised:
    """Can mixed rows be told from real ones? That is the room that a model has to behave differently on them.

    Half of the rows are mixed with one another; half of each kind are shown to a stand-in.
    """
    order = rng.permutation(real.rows)
    half, kept = real.take(order[: len(order) // 2]), real.take(order[len(order) // 2 :])
    table = np.concatenate([np.asarray(kept.features), mixed_rows(half, rng)])
    made_up = np.arange(len(table)) >= kept.rows
    shown = rng.random(len(table)) < 0.5
    made = taught(table[shown], made_up[shown, None] * 1.0, real, rng)
    return Recognised(made.scores(table[~shown])[:, 0], made_up[~shown])


def _taught(real: Data, scores: Floats, rows: Ints, rng: np.random.Generator) -> StandIn:
    return taught(np.asarray(real.features)[rows], np.asarray(scores, dtype=np.float64)[rows], real, rng)


def taught(table: Floats, answers: Floats, real: Data, rng: np.random.Generator) -> StandIn:
    """A stand-in that answers the rows of `table` (rows, numbers) with `answers` (rows, outputs)."""
    known = np.asarray(table, dtype=np.float64)
    scale = _scales(real, np.nanvar(known, axis=0), rng)
    bends = rng.normal(size=(len(scale), UNITS))
    bare = StandIn(np.nanmean(known, axis=0), scale, bends, rng.normal(size=UNITS), np.zeros((0, 0)))
    return replace(bare, weights=_ridge(_bent(bare, known), answers))


def _scales(real: Data, variances: Exact, rng: np.random.Generator) -> Exact:
    """A factor for each input, the same for all inputs of a player: its inputs together vary by 1, times a random one.

    Inputs that no player owns are not looked at.
    """
    factors = np.zeros(len(variances))
    for player in real.players:
        inputs = list(player.inputs)
        total = variances[inputs].sum()
        factors[inputs] = np.exp(rng.normal() * UNEVEN) / np.sqrt(total) if total > 0 else 0
    return np.asarray(factors / np.sqrt(max(1, len(real.players))))


def _bent(made: StandIn, inputs: Any) -> Floats:
    """Columns, their bends and a constant, (rows, inputs + units + 1); 32 bits are enough for them."""
    table = np.nan_to_num((np.asarray(inputs, dtype=np.float64) - made.centre) * made.scale).astype(np.float32)
    bends = np.maximum(table @ made.bends.astype(np.float32) + made.shifts.astype(np.float32), 0)
    return np.concatenate([table, bends, np.ones((len(table), 1), np.float32)], axis=1)


def _ridge(bent: Floats, answers: Floats) -> Exact:
    columns = bent.astype(np.float64)
    gram = columns.T @ columns
    gram[np.diag_indices(len(gram) - 1)] += RIDGE * len(columns)
    right: Exact = columns.T @ np.asarray(answers, dtype=np.float64)
    return np.asarray(np.linalg.solve(gram + 1e-9 * np.eye(len(gram)), right))


def _fit(made: StandIn, real: Data, scores: Floats, rows: Ints) -> float:
    true = np.asarray(scores, dtype=np.float64)[rows]
    missed = ((made.scores(np.asarray(real.features)[rows]) - true) ** 2).sum()
    return float(1 - missed / max(float(((true - true.mean(axis=0)) ** 2).sum()), 1e-300))
