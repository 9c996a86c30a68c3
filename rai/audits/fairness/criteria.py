"""The rates that group criteria compare, and which rates each criterion compares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._lift import hidden
from rai.evidence import SMALLEST_CELL
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.gaps import joint_rate_gap, joint_rate_ratio
from rai.subject import Groups, Ints

TN, FP, FN, TP = range(4)
ALL = (TN, FP, FN, TP)


@dataclass(frozen=True)
class Rate:
    """A share of confusion cells: hits over base. `base_words` names the base when it is empty."""

    name: str
    title: str
    hits: tuple[int, ...]
    base: tuple[int, ...]
    base_words: str


SELECTION = Rate("selection_rate", "Selection rate", (FP, TP), ALL, "rows")
TPR = Rate("true_positive_rate", "True-positive rate", (TP,), (FN, TP), "positives")
FPR = Rate("false_positive_rate", "False-positive rate", (FP,), (TN, FP), "negatives")
FNR = Rate("false_negative_rate", "False-negative rate", (FN,), (FN, TP), "positives")
PRECISION = Rate("precision", "Precision", (TP,), (FP, TP), "predicted positives")
ACCURACY = Rate("accuracy", "Accuracy", (TN, TP), ALL, "rows")
RATES = (SELECTION, TPR, FPR, FNR, PRECISION, ACCURACY)


@dataclass(frozen=True)
class Criterion:
    """A criterion asks that these rates be the same in every group; of several rates the worst one counts."""

    name: str
    title: str
    rates: tuple[Rate, ...]


CRITERIA = (
    Criterion("demographic_parity", "Demographic parity", (SELECTION,)),
    Criterion("equal_opportunity", "Equal opportunity", (TPR,)),
    Criterion("predictive_equality", "Predictive equality", (FPR,)),
    Criterion("equalized_odds", "Equalized odds", (TPR, FPR)),
    Criterion("predictive_parity", "Predictive parity", (PRECISION,)),
    Criterion("accuracy", "Accuracy", (ACCURACY,)),
)


@dataclass(frozen=True)
class Tally:
    """Hits and base of one rate in every group, shape (groups,) each."""

    hits: Ints
    base: Ints


def tally(rate: Rate, cells: Ints) -> Tally:
    """Count a rate's hits and base from confusion cells of shape (groups, 4)."""
    return Tally(cells[:, list(rate.hits)].sum(axis=1), cells[:, list(rate.base)].sum(axis=1))


def difference(criterion: Criterion, cells: Ints, groups: Groups, rng: np.random.Generator) -> Gap:
    """Largest less smallest group rate; undefined where a group's base is empty, withheld where it is 1 to 4."""
    return _gap(joint_rate_gap, criterion, cells, groups, rng)


def ratio(criterion: Criterion, cells: Ints, groups: Groups, rng: np.random.Generator) -> Gap:
    """Smallest over largest group rate; undefined where a group's base is empty or all rates are 0."""
    return _gap(joint_rate_ratio, criterion, cells, groups, rng)


def _gap(
    compared: Callable[..., Gap], criterion: Criterion, cells: Ints, groups: Groups, rng: np.random.Generator
) -> Gap:
    reason = _unmeasurable(criterion.rates, cells, groups)
    if reason:
        return undefined_gap(reason, int(cells.sum()))
    return compared(_families(criterion.rates, cells), rng, names=groups.levels)


def _families(rates: Sequence[Rate], cells: Ints) -> list[tuple[Ints, Ints]]:
    counted = [tally(rate, cells) for rate in rates]
    return [(each.hits, each.base) for each in counted]


def _unmeasurable(rates: Sequence[Rate], cells: Ints, groups: Groups) -> str:
    """Why these rates cannot be compared; empty where they can."""
    if len(groups.levels) < 2:
        return f"fewer than two groups of {SMALLEST_CELL} rows or more"
    bases = [
        (int(base), f"{rate.base_words} in group {level}")
        for rate in rates
        for level, base in zip(groups.levels, tally(rate, cells).base, strict=True)
    ]
    none = next((words for base, words in bases if base == 0), "")
    few = next((words for base, words in bases if hidden(base)), "")
    return f"no {none}" if none else few and f"fewer than {SMALLEST_CELL} {few}: suppressed"
