"""The two ways to compare rates: by their difference, and by their ratio, which is a difference of logarithms."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rai.stats.arrays import Floats
from rai.stats.pairs import log_ratios, newcombe
from rai.stats.power import detectable_apart, detectable_below
from rai.stats.proportions import Bounds, Tally


@dataclass(frozen=True)
class Comparison:
    """A scale on which the groups' rates are apart by a span, and how that span is shown.

    `scaled` and `smoothed` turn (successes, trials) into values on the scale, the latter always finite. `variances`
    and `bounds` belong to these values. `detectable` gives a span from (rate, smallest, rest). `shown` turns a span
    (0: no difference) into what people read.
    """

    scaled: Callable[[Floats, Floats], Floats]
    smoothed: Callable[[Floats, Floats], Floats]
    variances: Callable[[Tally], Floats]
    bounds: Callable[[Tally, float], Bounds]
    detectable: Callable[[float, float, float], float | None]
    shown: Callable[[Floats | float], Floats]
    words: str


def span(values: Floats) -> Floats:
    """Largest less smallest group value, in the worst family; (..., families, groups) gives (...)."""
    return np.asarray((values.max(axis=-1) - values.min(axis=-1)).max(axis=-1))


def _rates(successes: Floats, trials: Floats) -> Floats:
    return np.asarray(successes / trials)


def _log_rates(successes: Floats, trials: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(successes / trials))


def _smoothed_log_rates(successes: Floats, trials: Floats) -> Floats:
    return np.asarray(np.log((successes + 0.5) / (trials + 1.0)))


def _drawn_in(counts: Tally) -> Floats:
    """Rates drawn towards a half by two successes and two failures (Agresti & Coull 1998): no variance is 0."""
    return np.asarray((counts.successes + 2) / (counts.trials + 4))


def _rate_variances(counts: Tally) -> Floats:
    rate = _drawn_in(counts)
    return np.asarray(rate * (1 - rate) / counts.trials)


def _log_variances(counts: Tally) -> Floats:
    rate = _drawn_in(counts)
    return np.asarray((1 - rate) / rate / counts.trials)


def _detectable_log(rate: float, smallest: float, rest: float) -> float | None:
    below = detectable_below(rate, smallest, rest)
    if below is None:
        return None
    return math.inf if below >= rate else -math.log1p(-below / rate)


def _same(spans: Floats | float) -> Floats:
    return np.asarray(spans)


def _ratio(spans: Floats | float) -> Floats:
    return np.asarray(np.exp(np.negative(spans)))


DIFFERENCE = Comparison(
    scaled=_rates,
    smoothed=_rates,
    variances=_rate_variances,
    bounds=newcombe,
    detectable=detectable_apart,
    shown=_same,
    words="Newcombe bounds of all pairs, simultaneous below and pointwise above",
)

RATIO = Comparison(
    scaled=_log_rates,
    smoothed=_smoothed_log_rates,
    variances=_log_variances,
    bounds=log_ratios,
    detectable=_detectable_log,
    shown=_ratio,
    words="log-scale Wilson bounds of all pairs, pointwise below and simultaneous above",
)
