"""Label bias: how many labels of one group would have to be wrong for a gap to vanish?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rai.audits._lift import hidden, large_enough, lift, undefined
from rai.evidence import Measurement
from rai.stats.bootstrap import bootstrap_counts
from rai.stats.confusion import base_rate, binary_counts, false_positive_rate, quotient, true_positive_rate
from rai.stats.estimates import Estimate
from rai.subject import Floats, Groups, Ints, Subject

TN, FP, FN, TP = range(4)
NONE = "no number of such labels would close the gap"
FEWEST_OF_A_KIND = "fewer than five labels of one kind in a group: suppressed"
Cells = Floats | Ints
Solver = Callable[[Cells, Cells], Floats]


@dataclass(frozen=True)
class Question:
    """One gap: its rate, at which end of it labels are doubted, which labels would be wrong, and the solution.

    `solve` maps confusion cells (..., 4) of that group and of the group it is held against to a number of labels, NaN
    where none does it.
    """

    name: str
    title: str
    rate: Callable[[Cells], Floats]
    doubted: Literal["lowest", "highest"]
    base: tuple[int, int]
    wrong: str
    solve: Solver


@dataclass(frozen=True)
class Tipping:
    """An answer: the group whose labels are doubted, and how many of them, as a count and a share of their kind."""

    title: str
    wrong: str
    group: str
    against: str
    count: Measurement
    share: Measurement


def by_base_rate(own: Cells, other: Cells) -> Floats:
    """Recorded negatives that would have to be positive for the group's share of positives to equal the other's."""
    rows = own.sum(axis=-1)
    needed = base_rate(other) * rows - (own[..., FN] + own[..., TP])
    return np.asarray(np.where(needed <= own[..., TN] + own[..., FP], np.maximum(needed, 0.0), np.nan))


def by_false_positives(own: Cells, other: Cells) -> Floats:
    """Recorded negatives x that would have to be positive, selected at the group's true-positive rate t.

    (FP - t x) / (N - x) = the other's false-positive rate.
    """
    rate, chosen = false_positive_rate(other), true_positive_rate(own)
    negatives = own[..., TN] + own[..., FP]
    needed = _solved(own[..., FP] - rate * negatives, chosen - rate)
    fits = (needed < negatives) & (chosen * needed <= own[..., FP]) & ((1 - chosen) * needed <= own[..., TN])
    return np.asarray(np.where(fits, needed, np.nan))


def by_true_positives(own: Cells, other: Cells) -> Floats:
    """Recorded positives x that would have to be negative, selected at the group's false-positive rate f.

    (TP - f x) / (P - x) = the other's true-positive rate.
    """
    rate, chosen = true_positive_rate(other), false_positive_rate(own)
    positives = own[..., FN] + own[..., TP]
    needed = _solved(rate * positives - own[..., TP], rate - chosen)
    fits = (needed < positives) & (chosen * needed <= own[..., TP]) & ((1 - chosen) * needed <= own[..., FN])
    return np.asarray(np.where(fits, needed, np.nan))


QUESTIONS = (
    Question(
        "base_rate", "Base rate", base_rate, "lowest", (TN, FP), "recorded negatives truly positive", by_base_rate
    ),
    Question(
        "false_positive_rate",
        "False-positive rate",
        false_positive_rate,
        "highest",
        (TN, FP),
        "recorded negatives truly positive",
        by_false_positives,
    ),
    Question(
        "true_positive_rate",
        "True-positive rate",
        true_positive_rate,
        "lowest",
        (FN, TP),
        "recorded positives truly negative",
        by_true_positives,
    ),
)


def tippings(subject: Subject, groups: Groups, rng: np.random.Generator) -> Iterator[Tipping]:
    """Each gap's tipping point between its two ends; of several classes each class against the rest."""
    large = large_enough(groups)
    binary = subject.card.task == "binary"
    for place in [subject.positive] if binary else range(len(subject.card.classes)):
        facet = (
            {"attribute": groups.name}
            if binary
            else {
                "attribute": groups.name,
                "class": subject.card.classes[place],
            }
        )
        cells = binary_counts(
            np.asarray(subject.data.labels == place),
            np.asarray(subject.predicted == place),
            large.codes,
            len(large.levels),
        )
        yield from (_tipping(each, cells, large, facet, rng) for each in QUESTIONS)


def _tipping(
    question: Question, cells: Ints, groups: Groups, facet: Mapping[str, str], rng: np.random.Generator
) -> Tipping:
    rates = question.rate(cells)
    reason = _unmeasurable(cells, rates)
    if reason:
        return _without(question, ("", ""), reason, facet)
    low, high = int(rates.argmin()), int(rates.argmax())
    own, other = (low, high) if question.doubted == "lowest" else (high, low)
    names = (groups.levels[own], groups.levels[other])
    return _answer(question, cells[[own, other]], names, facet, rng)


def _answer(
    question: Question, cells: Ints, names: tuple[str, str], facet: Mapping[str, str], rng: np.random.Generator
) -> Tipping:
    """Count and share with bootstrap intervals, for the two groups at the ends of the gap."""
    about = {**facet, "group": names[0], "against": names[1]}
    if not np.isfinite(question.solve(cells[0], cells[1])):
        return _without(question, names, NONE, about)
    count = bootstrap_counts(cells.ravel(), lambda drawn: _solution(question, drawn, share=False), rng)
    part = bootstrap_counts(cells.ravel(), lambda drawn: _solution(question, drawn, share=True), rng)
    lifted = [
        lift(each, f"tipping_{kind}_{question.name}", facet=about, unit=unit)
        for each, kind, unit in ((_told(count), "labels", "rows"), (_told(part), "share", "share"))
    ]
    return Tipping(question.title, question.wrong, *names, *lifted)


def _solution(question: Question, drawn: Cells, *, share: bool) -> Floats:
    cells = drawn.reshape(*drawn.shape[:-1], 2, 4)
    found = question.solve(cells[..., 0, :], cells[..., 1, :])
    return quotient(found, cells[..., 0, list(question.base)].sum(axis=-1)) if share else found


def _told(found: Estimate) -> Estimate:
    """The estimate; where too many resamples have no tipping point, that is what the reason says."""
    if found.low is None and "undefined" in found.reason:
        words = f"{found.reason.split(' ')[0]} of the resamples have no tipping point, so there is no interval"
        return Estimate(found.value, None, None, found.rows, found.method, words)
    return found


def _without(question: Question, names: tuple[str, str], reason: str, facet: Mapping[str, str]) -> Tipping:
    parts = [undefined(f"tipping_{kind}_{question.name}", reason, facet=facet) for kind in ("labels", "share")]
    return Tipping(question.title, question.wrong, *names, *parts)


def _unmeasurable(cells: Ints, rates: Floats) -> str:
    if len(cells) < 2:
        return "fewer than two groups of five rows or more"
    kinds = [int(each) for each in (cells[:, [TN, FP]].sum(axis=1).tolist() + cells[:, [FN, TP]].sum(axis=1).tolist())]
    if any(hidden(each) for each in kinds):
        return FEWEST_OF_A_KIND
    return "" if np.isfinite(rates).all() and all(kinds) else "a group without positives or without negatives"


def _solved(above: Floats, below: Floats) -> Floats:
    """The solution where labels of this kind move the rate towards the other's; NaN where they do not."""
    return np.asarray(np.where(below > 0, np.maximum(above, 0.0) / np.where(below > 0, below, 1.0), np.nan))
