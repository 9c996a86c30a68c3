"""How much privacy a training spends: the epsilon of noise, sample rate and steps, and the noise that an epsilon takes.

The number that is reported comes from privacy loss distributions (PLD: Koskela et al. 2020, Doroshenko et al. 2022),
which never say less than is spent and are the tightest known. Rényi accounting (RDP: Mironov 2017) is quick and says
more, so it drives the progress bar. PRV (Gopi et al. 2021) is a second opinion. The Gaussian accountant (GDP) is left
out: it says less than is spent.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from math import exp, isfinite, log
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError

ORDERS = (*(1 + k / 8 for k in range(1, 16)), *range(3, 64), *(int(64 * 2 ** (k / 4)) for k in range(17)))
"""Rényi orders up to 1,024: a small epsilon is read off large orders, for 0.01 one near 700."""
INTERVAL = 1e-4
"""How finely privacy losses are told apart, for an epsilon up to 5; for a larger one, as much more coarsely."""
NO_OTHERS: Mapping[str, float] = MappingProxyType({})
NOISE = (1e-2, 1e6)
"""The noise multipliers among which one is sought."""
TINY = 1e-12
CLOSE = 5e-4
"""The noise found is at most twice this share above the least that would do."""


@dataclass(frozen=True)
class Phase:
    """Steps taken with one noise multiplier and one sample rate."""

    noise_multiplier: float
    sample_rate: float
    steps: int


@dataclass(frozen=True)
class Accounted:
    """An epsilon, the accountant that says so, and what others say of the same steps."""

    value: float
    accountant: str
    alternatives: Mapping[str, float] = field(default_factory=lambda: NO_OTHERS)


def epsilon(noise_multiplier: float, sample_rate: float, *, steps: int, delta: float) -> Accounted:
    """Return what so many steps with Poisson sampling spend: epsilon at `delta`, for one unit added or removed."""
    return spent((Phase(noise_multiplier, sample_rate, steps),), delta)


def spent(phases: Iterable[Phase], delta: float) -> Accounted:
    """Return what phases of training on the same data spend together: PLD's epsilon, with RDP's and PRV's beside it."""
    taken = tuple(each for each in phases if each.steps)
    name = f"PLD (dp-accounting {version('dp-accounting')})"
    if not taken:
        return Accounted(0.0, name)
    first, second = _rdp(taken, delta), _prv(taken, delta)
    others = {"RDP": first} if second is None else {"RDP": first, "PRV": second}
    return Accounted(_pld(taken, delta, first), name, MappingProxyType(others))


def noise_for(epsilon: float, delta: float, *, sample_rate: float, steps: int, before: tuple[Phase, ...] = ()) -> float:
    """Return the noise multiplier with which `steps` steps, after those `before`, spend at most `epsilon` by PLD.

    It is at most 0.1 % above the least such multiplier. Raises `InputError` where earlier steps have already spent the
    budget, or no multiplier up to a million is enough.
    """
    from scipy.optimize import brentq

    def excess(logarithm: float) -> float:
        found = _pld((*before, Phase(exp(logarithm), sample_rate, steps)), delta, epsilon)
        return log(max(found, TINY)) - log(epsilon)

    if before and _pld(before, delta, epsilon) >= epsilon:
        raise InputError("the budget is spent", where="private.epsilon", do="take the model as it is, or promise less")
    low, high = _bracket(excess)
    return exp(float(brentq(excess, low, high, xtol=CLOSE / 2)) + CLOSE)


def meter(before: Iterable[Phase], now: Phase, delta: float) -> Callable[[int], float]:
    """Return a quick function from steps taken in the phase `now` to the epsilon spent in all, by RDP.

    It never says too little (Mironov 2017; turned into epsilon as by Canonne, Kamath and Steinke 2020).
    """
    start = sum((_divergences(each) for each in before), start=np.zeros(len(ORDERS)))
    one = _divergences(replace(now, steps=1))
    orders = np.asarray(ORDERS)
    cost = np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)

    def so_far(steps: int) -> float:
        total = start + steps * one
        return max(0.0, float(np.min(total + cost))) if (total > 0).any() else 0.0

    return so_far


def _bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """Logarithms of a multiplier that is too small and of one, at most twice as large, that is enough."""
    low, high = log(NOISE[0]), 0.0
    while excess(high) > 0:
        low, high = high, high + log(2)
        if high > log(NOISE[1]):
            raise InputError("no noise is enough", where="private.epsilon", do="promise more, or take fewer steps")
    while low < high - log(2) - CLOSE:
        middle = high - log(2)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return low, high


def _events(phases: Iterable[Phase]) -> Any:
    import dp_accounting as dp

    return dp.ComposedDpEvent(
        [
            dp.SelfComposedDpEvent(
                dp.PoissonSampledDpEvent(each.sample_rate, dp.GaussianDpEvent(each.noise_multiplier)), each.steps
            )
            for each in phases
        ]
    )


@lru_cache(maxsize=256)
def _pld(phases: tuple[Phase, ...], delta: float, near: float) -> float:
    """PLD's epsilon, told apart as finely as one that is `near` needs."""
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=INTERVAL * min(max(1.0, near / 5), 100.0))
    return float(accountant.compose(_events(phases)).get_epsilon(delta))


def _rdp(phases: tuple[Phase, ...], delta: float) -> float:
    return meter(phases[:-1], phases[-1], delta)(phases[-1].steps)


def _divergences(phase: Phase) -> NDArray[np.float64]:
    """The Rényi divergence of a phase at each of the orders."""
    from opacus.accountants.analysis.rdp import compute_rdp

    rate, noise = phase.sample_rate, phase.noise_multiplier
    found = compute_rdp(q=rate, noise_multiplier=noise, steps=phase.steps, orders=ORDERS)
    return np.asarray(found, dtype=np.float64)


def _prv(phases: tuple[Phase, ...], delta: float) -> float | None:
    """PRV's epsilon; None where its numbers fail, as they do at extremes."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(each.noise_multiplier, each.sample_rate, each.steps) for each in phases]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = float(accountant.get_epsilon(delta))
        except (RuntimeError, ValueError, MemoryError, OverflowError):
            return None
    return found if isfinite(found) else None
