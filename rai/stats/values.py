"""How far apart are the groups in a metric of any kind, judged by bootstrap draws of the group values?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rai.stats.arrays import Bools, Floats, Ints
from rai.stats.bootstrap import MOST_UNDEFINED
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.pairs import largest_t, off_diagonal
from rai.stats.proportions import Counts, normal_quantile

NO_NULL = "chance and detectable are not to be had from draws"


def value_gap(values: Floats, draws: Floats, rows: Counts, *, level: float = 0.95, names: Sequence[str] = ()) -> Gap:
    """Largest less smallest group value of any metric, from bootstrap draws of the group values.

    `values` (groups,), `draws` (B, groups), `rows` (groups,). NaN in a draw marks it undefined: it is left out, and
    with more than 1 % of such draws, or a group that never varies, there is no interval. Standard errors of all pairs
    and the critical value of the lower bound come from the draws, the upper bound is pointwise and normal (see
    `rai.stats.pairs`); `p` is that of the largest studentised difference under the centred draws. `chance` and
    `detectable` are None: draws alone do not tell them.
    """
    given, known = np.asarray(values, dtype=np.float64), np.asarray(rows, dtype=np.int64)
    problem = value_problem(given, names)
    if problem:
        return undefined_gap(problem, int(known.sum()), int(known.min()) if known.size else None)
    drawn = np.asarray(draws, dtype=np.float64)
    kept = drawn[np.isfinite(drawn).all(axis=1)]
    plain = _plain(given, known, f"row bootstrap, {len(drawn)} draws")
    doubt = _doubt(kept, len(drawn), names)
    return replace(plain, reason=doubt) if doubt else _with_interval(plain, given, kept, level)


def value_ratio(values: Floats, draws: Floats, rows: Counts, *, level: float = 0.95, names: Sequence[str] = ()) -> Gap:
    """Smallest over largest group value of a metric that is never negative; as `value_gap`, on the log scale.

    Undefined where a value is negative or all are 0. A draw that is not above 0 counts as undefined; a value of 0
    leaves no interval.
    """
    given, known = np.asarray(values, dtype=np.float64), np.asarray(rows, dtype=np.int64)
    problem = value_problem(given, names)
    if not problem and (given.min() < 0 or given.max() == 0):
        problem = "a ratio needs values that are not negative, and one above 0"
    if problem:
        return undefined_gap(problem, int(known.sum()), int(known.min()) if known.size else None)
    ratio = float(given.min() / given.max())
    if ratio == 0:
        plain = _plain(given, known, "ratio of group values")
        return replace(plain, value=0.0, corrected=None, reason="the smallest value is 0: no interval on the log scale")
    drawn = np.asarray(draws, dtype=np.float64)
    logs = np.log(drawn, out=np.full_like(drawn, np.nan), where=drawn > 0)
    return _as_ratio(value_gap(np.log(given), logs, known, level=level, names=names), ratio)


def value_problem(values: Floats, names: Sequence[str]) -> str:
    """Say why no gap of these group values can be formed; empty where it can."""
    if len(values) < 2:
        return f"{len(values)} group, and a gap needs two"
    missing = ~np.isfinite(values)
    return f"undefined for {listed(missing, names)}" if missing.any() else ""


def listed(chosen: Bools, names: Sequence[str]) -> str:
    """Name the chosen groups, by position where they have no names: "group A, group B"."""
    return ", ".join(f"group {names[i] if names else i}" for i in np.flatnonzero(chosen).tolist())


def _plain(values: Floats, rows: Ints, method: str) -> Gap:
    return replace(
        undefined_gap("", int(rows.sum()), int(rows.min()), f"{method}; {NO_NULL}"),
        value=float(np.ptp(values)),
        highest=int(values.argmax()),
        lowest=int(values.argmin()),
    )


def _doubt(kept: Floats, draws: int, names: Sequence[str]) -> str:
    """Say why these draws give no interval; empty where they do."""
    lost = draws - len(kept)
    if not len(kept) or lost > MOST_UNDEFINED * draws:
        return f"{lost} of {draws} resamples leave a group undefined"
    still = np.ptp(kept, axis=0) <= 1e-12 * np.maximum(1.0, np.abs(kept[0]))
    return (
        f"every resample gives the same value for {listed(still, names)}: too little variation" if still.any() else ""
    )


def _with_interval(plain: Gap, values: Floats, kept: Floats, level: float) -> Gap:
    """Add interval, p and correction from draws in which every group is defined and varies."""
    errors = (kept - values)[:, None, :]
    spread = _spread(kept)
    apart = values[:, None] - values[None, :]
    worst = largest_t(errors, spread[None])
    reach = float(np.quantile(worst, 0.5 + level / 2))
    seen = largest_t(values[None, None, :], spread[None])[0]
    return replace(
        plain,
        low=max(0.0, float(off_diagonal(apart - reach * spread).max())),
        high=float(off_diagonal(apart + normal_quantile(level) * spread).max()),
        p=float((1 + np.sum(worst >= seen - 1e-12)) / (len(kept) + 1)),
        corrected=max(0.0, float(2 * np.ptp(values) - np.ptp(kept, axis=1).mean())),
        method=f"{plain.method}; {level:.0%} interval from all pairs, simultaneous below and pointwise above",
    )


def _spread(kept: Floats) -> Floats:
    """Standard deviation of every pair's difference over the draws, (groups, groups)."""
    covariance = np.atleast_2d(np.cov(kept, rowvar=False))
    variance = np.diag(covariance)
    return np.asarray(np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 0.0)))


def _as_ratio(gap: Gap, ratio: float) -> Gap:
    """Turn a gap of logarithms into a ratio: its bounds change places."""
    return replace(
        gap,
        value=ratio,
        low=None if gap.high is None else min(float(np.exp(-gap.high)), ratio),
        high=None if gap.low is None else max(float(np.exp(-gap.low)), ratio),
        corrected=None if gap.corrected is None else float(np.exp(-gap.corrected)),
    )
