"""Tests of "no difference" that regulators name, and a correction for asking many questions at once."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rai.stats.arrays import Floats
from rai.stats.proportions import tally


def fisher(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided p-value of Fisher's exact test that k1 of n1 and k2 of n2 are one rate; 1 where a group is empty."""
    tally([k1, k2], [n1, n2])
    return float(stats.fisher_exact(np.array([[k1, n1 - k1], [k2, n2 - k2]])).pvalue)


def two_proportion_z(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """How many standard errors the first rate lies above the second (pooled, as in 29 CFR 1607.4(D) practice).

    None where a group is empty or the pooled rate is 0 or 1: there is no variation to measure by.
    """
    tally([k1, k2], [n1, n2])
    pooled = (k1 + k2) / max(n1 + n2, 1)
    if n1 == 0 or n2 == 0 or pooled in {0.0, 1.0}:
        return None
    return (k1 / n1 - k2 / n2) / math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))


def flip_changes(k1: int, n1: int, k2: int, n2: int, *, bound: float = 0.8) -> bool:
    """Say whether moving one selection between the two groups moves their rate ratio across the bound.

    The ratio is the smaller over the larger rate. A finding that one person overturns rests on small numbers (EEOC
    Uniform Guidelines, questions and answers 21). False where no ratio can be formed.
    """
    tally([k1, k2], [n1, n2])
    if n1 == 0 or n2 == 0 or k1 + k2 == 0:
        return False
    moved = [(k1 + step, k2 - step) for step in (-1, 1) if 0 <= k1 + step <= n1 and 0 <= k2 - step <= n2]
    now = _ratio(k1 / n1, k2 / n2) < bound
    return any((_ratio(a / n1, b / n2) < bound) != now for a, b in moved)


def _ratio(first: float, second: float) -> float:
    return min(first, second) / max(first, second)


def holm(p: Floats | Sequence[float]) -> Floats:
    """Holm's adjusted p-values (1979): comparing them with 0.05 keeps the chance of any false alarm below 5 %."""
    given = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    scaled = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
