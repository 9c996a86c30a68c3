"""What the audits of explanations ask: the explained score of some test rows, against rows to compare with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rai.explainers import Attribution, Question, Target, target_of
from rai.subject import Ints, Subject

BACKGROUND = 30
"""Rows to compare with, unless an audit asks for another number."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def question_of(
    subject: Subject,
    rows: Ints,
    *,
    background: int = BACKGROUND,
    budget: int | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> Question:
    """Ask why the model scores the test rows at these positions as it does.

    Compared with at most `background` reference rows, or with test rows where there is no reference; the draw depends
    on the subject's seed alone, so every audit compares with the same rows. `budget` is the most coalitions, samples
    or steps a row. Of several classes all are explained; see `main_output`.
    """
    compared = subject.data if subject.reference is None else subject.reference
    drawn = _drawn(compared.rows, background, subject.rng("explanations background"))
    return Question(
        subject.model,
        explained(subject),
        subject.data.take(rows),
        compared.take(drawn),
        seed=subject.seed,
        budget=budget,
        options=options,
    )


def explained(subject: Subject) -> Target:
    """The score that is explained: of the positive class of two, of each of several classes, or the value."""
    return target_of(subject.card, subject.model.head, subject.positive)


def sampled_rows(subject: Subject, most: int, stream: str) -> Ints:
    """Positions of at most `most` test rows in ascending order, drawn at random with the stream of this name."""
    return _drawn(subject.data.rows, most, subject.rng(stream))


def main_output(subject: Subject, attribution: Attribution, rows: Ints) -> Attribution:
    """The explanation of each row's predicted class where there are several; else the attribution as it is.

    `rows` are the positions that the attribution explains, in its order.
    """
    if attribution.values.ndim == 2:
        return attribution
    return attribution.picked(np.asarray(subject.predicted[rows], dtype=np.int64))


def _drawn(there: int, most: int, rng: np.random.Generator) -> Ints:
    return np.arange(there) if there <= most else np.sort(rng.choice(there, most, replace=False))
