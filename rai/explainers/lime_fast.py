"""LIME in closed form: the same neighbourhood, kernel and ridge as the package lime, many more samples, and errors."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import Game
from rai.explainers.lime_space import NOTE, TABLE_NOTE, Space, space_of
from rai.explainers.options import chosen
from rai.explainers.parts import solved
from rai.explainers.questions import Question, named
from rai.subject import Bools, Floats, Ints, Kind

Numbers = NDArray[np.float64]
ALPHA = 1.0
FIRST = 2_500
MOST = 20_000
MOST_HIDDEN = 2_500
TOP = 5
SURE = 1.96
COSINE_WIDTH = 0.25


@dataclass(frozen=True)
class Fit:
    """A weighted ridge of several outputs: `weights` and `error` (players, outputs), `intercept` (outputs,)."""

    weights: Numbers
    error: Numbers
    intercept: Numbers


def explain(question: Question) -> Attribution:
    """LIME weights with standard errors; samples are added until the five strongest features are told apart.

    Numbers of a table are drawn from a normal distribution with the background's mean and scale, categories from the
    background, one draw for all rows; patches, time segments and tokens are hidden as by the package lime.
    `budget`: the most samples (default 20,000 for a table, else 2,500 a row). Sources: Ribeiro et al. 2016
    (arXiv:1602.04938); adding samples until the choice is stable: Zhou et al. 2021, S-LIME (arXiv:2106.07875).
    """
    chosen(question)
    if question.budget is not None and question.budget < 2:
        raise InputError(f"is {question.budget}", where="budget", expected="at least 2 samples")
    if question.data.kind == "table":
        return _table(question, question.budget or MOST)
    solve = partial(_hidden, kind=question.data.kind, most=question.budget or MOST_HIDDEN)
    return replace(solved(question, solve, "lime_fast"), note=NOTE)


def ridge(features: Floats, scores: Floats, importance: Floats, *, alpha: float = ALPHA) -> Fit:
    """Weighted ridge with a free intercept and its sandwich standard errors.

    `features` (samples, players), `scores` (samples, outputs), `importance` (samples,). The errors are those of
    White 1980 (HC1), which hold whatever the true shape of the scores; they measure sampling, not the ridge's pull
    towards zero.
    """
    total = importance.sum()
    middle, level = importance @ features / total, importance @ scores / total
    near, apart = features - middle, scores - level
    weighed = near * importance[:, None]
    inverse = np.linalg.inv(weighed.T @ near + alpha * np.eye(features.shape[1]))
    weights = inverse @ (weighed.T @ apart)
    leverage = weighed @ inverse
    variance = (leverage**2).T @ (apart - near @ weights) ** 2
    spare = len(features) / max(1, len(features) - features.shape[1] - 1)
    return Fit(weights, np.sqrt(variance * spare), level - middle @ weights)


def settled(fit: Fit) -> bool:
    """Whether the fifth and the sixth strongest feature of every output differ by more than chance.

    Of five features or fewer, the weakest must differ from the others.
    """
    last = min(TOP, len(fit.weights) - 1)
    if last < 1:
        return True
    strength = np.abs(fit.weights)
    order = np.argsort(-strength, axis=0)[last - 1 : last + 1]
    strong, noise = (np.take_along_axis(each, order, axis=0) for each in (strength, fit.error))
    return bool((strong[0] - strong[1] > SURE * np.hypot(noise[0], noise[1])).all())


def _table(question: Question, most: int) -> Attribution:
    space, rng = space_of(question), question.rng()
    drawn = _drawn(space, min(FIRST, most), rng)
    scores = space.score(drawn)
    fits = [_around(space, drawn, scores, row, question.full) for row in range(len(space.rows))]
    open_ = [row for row, fit in enumerate(fits) if not settled(fit)]
    while open_ and len(drawn) < most:
        more = _drawn(space, min(len(drawn), most - len(drawn)), rng)
        drawn, scores = np.concatenate([drawn, more]), np.concatenate([scores, space.score(more)])
        for row in open_:
            fits[row] = _around(space, drawn, scores, row, question.full)
        open_ = [row for row in open_ if not settled(fits[row])]
    found = Shares(np.stack([fit.weights for fit in fits]), np.stack([fit.error for fit in fits]))
    base = np.stack([fit.intercept for fit in fits])
    scored, note = len(fits) + len(drawn), _note(TABLE_NOTE, len(open_), len(fits))
    return named(question, found, base, method="lime_fast", rows_scored=scored, note=note)


def _note(said: str, unsure: int, rows: int) -> str:
    return f"{said}; the five strongest features are not told apart for {unsure} of {rows} rows" if unsure else said


def _drawn(space: Space, count: int, rng: np.random.Generator) -> Numbers:
    """Rows drawn anew, coded, (count, players): numbers by themselves, categories as often as in the background."""
    numbers = rng.normal(size=(count, len(space.mean))) * space.scale + space.mean
    for player in np.flatnonzero(space.drawn):
        numbers[:, player] = rng.choice(space.background[:, player], count)
    return numbers


def _around(space: Space, drawn: Numbers, scores: Numbers, row: int, full: Numbers) -> Fit:
    """The fit around one row, which is itself the first of the samples, as in the package lime."""
    own = space.rows[row]
    samples = np.concatenate([own[None], drawn])
    shown = np.where(space.drawn, samples == own, (samples - space.mean) / space.scale)
    distance = np.linalg.norm(shown - shown[0], axis=1)
    width = 0.75 * np.sqrt(len(own))
    return ridge(shown, np.concatenate([full[row : row + 1], scores]), np.exp(-((distance / width) ** 2) / 2))


def _hidden(asked: Game, rng: np.random.Generator, *, kind: Kind, most: int) -> Shares:
    """Fits on which players are shown; the same draws serve all rows of the game."""
    values, error = np.zeros((2, len(asked.rows), len(asked.players), asked.full.shape[1]))
    if not asked.players:
        return Shares(values, error)
    hidden = replace(asked, background=asked.background.mean(axis=0, keepdims=True))
    members = _words if kind == "text" else _halves
    drawn = np.ones((1, len(asked.players)), dtype=bool)
    scores = asked.full[:, None]
    open_ = np.arange(len(asked.rows))
    while len(open_) and len(drawn) < most:
        more = members(len(asked.players), min(max(len(drawn), most // 4), most - len(drawn)), rng)
        drawn, scores = np.concatenate([drawn, more]), np.concatenate([scores, _scores(hidden, more, open_)], axis=1)
        fits = [ridge(drawn.astype(np.float64), each, closeness(drawn)) for each in scores]
        values[open_], error[open_] = np.stack([f.weights for f in fits]), np.stack([f.error for f in fits])
        still = np.array([not settled(fit) for fit in fits])
        open_, scores = open_[still], scores[still]
    return Shares(values, error)


def closeness(members: Bools) -> Numbers:
    """The package lime's kernel: how near coalitions are to all players by the angle between them, (coalitions,)."""
    shown = members.sum(axis=1)
    distance = 1 - np.sqrt(shown / members.shape[1])
    return np.asarray(np.exp(-((distance / COSINE_WIDTH) ** 2) / 2))


def _scores(hidden: Game, members: Bools, rows: Ints) -> Numbers:
    return replace(hidden, rows=hidden.rows[rows]).values(members)


def _halves(players: int, count: int, rng: np.random.Generator) -> Bools:
    """Each player shown with chance one half, as lime does with images."""
    return np.asarray(rng.random((count, players)) < 0.5)


def _words(players: int, count: int, rng: np.random.Generator) -> Bools:
    """A number of players from one to all is hidden, every number as often, as lime does with texts."""
    order = rng.random((count, players)).argsort(axis=1).argsort(axis=1)
    return np.asarray(order >= rng.integers(1, players + 1, size=(count, 1)))
