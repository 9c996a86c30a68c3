"""The nearest changes that turn unfavourable decisions, under what the card says a person can change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from rai.audits._explained import question_of
from rai.audits._explained_cells import card_column, unordered
from rai.card import Column, Head
from rai.explainers import Question
from rai.explainers.counterfactuals import Counterfactuals, Freedom, nearest
from rai.subject import Data, Floats, Ints, Subject

MOST_ROWS = 200
BACKGROUND = 2_000
SURE = 1e-12
ROUNDING = 1e-6


@dataclass(frozen=True)
class Sought:
    """Sampled rows with the unfavourable decision, their positions, and the nearest change found for each.

    `data` are the rows, `background` those whose values were tried; `refused` counts all rows so decided.
    """

    rows: Ints
    data: Data
    background: Data
    changes: Counterfactuals
    freedoms: tuple[Freedom, ...]
    refused: int


def sought(subject: Subject) -> Sought | None:
    """Search for at most 200 of the rows that are not predicted the positive class; None where there are none."""
    refused = np.flatnonzero(np.asarray(subject.predicted) != subject.positive)
    if not len(refused):
        return None
    rng = subject.rng("recourse rows")
    rows = refused if len(refused) <= MOST_ROWS else np.sort(rng.choice(refused, MOST_ROWS, replace=False))
    asked = question_of(subject, rows, background=BACKGROUND)
    free = freedoms(subject)

    def margin(inputs: Any) -> Floats:
        return margins(asked, inputs, subject.card.threshold)

    found = nearest(margin, asked.data, asked.background, free)
    return Sought(rows, asked.data, asked.background, found, free, len(refused))


def margins(asked: Question, inputs: Any, threshold: float) -> Floats:
    """How far rows lie above the threshold, in log-odds, (rows,): 0 or more is the positive decision."""
    score = np.asarray(asked.ask(inputs)[:, 0], dtype=np.float64)
    chance = asked.target.head in {Head.PROBABILITY, Head.PROBABILITIES}
    return np.asarray((logit(np.clip(score, SURE, 1 - SURE)) if chance else score) - logit(threshold))


def freedoms(subject: Subject) -> tuple[Freedom, ...]:
    """What can be changed of each column: what the card says, and of sensitive columns nothing."""
    fixed = {name.casefold() for name in subject.data.groups}
    fixed |= {name.casefold() for name in subject.card.data.sensitive}
    kinds = unordered(subject)
    return tuple(
        _freedom(card_column(subject, place), fixed=player.name.casefold() in fixed, category=bool(kinds[place]))
        for place, player in enumerate(subject.data.players)
    )


def _freedom(column: Column | None, *, fixed: bool, category: bool) -> Freedom:
    if column is None or fixed or column.immutable:
        return Freedom(immutable=fixed or column is not None, category=category)
    ends = sorted([_encoded(column, column.minimum, -np.inf), _encoded(column, column.maximum, np.inf)])
    turned = {"increase": "decrease", "decrease": "increase", "both": "both"}
    direction = column.direction if column.scale > 0 else turned[column.direction]
    ranged = column.kind == "number"
    return Freedom(
        category=category,
        least=ends[0] - ROUNDING * (1 + abs(ends[0])) if ranged and np.isfinite(ends[0]) else -np.inf,
        most=ends[1] + ROUNDING * (1 + abs(ends[1])) if ranged and np.isfinite(ends[1]) else np.inf,
        direction=direction,  # type: ignore[arg-type]  # one of the same three words
    )


def _encoded(column: Column, value: float | None, otherwise: float) -> float:
    """A bound of the source as an input of the model."""
    return otherwise * np.sign(column.scale) if value is None else (value - column.mean) / column.scale


def fixed_names(subject: Subject, free: Sequence[Freedom]) -> tuple[str, ...]:
    """Columns that were not to be changed."""
    return tuple(p.name for p, freedom in zip(subject.data.players, free, strict=True) if freedom.immutable)
