"""Epsilon where every unit counts in every step: Gaussian noise alone, no sampling, exactly.

Steps with Gaussian noise add up to one step with less noise, whose epsilon Balle and Wang 2018 (arXiv:1805.06530,
theorem 8) give exactly, floating point aside.
"""

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from rai.audits.training.accounting import LEAST_NOISE
from rai.ledger import Phase


def gaussian_epsilon(phases: Sequence[Phase], delta: float) -> float | None:
    """Epsilon of all steps together, sample rates set aside; None where nothing is bounded."""
    if not 0 < delta < 1 or not all(each.noise_multiplier >= LEAST_NOISE and each.steps > 0 for each in phases):
        return None
    shift = math.sqrt(sum(min(each.steps, 1e12) / each.noise_multiplier / each.noise_multiplier for each in phases))
    if not shift or _delta(0.0, shift) <= delta:
        return 0.0
    most = 1.0
    while _delta(most, shift) > delta:
        most *= 2
    return float(brentq(lambda epsilon: _delta(epsilon, shift) - delta, 0.0, most, xtol=1e-9))


def _delta(epsilon: float, shift: float) -> float:
    """The chance by which a promise of so much epsilon fails, where two outcomes are `shift` deviations apart."""
    far = epsilon + float(log_ndtr(-shift / 2 - epsilon / shift))  # at most 0, floating point aside
    return float(ndtr(shift / 2 - epsilon / shift)) - math.exp(min(far, 0.0))
