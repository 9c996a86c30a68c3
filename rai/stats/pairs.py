"""Intervals for the largest difference between any two groups, from the intervals of all pairs.

The largest difference theta over ordered pairs (g, h) is at least every single difference. So

- theta <= c means that every pair's difference is <= c. A bound that each pair holds on its own at the stated level
  holds for their maximum too, whichever pair it is: an intersection-union bound (Berger 1982, Technometrics 24:295)
  that needs no correction for the number of pairs.
- theta > c is claimed as soon as one pair shows it, so the lower bound must hold for all pairs at once: its critical
  value is the quantile of the largest |t| over all pairs (Hochberg & Tamhane 1987, Multiple Comparison Procedures:
  Tukey-Kramer for unequal variances), simulated with normal errors.
"""

import numpy as np

from rai.stats.arrays import Floats
from rai.stats.proportions import Bounds, Tally, wilson_at


def largest_t(errors: Floats, spread: Floats) -> Floats:
    """Largest |error_g - error_h| / spread_gh over pairs of groups.

    `errors` (draws, families, groups), `spread` (families, groups, groups); gives (draws,). Pairs without spread
    are left out.
    """
    worst = np.zeros(len(errors))
    for g in range(errors.shape[-1] - 1):
        apart = np.abs(errors[:, :, g, None] - errors[:, :, g + 1 :])
        scale = spread[:, g, g + 1 :]
        t = np.divide(apart, scale, out=np.zeros_like(apart), where=np.broadcast_to(scale > 0, apart.shape))
        worst = np.maximum(worst, t.max(axis=(1, 2)))
    return worst


def simultaneous(variances: Floats, rng: np.random.Generator, *, draws: int, level: float) -> float:
    """How many standard errors a lower bound must reach to hold for every pair of groups at once.

    `variances` (families, groups) of the group values. Families are drawn independently, which for dependent ones
    errs on the wide side (Šidák 1967). The quantile is 1 - (1 - level) / 2: the upper bound has the other half.
    """
    errors = rng.standard_normal((draws, *variances.shape)) * np.sqrt(variances)
    spread = np.sqrt(variances[:, :, None] + variances[:, None, :])
    return float(np.quantile(largest_t(errors, spread), 0.5 + level / 2))


def newcombe(counts: Tally, z: float) -> Bounds:
    """Bounds of every difference p_g - p_h, shape (..., groups, groups), from Wilson's bounds of each.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17:873, method 10); sound for few rows and at 0
    and 1.
    """
    wilson = wilson_at(counts, z)
    return _recovered(counts.successes / counts.trials, wilson)


def log_ratios(counts: Tally, z: float) -> Bounds:
    """Bounds of every log(p_g / p_h), shape (..., groups, groups), from Wilson's bounds of each on the log scale.

    The same construction for a ratio (Zou & Donner 2008, Statistics in Medicine 27:1693). A rate of 0 has no lower
    bound, so ratios over it have no upper one; its centre is smoothed by half a success (Walter 1975).
    """
    k, n = counts.successes, counts.trials
    centre = np.log(np.where(k > 0, k / n, 0.5 / (n + 1)))
    wilson = wilson_at(counts, z)
    with np.errstate(divide="ignore"):
        return _recovered(centre, Bounds(np.log(wilson.low), np.log(wilson.high)))


def _recovered(centre: Floats, bounds: Bounds) -> Bounds:
    """Bounds of differences from bounds of the parts: variances are recovered from each part's own reach."""
    down, up = centre - bounds.low, bounds.high - centre
    apart = centre[..., :, None] - centre[..., None, :]
    low = apart - np.hypot(down[..., :, None], up[..., None, :])
    high = apart + np.hypot(up[..., :, None], down[..., None, :])
    return Bounds(low, high)


def off_diagonal(matrix: Floats) -> Floats:
    """Entries of every pair of different groups, flat; a group is no rival of itself."""
    groups = matrix.shape[-1]
    return np.asarray(matrix[..., ~np.eye(groups, dtype=bool)]).ravel()
