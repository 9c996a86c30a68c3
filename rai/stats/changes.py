"""How much did a number change: between two models asked about the same rows, or between two sets of runs?"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rai.stats.arrays import Floats, Ints
from rai.stats.bootstrap import MOST_UNDEFINED
from rai.stats.estimates import Estimate, undefined
from rai.stats.proportions import normal_quantile

HALF = 0.5
ALIKE = "every run gives the same value: too little variation for an interval"


def matched_difference(gained: int, lost: int, rows: int, *, level: float = 0.95) -> Estimate:
    """Change of a share whose rows are seen twice: `gained` rows joined it, `lost` rows left it, of `rows`.

    The interval adds one row to each side (Bonett & Price 2012, Journal of Educational and Behavioral Statistics
    37:479): it is sound for few changed rows, and none changed still leaves doubt. Undefined without rows.
    """
    method = f"matched {level:.0%} interval (Bonett and Price)"
    if rows == 0:
        return undefined("no rows to take a share of", method=method)
    value, more = (gained - lost) / rows, rows + 2
    up, down = (gained + 1) / more, (lost + 1) / more
    reach = normal_quantile(level) * math.sqrt(max(up + down - (up - down) ** 2, 0.0) / more)
    low, high = min(up - down - reach, value), max(up - down + reach, value)
    return Estimate(value, max(low, -1.0), min(high, 1.0), rows, method)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of "as many rows join as leave" (McNemar 1947, by the binomial); 1 where none moved."""
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def matched_draws(counts: Ints, draws: int, rng: np.random.Generator) -> Ints:
    """Resampled counts of rows that two models decided on, shape (draws, groups, 2, 2, 2): truth, before, after.

    One multinomial draw over all cells is the row bootstrap itself; both models keep the rows they share. Half a row
    is added to each cell of a group with rows, as Agresti & Min (2005, Statistics in Medicine 24:729) do for matched
    shares, so that no rate of 0 or 1 counts as certain.
    """
    there = counts.sum(axis=(1, 2, 3), keepdims=True) > 0
    flat = np.where(there, counts + HALF, 0.0).ravel()
    drawn = rng.multinomial(int(counts.sum()), flat / flat.sum(), size=draws)
    return np.asarray(drawn).reshape(draws, *counts.shape)


def gap_change(values: Floats, draws: Floats, rows: int, *, level: float = 0.95) -> Estimate:
    """Largest difference between groups after less the one before; below 0 the groups have come closer.

    `values` (2, families, groups) holds the group values before and after, `draws` (B, 2, families, groups) bootstrap
    draws of them that keep what the two share; NaN marks a draw as undefined. Of several families the worst counts.

    A largest difference is at least that of every pair p of groups, and which pair it is, is itself unsure: bootstrap
    quantiles of the change miss it most where a gap is all but closed. So the interval goes over all pairs p after
    and q before: the change is at least (p less the worst q) for every p, and at most (the worst p less q) for every
    q. Bounds hold for all pairs at once (Bonferroni), with standard errors from the draws. No interval where more
    than 1 % of the draws are undefined.
    """
    gaps = np.ptp(values, axis=-1).max(axis=-1)
    value, given = float(gaps[1] - gaps[0]), np.asarray(draws, dtype=np.float64).reshape(len(draws), -1)
    kept = given[np.isfinite(given).all(axis=1)]
    lost, method = len(given) - len(kept), f"matched row bootstrap, {len(given)} draws"
    if lost > MOST_UNDEFINED * len(given):
        return Estimate(value, None, None, rows, method, f"{lost} of {len(given)} resamples leave a group undefined")
    bounds = _over_pairs(values, np.atleast_2d(np.cov(kept, rowvar=False)), level)
    method = f"{method}, {level:.0%} bounds over all pairs of groups at once"
    return Estimate(value, min(bounds[0], value), max(bounds[1], value), rows, method)


def _over_pairs(values: Floats, covariance: Floats, level: float) -> Sequence[float]:
    """Lower and upper bound of the change of the largest difference."""
    families, groups = values.shape[1:]
    high, low = _pairs(families, groups)
    size = families * groups
    first, second, both = covariance[:size, :size], covariance[size:, size:], covariance[size:, :size]
    before, after = (each.ravel()[high] - each.ravel()[low] for each in values)
    reach = normal_quantile(1 - (1 - level) / len(high))
    spread = _variances(first, high, low)
    least, most = -np.inf, np.full(len(high), -np.inf)
    for p, variance in enumerate(_variances(second, high, low)):
        shared = both[high[p]] - both[low[p]]
        error = np.sqrt(np.maximum(variance + spread - 2 * (shared[high] - shared[low]), 0.0))
        apart = after[p] - before
        least = max(least, float((apart - reach * error).min()))
        most = np.maximum(most, apart + reach * error)
    return least, float(most.min())


def _pairs(families: int, groups: int) -> Sequence[Ints]:
    """Positions of the two groups of every ordered pair within each family, families laid flat."""
    one, other = np.nonzero(~np.eye(groups, dtype=bool))
    starts = groups * np.arange(families)[:, None]
    return (starts + one).ravel(), (starts + other).ravel()


def _variances(covariance: Floats, high: Ints, low: Ints) -> Floats:
    own = np.diag(covariance)
    return np.asarray(own[high] + own[low] - 2 * covariance[high, low])


def welch_difference(after: Floats, before: Floats, *, level: float = 0.95) -> Estimate:
    """Mean of `after` less mean of `before`, values of independent runs, with Welch's t interval (1947).

    No interval for a single run on either side, or where no run differs from another.
    """
    method, runs = f"Welch {level:.0%} interval over runs", len(after) + len(before)
    if not len(after) or not len(before):
        return undefined("no runs to take a mean of", runs, method)
    value = float(np.mean(after) - np.mean(before))
    if min(len(after), len(before)) < 2:
        return Estimate(value, None, None, runs, method, "a single run")
    parts = np.array([np.var(each, ddof=1) / len(each) for each in (after, before)])
    if parts.sum() <= 1e-24:
        return Estimate(value, None, None, runs, method, ALIKE)
    freedom = parts.sum() ** 2 / (parts**2 / [len(after) - 1, len(before) - 1]).sum()
    reach = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(parts.sum())
    return Estimate(value, value - reach, value + reach, runs, method)
