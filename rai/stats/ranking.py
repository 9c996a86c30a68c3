"""How well do scores put positives before negatives?"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from rai.stats.arrays import Bools, Floats, Ints
from rai.stats.bootstrap import DRAWS, draws_for, multinomial, row_weights
from rai.stats.estimates import Estimate, undefined
from rai.stats.proportions import clopper_pearson

MOST_RESAMPLED = 20_000
BINS = 250
ONE_CLASS = "needs rows of both classes"
ONE_ROW = "a single row of one class, or scores that do not vary"


@dataclass(frozen=True)
class Points:
    """Points of a curve: equally long arrays, x never decreasing."""

    x: Floats
    y: Floats


@dataclass(frozen=True)
class Ranked:
    """Rows sorted by falling score: which are positive, and where each run of equal scores ends."""

    order: Ints
    positive: Floats
    ends: Ints


@dataclass(frozen=True)
class Hits:
    """Weight of positives and of negatives at or above each threshold, (k, thresholds)."""

    positives: Floats
    negatives: Floats


def ranked(positive: Bools, score: Floats) -> Ranked:
    """Sort rows by falling score, once, whatever the weights."""
    order = np.argsort(-np.asarray(score), kind="stable")
    down = np.asarray(score)[order]
    ends = np.append(np.flatnonzero(down[1:] != down[:-1]), len(down) - 1)
    return Ranked(order, np.asarray(positive, dtype=np.float64)[order], ends)


def hits(rows: Ranked, weights: Ints | Floats) -> Hits:
    """Add up weights (k, rows), given in sorted order, from the highest score down to each threshold."""
    every = np.cumsum(weights, axis=1, dtype=np.float64)[:, rows.ends]
    found = np.cumsum(weights * rows.positive, axis=1)[:, rows.ends]
    return Hits(found, every - found)


def area_under_roc(found: Hits) -> Floats:
    """Area under each ROC curve by trapezoids, so ties count half; NaN where a class has no weight."""
    steps = np.diff(found.negatives, axis=1, prepend=0.0)
    before = found.positives - np.diff(found.positives, axis=1, prepend=0.0) / 2
    total = found.positives[:, -1] * found.negatives[:, -1]
    area = np.sum(steps * before, axis=1)
    return np.asarray(np.divide(area, total, out=np.full(len(total), np.nan), where=total > 0))


def mean_precision(found: Hits) -> Floats:
    """Precision at each threshold, weighted by the recall gained there; NaN without positive weight."""
    every = found.positives + found.negatives
    precise = np.divide(found.positives, every, out=np.zeros_like(every), where=every > 0)
    gained = np.diff(found.positives, axis=1, prepend=0.0)
    total = found.positives[:, -1]
    return np.asarray(
        np.divide(np.sum(gained * precise, axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
    )


def average_precision(positive: Bools, score: Floats) -> float | None:
    """Average precision as scikit-learn defines it: no interpolation; None without positives."""
    if len(positive) == 0:
        return None
    found = float(mean_precision(hits(ranked(positive, score), np.ones((1, len(positive)))))[0])
    return found if np.isfinite(found) else None


def roc_auc_draws(positive: Bools, score: Floats, rng: np.random.Generator, *, draws: int | None = None) -> Floats:
    """ROC AUC of resamples of the rows within each class, shape (draws,), for gaps between groups.

    None as `draws` means as many as `draws_for` gives. Beyond 20,000 rows the scores are resampled in 250 runs of
    equal mass, whose order is kept. NaN without rows of both classes.
    """
    return _draws(area_under_roc, positive, score, rng, draws)


def _draws(
    summary: Callable[[Hits], Floats], positive: Bools, score: Floats, rng: np.random.Generator, draws: int | None
) -> Floats:
    count = len(positive)
    wanted = draws_for(count) if draws is None else draws
    if not 0 < np.sum(positive) < count:
        return np.full(wanted, np.nan)
    # Sorted first, so that no draw needs to be put in order again.
    rows = ranked(positive, score)
    if count > MOST_RESAMPLED:
        return _binned_draws(summary, rows, rng, draws=DRAWS if draws is None else draws)
    pieces = row_weights(count, wanted, rng, rows.positive.astype(np.int64))
    return np.concatenate([summary(hits(rows, weights)) for weights in pieces])


def _binned_draws(summary: Callable[[Hits], Floats], rows: Ranked, rng: np.random.Generator, *, draws: int) -> Floats:
    """Resample counts of positives and negatives in BINS runs of scores: the spread of many rows, far sooner."""
    wanted = np.linspace(0, rows.ends[-1], BINS + 1)[1:]
    ends = rows.ends[np.unique(np.searchsorted(rows.ends, wanted))]
    positives = np.diff(np.cumsum(rows.positive)[ends], prepend=0.0).astype(np.int64)
    negatives = np.diff(ends, prepend=-1) - positives
    each = [np.cumsum(multinomial(counts, draws, rng), axis=1, dtype=np.float64) for counts in (positives, negatives)]
    return summary(Hits(each[0], each[1]))


def on_logit(plain: Estimate, error: float, standard: float) -> Estimate:
    """Add the interval that is symmetric on the logit scale; none where the value is 0 or 1 or never varies."""
    value = plain.value
    if value is None or not 0.0 < value < 1.0 or error == 0:
        return plain
    reach = standard * error / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-reach, reach]))
    return replace(plain, low=float(low), high=float(high), reason="")


def delong(positive: Bools, score: Floats, *, level: float = 0.95) -> Estimate:
    """ROC AUC with DeLong's analytic interval on the logit scale, which keeps it inside 0 and 1.

    DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837, by the ranks of Sun & Xu 2014, with Student's
    quantile at Welch's degrees of freedom in place of the normal one, which falls short for a class of few rows.
    Classes that do not overlap show no error; then the interval is the exact one of as many separate pairs as the
    smaller class has rows, for these are all in order no more often than AUC to that power. No interval where one
    class has a single row and the classes overlap.
    """
    chosen = np.asarray(positive, dtype=bool)
    m, n = int(chosen.sum()), int((~chosen).sum())
    if not m or not n:
        return undefined(ONE_CLASS, m + n)
    share = placements(chosen, np.asarray(score))
    value, pairs = float(share[chosen].mean()), min(m, n)
    if value in {0.0, 1.0}:
        bounds = clopper_pearson([round(value * pairs)], [pairs], level=level)
        method = f"exact {level:.0%} interval from {pairs} separate pairs: the classes do not overlap"
        return Estimate(value, float(bounds.low[0]), float(bounds.high[0]), m + n, method)
    plain = Estimate(value, None, None, m + n, f"DeLong {level:.0%} interval on the logit scale", ONE_ROW)
    if pairs < 2:
        return plain
    parts = np.array([share[chosen].var(ddof=1) / m, share[~chosen].var(ddof=1) / n])
    if parts.sum() == 0:
        return plain
    freedom = parts.sum() ** 2 / (parts**2 / [m - 1, n - 1]).sum()
    return on_logit(plain, float(np.sqrt(parts.sum())), float(stats.t.ppf(0.5 + level / 2, freedom)))


def placements(positive: Bools, score: Floats) -> Floats:
    """For each row, the share of the other class that it outranks (a positive) or is outranked by (a negative)."""
    m, n = int(positive.sum()), int((~positive).sum())
    overall = stats.rankdata(score)
    share = np.empty(m + n)
    share[positive] = (overall[positive] - stats.rankdata(score[positive])) / n
    share[~positive] = 1.0 - (overall[~positive] - stats.rankdata(score[~positive])) / m
    return share


def true_positives_at(positive: Bools, score: Floats, most: float) -> float:
    """Highest true positive rate of a threshold whose false positive rate is at most `most`; both classes needed."""
    found = hits(ranked(positive, score), np.ones((1, len(positive))))
    allowed = found.negatives[0] <= most * found.negatives[0, -1]
    return float((found.positives[0] * allowed).max() / found.positives[0, -1])


def precision_at(positive: Bools, score: Floats, least: float) -> float:
    """Precision at the highest threshold whose recall is at least `least`; needs a positive."""
    found = hits(ranked(positive, score), np.ones((1, len(positive))))
    first = int(np.argmax(found.positives[0] >= least * found.positives[0, -1]))
    return float(found.positives[0, first] / (found.positives[0, first] + found.negatives[0, first]))


def roc_points(positive: Bools, score: Floats, *, most: int = 100) -> Points:
    """ROC curve from (0, 0) to (1, 1): x false positive rate, y true positive rate.

    At most `most` points, spread evenly along the curve. Empty without rows of both classes.
    """
    if not 0 < np.sum(positive) < len(positive):
        return Points(np.empty(0), np.empty(0))
    found = hits(ranked(positive, score), np.ones((1, len(positive))))
    x = np.append(0.0, found.negatives[0] / found.negatives[0, -1])
    y = np.append(0.0, found.positives[0] / found.positives[0, -1])
    return _thinned(x, y, x + y, most)


def precision_recall_points(positive: Bools, score: Floats, *, most: int = 100) -> Points:
    """Precision-recall curve: x recall, y precision at each threshold.

    At most `most` points, spread evenly along the curve. Empty without positives.
    """
    if not np.any(positive):
        return Points(np.empty(0), np.empty(0))
    found = hits(ranked(positive, score), np.ones((1, len(positive))))
    x = found.positives[0] / found.positives[0, -1]
    y = found.positives[0] / (found.positives[0] + found.negatives[0])
    return _thinned(x, y, x + np.abs(np.diff(y, prepend=y[0])).cumsum(), most)


def _thinned(x: Floats, y: Floats, along: Floats, most: int) -> Points:
    """Keep at most `most` points, evenly spread in `along`, which never decreases; both ends stay."""
    if len(x) <= most:
        return Points(x, y)
    kept = np.searchsorted(along, np.linspace(along[0], along[-1], most))
    kept[0], kept[-1] = 0, len(x) - 1
    kept = np.unique(kept)
    return Points(x[kept], y[kept])
