"""Numbers made of several shares of a confusion matrix, with intervals that hold for few rows too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rai.stats.arrays import Ints
from rai.stats.estimates import Estimate, undefined
from rai.stats.proportions import Counts, normal_quantile, proportion, tally, wilson


def mean_rate(successes: Counts, trials: Counts, *, level: float = 0.95) -> Estimate:
    """Mean of independent shares, such as balanced accuracy from the recalls; undefined if any has no trials.

    The interval recovers each share's variance from its own Wilson bounds (Zou & Donner 2008, Statistics in Medicine
    27:1693), so shares of 0 and 1 are as unsure as their few rows make them.
    """
    counts = tally(successes, trials)
    rows = int(counts.trials.sum())
    if not counts.trials.size or (counts.trials == 0).any():
        return undefined("a share of no rows", rows)
    share, bounds = counts.successes / counts.trials, wilson(successes, trials, level=level)
    reach = joint_reach(list(zip(share.tolist(), bounds.low.tolist(), bounds.high.tolist(), strict=True)))
    value = float(share.mean())
    method = f"{level:.0%} interval joined from Wilson intervals of {share.size} shares"
    down, up = (0.0, 0.0) if reach is None else (reach.down, reach.up)
    return Estimate(value, max(0.0, value - down), min(1.0, value + up), rows, method)


@dataclass(frozen=True)
class Reach:
    """How far a mean's interval reaches below and above it."""

    down: float
    up: float


def joint_reach(parts: Sequence[tuple[float | None, float | None, float | None]]) -> Reach | None:
    """Reach of the mean of independent numbers, each (value, low, high); None where one is not known."""
    known = np.array(parts, dtype=np.float64)  # None becomes NaN
    if not known.size or np.isnan(known).any():
        return None
    value, low, high = known.T
    count = len(known)
    return Reach(float(np.hypot.reduce(value - low)) / count, float(np.hypot.reduce(high - value)) / count)


def f1_estimate(hits: int, either: int, *, rows: int, level: float = 0.95) -> Estimate:
    """F1 of one class: `hits` rows are it and predicted it, `either` rows are it or predicted it (of `rows`).

    F1 is 2J / (1 + J) of the share J = hits / either, so J's Wilson interval gives F1's. Undefined where nothing is of
    the class, neither actual nor predicted.
    """
    share = proportion(hits, either, level=level)
    if share.value is None or share.low is None or share.high is None:
        return undefined("nothing is of this class, neither actual nor predicted", rows)
    value, low, high = (2 * each / (1 + each) for each in (share.value, share.low, share.high))
    value = 2 * hits / (hits + either)
    method = f"Wilson {level:.0%} interval of hits among {either} rows actual or predicted, as F1"
    return Estimate(value, min(low, value), max(high, value), rows, method)


def over_majority(matrix: Ints, *, level: float = 0.95) -> Estimate:
    """Accuracy less the share of the commonest class, from a confusion matrix (rows actual).

    It is the smallest of the differences to each class's share, and which class is commonest is itself uncertain. So
    the lower bound is the smallest of the classes' own lower bounds, and the upper one holds for all classes that
    may be commonest at once (Bonferroni). Normal bounds, with one row more on either side for the variance.
    """
    rows = int(np.sum(matrix))
    if not rows:
        return undefined("no rows")
    actual, hits = matrix.sum(axis=1), np.diag(matrix)
    apart = (hits.sum() - actual) / rows
    # A row scores +1 where it is right and of another class, -1 where it is wrong and of this one, else 0.
    moved = (hits.sum() - hits) + (actual - hits)
    error = np.sqrt(np.maximum((moved + 2) / (rows + 2) - apart**2, 0.0) / rows)
    reach = normal_quantile(level)
    rivals = int(np.sum(apart - reach * error <= (apart + reach * error).min()))
    wide = normal_quantile(1 - (1 - level) / rivals)
    low, high = float((apart - reach * error).min()), float((apart + wide * error).min())
    method = f"normal {level:.0%} interval over the {rivals} classes that may be commonest"
    return Estimate(float(apart.min()), max(-1.0, low), min(1.0, high), rows, method)
