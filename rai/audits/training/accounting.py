"""Epsilon calculated a second time, from the parameters alone, by a calculation of its own.

The Rényi divergence of the sampled Gaussian mechanism at whole orders (Mironov, Talwar and Zhang 2019, sect. 3.3 of
arXiv:1908.10530), added over the steps and turned into (epsilon, delta) (Canonne, Kamath and Steinke 2020, prop. 12 of
arXiv:2004.00010). An upper bound: a tighter accountant may find less, never more than this.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, logsumexp, xlog1py, xlogy

from rai.ledger import Phase
from rai.subject import Floats

ORDERS = (*range(2, 129), *range(144, 513, 16), 640, 768, 1024, 1536, 2048, 3072, 4096)
LEAST_NOISE = 1e-3
"""A smaller noise multiplier hides nothing."""


def renyi_epsilon(phases: Sequence[Phase], delta: float) -> float | None:
    """An upper bound of epsilon for Poisson sampling and one unit added or removed; None where nothing is bounded."""
    if not phases or not 0 < delta < 1 or not all(_bounds(each) for each in phases):
        return None
    orders = np.array(ORDERS, dtype=np.float64)
    spent = np.array([sum(each.steps * _divergence(order, each) for each in phases) for order in ORDERS])
    bounds = spent + np.log1p(-1 / orders) - (np.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(bounds.min()))


def _bounds(phase: Phase) -> bool:
    return phase.noise_multiplier >= LEAST_NOISE and 0 < phase.sample_rate <= 1 and phase.steps > 0


def _divergence(order: int, phase: Phase) -> float:
    """Rényi divergence of one step at a whole order."""
    drawn: Floats = np.arange(order + 1, dtype=np.float64)
    ways = gammaln(order + 1) - gammaln(drawn + 1) - gammaln(order - drawn + 1)
    chances = xlogy(drawn, phase.sample_rate) + xlog1py(order - drawn, -phase.sample_rate)
    terms = ways + chances + (drawn**2 - drawn) / 2 / phase.noise_multiplier / phase.noise_multiplier
    return float(logsumexp(terms)) / (order - 1)
