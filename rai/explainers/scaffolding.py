"""Does a model behave differently on the made-up rows that explainers ask it about?

Explainers mix the features of several rows, or draw each feature on its own. A model can be built to recognise such
rows and to answer them by another, harmless rule, so that its explanation hides what decides about real people (Slack
et al. 2020, arXiv:1911.02508). Here stand-ins are taught the model's answers on real rows, and others its answers on
made-up rows. Both are explained. What the two kinds differ beyond what each kind differs within itself is the gap. A
stand-in that learns its model badly blurs the answers on both kinds of rows alike, which raises no gap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import Head
from rai.data import mixer
from rai.errors import InputError
from rai.explainers.quality import picked
from rai.explainers.questions import Question, Target
from rai.explainers.shapley import explain as shapley
from rai.subject import Bools, Data, Floats, Ints, Trust

Exact = NDArray[np.float64]
Random = np.random.Generator
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
class Taught:
    """Stand-ins taught on rows of one kind: shares of influence (stand-ins, players), and `fit` (stand-ins,).

    The fit is how much of the model's answers each explains on rows of its kind that it was not taught (R²).
    """

    shares: Exact
    fit: Exact


@dataclass(frozen=True)
class Scaffolding:
    """How far stand-ins taught on made-up rows lie from those taught on real ones, beyond how far each kind scatters.

    `gaps` (stand-ins,): the share of all influence that would have to be moved from one feature to another.
    """

    gaps: Exact
    real: Taught
    made_up: Taught
    players: tuple[str, ...]


def scaffolding(
    question: Question, outputs: Ints, real: Data, scores: Floats, count: int = STAND_INS
) -> dict[str, Scaffolding | str]:
    """Compare stand-ins taught a model's answers on `real` rows and on rows made up from them, by how they were.

    `scores` (real rows, explained) are in the unit of the question, `outputs` (rows,) the explained one of each row.
    `count` stand-ins are taught on each kind of rows. Where the model cannot answer made-up rows the reason is given.
    Raises InputError for data that is no table.
    """
    if question.data.kind != "table":
        raise InputError("only explanations of tables are tried for this", where="scaffolding")
    rng = np.random.default_rng([question.seed, 3])
    players = question.data.players
    few = np.arange(min(question.data.rows, max(FEWEST, MOST_COALITIONS // (PER_PLAYER * len(players)))))
    asked = replace(question, data=question.data.take(few), budget=PER_PLAYER * len(players))
    teach = partial(_class, asked, outputs[few], rng=rng, count=count)
    known, blurred = teach(real, scores), alike(real)
    found: dict[str, Scaffolding | str] = {}
    for name, make in MADE_UP.items():
        rows = make(real, rng)
        try:
            other = teach(rows, _answers(question, rows))
        except InputError as problem:
            found[name] = f"made-up rows cannot be scored: {problem}"
            continue
        gaps = gaps_of(known.shares @ blurred, other.shares @ blurred)
        found[name] = Scaffolding(gaps, known, other, tuple(each.name for each in players))
    return found


def _answers(question: Question, rows: Data) -> Floats:
    answers = question.ask(rows.inputs)
    if not np.isfinite(answers).all():
        raise InputError("the model's score is not finite for some of them")
    return answers


def _class(asked: Question, outputs: Ints, rows: Data, scores: Floats, *, rng: Random, count: int) -> Taught:
    """Stand-ins taught on two thirds of these rows each, and what drives them in the rows of the question."""
    table, answers = np.asarray(rows.features), np.asarray(scores, dtype=np.float64)
    told, fit = [], []
    for _ in range(count):
        order = rng.permutation(rows.rows)
        shown, kept = np.split(order, [2 * len(order) // 3])
        made = taught(table[shown], answers[shown], rows, rng)
        told.append(shares(numeric(asked, made), outputs))
        fit.append(_fit(made, table[kept], answers[kept]))
    return Taught(np.stack(told), np.array(fit))


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


def gaps_of(first: Exact, second: Exact) -> Exact:
    """Mean distance of each stand-in of either kind from all of the other, less those within its kind, (stand-ins,).

    This is the energy distance (Székely & Rizzo 2013) of the shares (stand-ins, players): about 0 where both kinds
    scatter around the same shares, however widely. One number for each pair of a stand-in of either kind.
    """
    across = _apart(first, second)
    within = [_apart(each, each).sum(axis=1) / (len(each) - 1) for each in (first, second)]
    return np.asarray((across.mean(axis=0) + across.mean(axis=1) - within[0] - within[1]) / 2)


def _apart(first: Exact, second: Exact) -> Exact:
    return np.asarray(np.abs(first[:, None] - second[None]).sum(axis=2) / 2)


def shares(question: Question, outputs: Ints) -> Exact:
    """Each player's share of the influence on the question's rows: mean sizes of Shapley values, (players,)."""
    sizes = np.abs(picked(question, shapley, outputs)).mean(axis=0)
    return np.asarray(sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(sizes), 1 / max(1, len(sizes))))


def numeric(question: Question, model: StandIn) -> Question:
    """The same question to a stand-in, which takes numbers."""
    data, known = (replace(each, inputs=each.features) for each in (question.data, question.background))
    return replace(question, model=model, target=Target(), data=data, background=known)


def mixed_rows(real: Data, rng: Random) -> Data:
    """Rows in which about half of the players' columns come from another row, as Shapley methods mix them."""
    order = rng.permutation(real.rows)
    own = rng.random((real.rows, len(real.players))) < 0.5
    return _put_together(real, np.where(own, np.arange(real.rows)[:, None], order[:, None]))


