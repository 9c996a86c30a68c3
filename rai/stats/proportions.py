"""Shares of rows, such as "37 of 120 were selected", with intervals that hold for few rows too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rai.errors import InputError
from rai.stats.arrays import Floats, Ints
from rai.stats.estimates import Estimate, undefined

Counts = Ints | Sequence[int]


@dataclass(frozen=True)
class Bounds:
    """Lower and upper interval bounds, arrays of one shape."""

    low: Floats
    high: Floats


@dataclass(frozen=True)
class Tally:
    """Checked successes and trials: float arrays of one shape with 0 <= successes <= trials."""

    successes: Floats
    trials: Floats


def tally(successes: Counts, trials: Counts) -> Tally:
    """Check counts of successes and trials; raise `InputError` where there are more successes than trials."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    bad = ~((k >= 0) & (k <= n) & np.isfinite(n))
    if bad.any():
        raise InputError(f"{k[bad][0]:g} successes of {n[bad][0]:g} trials", expected="from 0 to as many as trials")
    return Tally(k, n)


def normal_quantile(level: float) -> float:
    """How many standard errors a two-sided interval of this level reaches, 1.96 for 0.95."""
    if not 0.0 < level < 1.0:
        raise InputError(f"the level is {level:g}", expected="a number between 0 and 1, for example 0.95")
    return float(special.ndtri(0.5 + level / 2.0))


def wilson(successes: Counts, trials: Counts, *, level: float = 0.95) -> Bounds:
    """Wilson's score interval of each share (Wilson 1927); without trials it is [0, 1]: nothing is known.

    Arrays of any shape; NaN-free. Raises `InputError` where there are more successes than trials.
    """
    return wilson_at(tally(successes, trials), normal_quantile(level))


def wilson_at(counts: Tally, z: float) -> Bounds:
    """Wilson's interval that reaches `z` standard errors; exactly 0 at no and 1 at nothing but successes."""
    k, n = counts.successes, counts.trials
    share = k / np.maximum(n, 1.0)
    centre = (share + z * z / (2 * np.maximum(n, 1.0))) / (1 + z * z / np.maximum(n, 1.0))
    half = z * np.sqrt(share * (1 - share) * n + z * z / 4) / (n + z * z)
    low = np.where(k == 0, 0.0, np.clip(centre - half, 0.0, share))
    high = np.where(k == n, 1.0, np.clip(centre + half, share, 1.0))
    return Bounds(low, high)


def clopper_pearson(successes: Counts, trials: Counts, *, level: float = 0.95) -> Bounds:
    """Clopper and Pearson's exact interval of each share (1934); without trials it is [0, 1]: nothing is known.

    It covers at least as often as it says, at the price of width. Arrays of any shape; NaN-free.
    """
    counts, tail = tally(successes, trials), (1.0 - level) / 2.0
    k, n = counts.successes, counts.trials
    low = special.betaincinv(np.maximum(k, 1.0), n - k + 1.0, tail)
    high = special.betaincinv(k + 1.0, np.maximum(n - k, 1.0), 1.0 - tail)
    return Bounds(np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high))


def proportion(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """One share with its Wilson interval; undefined without trials."""
    if trials == 0:
        return undefined("no rows to take a share of", method=f"Wilson {level:.0%} interval")
    bounds = wilson([successes], [trials], level=level)
    low, high = float(bounds.low[0]), float(bounds.high[0])
    return Estimate(int(successes) / int(trials), low, high, int(trials), f"Wilson {level:.0%} interval")
