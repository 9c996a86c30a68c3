"""Of the cases given 80 %, do 80 % come true?"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from rai.stats.arrays import Bools, Floats, Ints
from rai.stats.estimates import Estimate, undefined
from rai.stats.means import mean_estimate
from rai.stats.proportions import normal_quantile, wilson

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
DRAWS = 2000


@dataclass(frozen=True)
class Reliability:
    """One entry a bin of equal mass: mean prediction, observed share, its Wilson bounds, rows."""

    mean_predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    rows: Ints


def reliability(positive: Bools, probability: Floats, *, bins: int = 15, level: float = 0.95) -> Reliability:
    """Predicted against observed shares in bins of equal mass; equal predictions share a bin.

    Fewer bins than asked for where predictions repeat; none without rows.
    """
    code = equal_mass(probability, bins)
    rows = np.bincount(code)
    hits = np.bincount(code, weights=positive).astype(np.int64)
    bounds = wilson(hits, rows, level=level)
    return Reliability(np.bincount(code, weights=probability) / rows, hits / rows, bounds.low, bounds.high, rows)


def equal_mass(probability: Floats, bins: int) -> Ints:
    """Bin of each row, 0 upwards without holes: bins hold about equally many rows, ties lie together."""
    _, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    wanted = np.floor(middle * bins / max(len(probability), 1)).astype(np.int64)
    return np.asarray(np.unique(wanted, return_inverse=True)[1][inverse])


def ece(positive: Bools, probability: Floats, *, bins: int = 15, debiased: bool = True) -> float | None:
    """Mean distance of predicted and observed shares over bins of equal mass, weighted by rows; None without rows.

    The plain form is never 0, even for a calibrated model, as labels are random. `debiased` takes off what that
    randomness adds: a bin whose true distance is d and whose standard error is s shows E|N(d, s²)| - |d| too much,
    0.8 s at d = 0 and next to nothing beyond 2 s. How large the true distances are is judged from all bins together,
    by the share of their squares that exceeds the noise (empirical Bayes). For a calibrated model that is the value
    expected from random labels. Clipped at 0.
    """
    if not len(probability):
        return None
    bars = _bars(reliability(positive, probability, bins=bins))
    plain = float(bars.weights @ np.abs(bars.apart))
    return max(0.0, plain - _excess(bars)) if debiased else plain


@dataclass(frozen=True)
class _Bars:
    """One entry a bin: its share of the rows, observed less predicted, and the standard error of that."""

    weights: Floats
    apart: Floats
    errors: Floats


def _bars(found: Reliability) -> _Bars:
    # One row that agrees with the prediction is added, so that an all-or-nothing bin has some error too.
    rate = (found.observed * found.rows + found.mean_predicted) / (found.rows + 1)
    errors = np.sqrt(rate * (1 - rate) / found.rows)
    return _Bars(found.rows / found.rows.sum(), found.observed - found.mean_predicted, errors)


def _excess(bars: _Bars) -> float:
    """What random labels add to the plain error on average."""
    seen, noise = float(bars.weights @ bars.apart**2), float(bars.weights @ bars.errors**2)
    kept = np.sqrt(max(0.0, 1.0 - noise / seen)) if seen > 0 else 0.0
    true = kept * np.abs(bars.apart)
    return float(bars.weights @ (folded_mean(true, bars.errors) - true))


def folded_mean(mean: Floats, error: Floats) -> Floats:
    """Mean absolute value of a normal variable (Leone, Nelson & Nottingham 1961)."""
    t = np.divide(mean, error, out=np.zeros_like(error), where=error > 0)
    folded = error * np.sqrt(2 / np.pi) * np.exp(-(t**2) / 2) + mean * (1 - 2 * special.ndtr(-t))
    return np.asarray(np.where(error > 0, folded, np.abs(mean)))


def ece_estimate(
    positive: Bools, probability: Floats, rng: np.random.Generator, *, bins: int = 15, level: float = 0.95
) -> Estimate:
    """Calibration error less what random labels add, with an interval that reaches 0 for a calibrated model.

    Of the plain error P and the true one T: P - T is at most the weighted mean of the bins' absolute noise, so the
    lower bound is P less the upper quantile of that, drawn by a parametric bootstrap of the labels at their observed
    and at their stated rates, whichever is larger. T is a signed sum
    over bins whose estimate never exceeds P, so the upper bound is P plus the normal reach of such a sum. Both hold
    whatever T is, at the price of width. The error is that of the binned predictions.
    """
    value = ece(positive, probability, bins=bins)
    if value is None:
        return undefined("no rows")
    found = reliability(positive, probability, bins=bins)
    bars = _bars(found)
    plain = float(bars.weights @ np.abs(bars.apart))
    chance = max(float(np.quantile(_label_noise(found, each, rng), 0.5 + level / 2)) for each in _rates(found))
    reach = normal_quantile(level) * float(np.sqrt(np.sum((bars.weights * bars.errors) ** 2)))
    low, high = max(0.0, min(value, plain - chance)), min(1.0, plain + reach)
    method = f"ECE over {len(found.rows)} bins of equal mass less label noise; {level:.0%} interval by label bootstrap"
    return Estimate(value, low, high, int(found.rows.sum()), method)


def _rates(found: Reliability) -> tuple[Floats, Floats]:
    """Rates that may be the bins' true ones: as observed (and one row as stated), and as stated.

    A bin of few rows in which all went one way would seem to have no noise at all; as stated, it has.
    """
    seen = (found.observed * found.rows + found.mean_predicted) / (found.rows + 1)
    return seen, np.clip(found.mean_predicted, 0.0, 1.0)


def _label_noise(found: Reliability, rate: Floats, rng: np.random.Generator) -> Floats:
    """Weighted mean absolute deviation of labels redrawn at these rates from them, one entry a draw."""
    drawn = rng.binomial(found.rows, rate, size=(DRAWS, len(rate)))
    return np.asarray(np.abs(drawn / found.rows - rate) @ (found.rows / found.rows.sum()))


def brier_estimate(positive: Bools, probability: Floats, *, level: float = 0.95) -> Estimate:
    """Mean squared distance of probability and outcome (Brier 1950), with a t interval.

    The variance is at least what the stated probabilities imply: few events tell little of how much they would vary.
    """
    chance = np.asarray(probability, dtype=np.float64)
    implied = chance * (1 - chance) * (1 - 2 * chance) ** 2
    return mean_estimate((chance - positive) ** 2, level=level, least=0.0, variance=_mean(implied))


def calibration_in_the_large(positive: Bools, probability: Floats, *, level: float = 0.95) -> Estimate:
    """Mean of outcome less probability, with a t interval; above 0 more happens than was stated.

    The variance is at least what the stated probabilities imply: where none of 60 rare events has happened, the
    residuals hardly vary, and yet three more could have.
    """
    excess = np.asarray(positive, dtype=np.float64) - probability
    return mean_estimate(excess, level=level, variance=stated_variance(probability))


def stated_variance(probability: Floats) -> float:
    """Mean variance of one outcome if the stated probabilities are true; 0 without rows."""
    return _mean(np.asarray(probability * (1 - probability), dtype=np.float64))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0


def log_loss_estimate(positive: Bools, probability: Floats, *, level: float = 0.95) -> Estimate:
    """Mean of minus the natural logarithm of the probability given to what happened, with a t interval.

    Probabilities are clipped to [2.2e-16, 1 - 2.2e-16], as scikit-learn does since 1.3, so that one event called
    impossible does not make it infinite.
    """
    chance = np.asarray(probability, dtype=np.float64)
    return class_log_loss(np.asarray(positive, dtype=np.int64), np.stack([1 - chance, chance], axis=1), level=level)


def class_log_loss(actual: Ints, chances: Floats, *, level: float = 0.95) -> Estimate:
    """Log loss of several classes: `actual` (rows,) positions, `chances` (rows, classes), clipped as for two.

    The variance is at least what the stated chances imply.
    """
    kept = np.clip(chances, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    loss = -np.log(kept)
    typical = (kept * loss).sum(axis=1)
    implied = _mean((kept * loss**2).sum(axis=1) - typical**2)
    told = loss[np.arange(len(actual)), actual]
    return mean_estimate(told, level=level, least=0.0, variance=max(0.0, implied))