def drawn_rows(real: Data, rng: Random) -> Data:
    """Rows in which each player's columns are drawn on their own, as LIME draws them.

    A column of numbers of an array is drawn from a normal distribution of its mean and spread; columns of a player that
    has several, and those of a data frame, are taken from other rows.
    """
    sources = rng.permuted(np.repeat(np.arange(real.rows)[:, None], len(real.players), axis=1), axis=0)
    made = _put_together(real, sources)
    if hasattr(real.inputs, "iloc") or real.inputs.dtype.kind not in "if":
        return made
    numbers = [player.inputs[0] for player in real.players if len(player.inputs) == 1]
    known = np.asarray(real.features, dtype=np.float64)[:, numbers]
    drawn = rng.normal(size=known.shape) * np.nanstd(known, axis=0) + np.nanmean(known, axis=0)
    inputs, features = made.inputs.copy(), np.array(made.features)
    inputs[:, numbers] = drawn
    features[:, numbers] = inputs[:, numbers]
    return replace(made, inputs=inputs, features=features)


def _put_together(real: Data, sources: Ints) -> Data:
    """Rows whose players' columns come from the rows at `sources`, (rows, players); columns of nobody stay."""
    owner = np.full(np.asarray(real.features).shape[1], len(real.players))
    for place, player in enumerate(real.players):
        owner[list(player.inputs)] = place
    cells = np.column_stack([sources, np.arange(real.rows)])[:, owner]
    features = np.take_along_axis(np.asarray(real.features), cells, axis=0)
    frame = hasattr(real.inputs, "iloc")
    inputs = mixer(real.inputs, real.inputs[:0])(cells) if frame else np.take_along_axis(real.inputs, cells, axis=0)
    return Data("table", inputs, features, None, {}, real.players)


MADE_UP: Mapping[str, Callable[[Data, Random], Data]] = MappingProxyType(
    {"by mixing rows": mixed_rows, "by drawing each column": drawn_rows}
)


@dataclass(frozen=True)
class Recognised:
    """How made-up some rows look to a stand-in that was shown others, (rows,), and which of them are, (rows,)."""

    looks: Floats
    mixed: Bools


def recognised(real: Data, rng: Random) -> Recognised:
    """Can mixed rows be told from real ones? That is the room that a model has to behave differently on them.

    Half of the rows are mixed with one another; half of each kind are shown to a stand-in.
    """
    order = rng.permutation(real.rows)
    half, kept = real.take(order[: len(order) // 2]), real.take(order[len(order) // 2 :])
    table = np.concatenate([np.asarray(kept.features), mixed_rows(half, rng).features])
    made_up = np.arange(len(table)) >= kept.rows
    shown = rng.random(len(table)) < 0.5
    made = taught(table[shown], made_up[shown, None] * 1.0, real, rng)
    return Recognised(made.scores(table[~shown])[:, 0], made_up[~shown])


def taught(table: Floats, answers: Floats, real: Data, rng: Random) -> StandIn:
    """A stand-in that answers the rows of `table` (rows, numbers) with `answers` (rows, outputs)."""
    known = np.asarray(table, dtype=np.float64)
    scale = _scales(real, np.nanvar(known, axis=0), rng)
    bends = rng.normal(size=(len(scale), UNITS))
    bare = StandIn(np.nanmean(known, axis=0), scale, bends, rng.normal(size=UNITS), np.zeros((0, 0)))
    return replace(bare, weights=_ridge(_bent(bare, known), answers))


def _scales(real: Data, variances: Exact, rng: Random) -> Exact:
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


def _fit(made: StandIn, table: Floats, true: Exact) -> float:
    missed = ((made.scores(table) - true) ** 2).sum()
    return float(1 - missed / max(float(((true - true.mean(axis=0)) ** 2).sum()), 1e-300))
