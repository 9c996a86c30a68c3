"""Areas under curves averaged over several classes, each held against the rest, with intervals that need no draws."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from rai.stats.arrays import Bools, Floats, Ints
from rai.stats.estimates import Estimate, undefined
from rai.stats.proportions import clopper_pearson
from rai.stats.ranking import ONE_CLASS, average_precision, hits, on_logit, placements, ranked

Influence = Callable[[Bools, Floats], Floats]
NO_SPREAD = "scores that do not vary, or a class of a single row"


def macro_roc_auc(actual: Ints, chances: Floats, *, level: float = 0.95) -> Estimate:
    """Mean over classes of the ROC AUC of each class against the rest, as scikit-learn's "ovr" with macro average.

    `actual` (rows,) class positions, `chances` (rows, classes). The interval is on the logit scale from the rows'
    influences on the mean (for one class they give DeLong's), with Student's quantile at Satterthwaite's degrees of
    freedom over the classes. Undefined unless every class occurs and not alone.
    """
    return _macro(auc_influence, actual, chances, level)


def macro_average_precision(actual: Ints, chances: Floats, *, level: float = 0.95) -> Estimate:
    """Mean over classes of the average precision of each class against the rest; as `macro_roc_auc`."""
    return _macro(average_precision_influence, actual, chances, level)


def average_precision_estimate(positive: Bools, score: Floats, *, level: float = 0.95) -> Estimate:
    """Average precision with an interval on the logit scale from the rows' influences.

    Student's quantile has as many degrees of freedom as positives less one, for they are what there are few of.
    """
    chosen = np.asarray(positive, dtype=bool)
    if not 0 < chosen.sum() < len(chosen):
        return undefined(ONE_CLASS, len(chosen))
    pulls = average_precision_influence(chosen, np.asarray(score))
    return _interval(float(pulls[-1]), pulls[:-1], chosen.astype(np.int64), int(chosen.sum()) - 1, level)


def auc_influence(positive: Bools, score: Floats) -> Floats:
    """How much each row pulls the ROC AUC: its placement less the mean, over the rows of its class; sums to 0.

    The AUC itself stands last, so the shape is (rows + 1,).
    """
    share = placements(positive, score)
    value = float(share[positive].mean())
    sizes = np.where(positive, positive.sum(), (~positive).sum())
    return np.append((share - value) / np.sqrt(sizes * np.maximum(sizes - 1, 1)), value)


def average_precision_influence(positive: Bools, score: Floats) -> Floats:
    """How much each row pulls the average precision: its derivative by the row's weight (infinitesimal jackknife).

    A positive row brings its own precision and lifts that of every positive at or below it; a negative row lowers
    them. The average precision itself stands last, so the shape is (rows + 1,).
    """
    rows, value = ranked(positive, score), average_precision(positive, score) or 0.0
    found = hits(rows, np.ones((1, len(positive))))
    right, every = found.positives[0], found.positives[0] + found.negatives[0]
    gained = np.diff(right, prepend=0.0)
    lift, drop = (np.cumsum((gained * each)[::-1])[::-1] for each in (1 / every, right / every**2))
    run = np.repeat(np.arange(len(every)), np.diff(rows.ends, prepend=-1))
    pulled = rows.positive * (right / every - value + lift)[run] - drop[run]
    influence = np.empty(len(positive))
    influence[rows.order] = pulled / right[-1]
    return np.append(influence, value)


def _macro(influence: Influence, actual: Ints, chances: Floats, level: float) -> Estimate:
    rows, classes = np.shape(chances)
    sizes = np.bincount(actual, minlength=classes)
    if classes < 2 or not sizes.all():
        return undefined("needs rows of every class", rows)
    total = np.zeros(rows + 1)
    for place in range(classes):
        total += influence(np.asarray(actual == place), chances[:, place]) / classes
    return _interval(float(total[-1]), total[:-1], actual, _freedom(total[:-1], actual, sizes), level)


def _freedom(pulls: Floats, actual: Ints, sizes: Ints) -> float:
    """Satterthwaite's degrees of freedom of a sum of squares whose parts have a class's rows less one each."""
    parts = np.bincount(actual, weights=pulls**2, minlength=len(sizes))
    if sizes.min() < 2 or parts.sum() == 0:
        return 0.0
    return float(parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum())


def _interval(value: float, pulls: Floats, actual: Ints, freedom: float, level: float) -> Estimate:
    rows, fewest = len(actual), int(np.bincount(actual).min())
    if value >= 1.0 - 1e-12:
        bounds = clopper_pearson([fewest], [fewest], level=level)
        exact = f"exact {level:.0%} interval from {fewest} separate pairs: the classes do not overlap"
        return Estimate(1.0, float(bounds.low[0]), 1.0, rows, exact)
    method = f"{level:.0%} interval on the logit scale from the influence of each row"
    plain = Estimate(value, None, None, rows, method, NO_SPREAD)
    if freedom <= 0:
        return plain
    error = float(np.sqrt((pulls**2).sum() * (1 + 1 / freedom)))
    return on_logit(plain, error, float(stats.t.ppf(0.5 + level / 2, freedom)))
