"""Means, regression errors and how far group means are apart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from rai.stats.arrays import Floats, Ints
from rai.stats.bootstrap import bootstrap_rows
from rai.stats.dealing import DRAWS, Dealt, dealt_means, largest_welch
from rai.stats.estimates import Estimate, Gap, undefined, undefined_gap
from rai.stats.pairs import off_diagonal, simultaneous
from rai.stats.power import REACH
from rai.stats.values import listed

STILL = "all rows have the same value: too little variation for an interval"


def mean_estimate(values: Floats, *, level: float = 0.95, least: float = -np.inf, variance: float = 0.0) -> Estimate:
    """Mean with Student's t interval; bounds below `least`, which the mean cannot reach, are moved there.

    `variance` is the least that the values are known to have. Undefined without rows; no interval for a single row, or
    for rows that are all alike where no variance is known.
    """
    given, method = np.asarray(values, dtype=np.float64), f"t {level:.0%} interval"
    if not given.size:
        return undefined("no rows to take a mean of", method=method)
    mean = float(given.mean())
    if given.size < 2 or (np.ptp(given) == 0 and variance == 0):
        return Estimate(mean, None, None, given.size, method, STILL if given.size > 1 else "a single row")
    spread = max(float(given.std(ddof=1)), math.sqrt(variance))
    reach = float(stats.t.ppf(0.5 + level / 2, given.size - 1)) * spread / math.sqrt(given.size)
    return Estimate(mean, max(mean - reach, least), mean + reach, given.size, method)


def mae_estimate(actual: Floats, predicted: Floats, *, level: float = 0.95) -> Estimate:
    """Mean absolute error with a t interval."""
    return mean_estimate(np.abs(np.asarray(actual) - np.asarray(predicted)), level=level, least=0.0)


def rmse_estimate(actual: Floats, predicted: Floats, *, level: float = 0.95) -> Estimate:
    """Root mean squared error with a t interval of the logarithm of the mean square (delta method).

    Squares are skewed, so the interval reaches farther up than down; resampling few rows falls short there.
    """
    squares = mean_estimate((np.asarray(actual, dtype=np.float64) - predicted) ** 2, level=level)
    if squares.value is None or squares.high is None:
        return replace(squares, value=None if squares.value is None else math.sqrt(squares.value))
    root, reach = math.sqrt(squares.value), (squares.high - squares.value) / squares.value / 2
    low, high = root * math.exp(-reach), root * math.exp(reach)
    return Estimate(root, low, high, squares.rows, f"t {level:.0%} interval on the log scale")


def r2_estimate(actual: Floats, predicted: Floats, rng: np.random.Generator, *, level: float = 0.95) -> Estimate:
    """Share of the variance of the truth that is explained, with a row bootstrap interval.

    1 is perfect, 0 no better than the mean, below 0 worse. Undefined where the truth never varies.
    """
    given = np.asarray(actual, dtype=np.float64)
    if not given.size or np.ptp(given) == 0:
        return undefined("the truth does not vary", given.size)
    return bootstrap_rows(_r2(given - given.mean(), given - predicted), given.size, rng, level=level)


def _r2(centred: Floats, error: Floats) -> Callable[[Floats | Ints], Floats]:
    def statistic(weights: Floats | Ints) -> Floats:
        total = weights @ centred**2 - (weights @ centred) ** 2 / len(centred)
        lost = weights @ error**2
        return np.asarray(1 - np.divide(lost, total, out=np.full(len(lost), np.nan), where=total > 0))

    return statistic


def mean_gap(  # noqa: PLR0913 - all but the data have defaults
    values: Floats,
    codes: Ints,
    groups: int,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    names: Sequence[str] = (),
    least: Floats | None = None,
) -> Gap:
    """Largest less smallest group mean: 0 is no difference.

    `codes` are group positions 0..groups-1, negative where unknown: such rows are left out. `least` is the least
    variance that each group's values are known to have. The interval joins Welch's bounds of all pairs of groups,
    pointwise above and simultaneous below (see `rai.stats.pairs`; with Student's quantiles as in Games & Howell 1976).
    `p` permutes the groups over the rows and compares the largest difference of any pair in Welch's standard errors,
    so unequal spreads raise no alarm in large groups (Janssen 1997); beyond 5,000 rows the permuted groups are drawn:
    from the values for groups of up to 500 rows, from their normal limit for larger ones. Undefined for a group
    without rows; no interval where a group has a single row or no values vary.
    """
    known = np.asarray(codes) >= 0
    given, code = np.asarray(values, dtype=np.float64)[known], np.asarray(codes)[known]
    rows = np.bincount(code, minlength=groups)
    bare = undefined_gap("", given.size, int(rows.min(initial=given.size)))
    if groups < 2 or (rows == 0).any():
        few = f"{groups} group(s), and a gap needs two"
        return replace(bare, reason=few if groups < 2 else f"no rows to take a mean of in {listed(rows == 0, names)}")
    summary = _summary(given, code, rows, np.zeros(groups) if least is None else least)
    plain = _plain_means(bare, summary, dealt_means(given, rows, rng))
    doubt = _doubt(summary, names)
    return replace(plain, reason=doubt) if doubt else _with_interval(plain, summary, rng, level)


@dataclass(frozen=True)
class _Means:
    """One entry a group: mean, variance of the values (the pooled one where a group never varies), rows."""

    means: Floats
    variances: Floats
    rows: Ints
    pooled: float


def _summary(values: Floats, codes: Ints, rows: Ints, least: Floats) -> _Means:
    means = np.bincount(codes, weights=values, minlength=len(rows)) / rows
    squares = np.bincount(codes, weights=(values - means[codes]) ** 2, minlength=len(rows))
    pooled = float(squares.sum() / max(1, rows.sum() - len(rows)))
    own = np.where(squares > 0, squares / np.maximum(rows - 1, 1), pooled)
    return _Means(means, np.maximum(own, least), rows, max(pooled, float(np.average(least, weights=rows))))


def _doubt(summary: _Means, names: Sequence[str]) -> str:
    if (summary.rows < 2).any():
        return f"a single row in {listed(summary.rows < 2, names)}"
    return "no values vary inside the groups" if summary.pooled == 0 else ""


def _plain_means(bare: Gap, summary: _Means, null: Dealt) -> Gap:
    means, found = summary.means, float(np.ptp(summary.means))
    small = int(summary.rows.argmin())
    apart = np.sqrt(summary.pooled * (1 / summary.rows[small] + 1 / (summary.rows.sum() - summary.rows[small])))
    seen = largest_welch(means[None], (summary.variances / summary.rows)[None])[0]
    return replace(
        bare,
        value=found,
        p=float((1 + np.sum(null.worst >= seen - 1e-12 * max(1.0, seen))) / (len(null.worst) + 1)),
        chance=float(null.spans.mean()),
        detectable=float(REACH * apart),
        highest=int(means.argmax()),
        lowest=int(means.argmin()),
        method=f"p from {len(null.worst)} permutations of the groups",
    )


def _with_interval(plain: Gap, summary: _Means, rng: np.random.Generator, level: float) -> Gap:
    errors = summary.variances / summary.rows
    reach = simultaneous(errors[None, :], rng, draws=DRAWS, level=level)
    apart = summary.means[:, None] - summary.means[None, :]
    near = apart - _welch(errors, summary.rows, float(special.ndtr(reach)))
    far = apart + _welch(errors, summary.rows, 0.5 + level / 2)
    drawn = rng.normal(summary.means, np.sqrt(errors), size=(DRAWS, len(errors)))
    value = float(np.ptp(summary.means))
    return replace(
        plain,
        low=max(0.0, float(off_diagonal(near).max())),
        high=float(off_diagonal(far).max()),
        corrected=max(0.0, float(2 * value - np.ptp(drawn, axis=1).mean())),
        method=f"{level:.0%} interval from Welch bounds of all pairs, simultaneous below and pointwise above; "
        f"{plain.method}",
    )


def _welch(errors: Floats, rows: Ints, quantile: float) -> Floats:
    """Reach of each pair's t bound: Student's quantile with Welch's degrees of freedom times the standard error."""
    both = errors[:, None] + errors[None, :]
    part = errors**2 / (rows - 1)
    freedom = both**2 / (part[:, None] + part[None, :])
    return np.asarray(stats.t.ppf(quantile, freedom) * np.sqrt(both))
