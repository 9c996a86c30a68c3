"""What would other samples of the same size have shown? Exact row bootstraps, from counts or from rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from rai.stats.arrays import Bools, Floats, Ints
from rai.stats.estimates import Estimate, undefined

DRAWS = 2000
FEWEST = 200
WORK = 20_000_000
CHUNK_BYTES = 64 * 1024 * 1024
MOST_UNDEFINED = 0.01
Statistic = Callable[[Floats | Ints], Floats]


def multinomial(counts: Ints, draws: int, rng: np.random.Generator) -> Ints:
    """Draw resampled counts, shape (draws, *counts.shape).

    Resampling rows with replacement and counting again is one multinomial draw over all cells at once, so this is
    the row bootstrap itself for everything that is a function of the counts, and no approximation of it.
    """
    flat = np.asarray(counts).ravel()
    filled = np.flatnonzero(flat)
    drawn = np.zeros((draws, flat.size), dtype=np.int64)
    if filled.size:
        drawn[:, filled] = rng.multinomial(flat.sum(), flat[filled] / flat.sum(), size=draws)
    return drawn.reshape(draws, *np.shape(counts))


def bootstrap_counts(
    counts: Ints, statistic: Statistic, rng: np.random.Generator, *, draws: int = DRAWS, level: float = 0.95
) -> Estimate:
    """Interval of a statistic of counts by the row bootstrap.

    `statistic` maps counts (..., cells) to (...), NaN where undefined. The interval is BCa (Efron 1987), with the
    row jackknife taken once a non-empty cell and weighted by its count: rows of one cell are alike. Where BCa is
    undefined it is the percentile interval, and `method` says so. If more than 1 % of the draws are undefined, or
    all agree, there is no interval.
    """
    flat = np.asarray(counts)
    rows = int(flat.sum())
    value = float(statistic(flat)) if rows else np.nan
    if not np.isfinite(value):
        return undefined("undefined for these counts: a share of no rows", rows)
    drawn = np.asarray(statistic(multinomial(flat, draws, rng)), dtype=np.float64)
    shape = Shape(_median_bias(drawn, value), _acceleration(jackknife(flat, statistic)))
    return interval(value, drawn, rows, level=level, shape=shape)


@dataclass(frozen=True)
class Jackknife:
    """The statistic with one row left out: one value a non-empty cell, and how many rows share it."""

    values: Floats
    weights: Ints


def jackknife(counts: Ints, statistic: Statistic) -> Jackknife:
    """Leave out each row in turn; rows of one cell give one value, weighted by the cell's count."""
    filled = np.flatnonzero(counts)
    less = np.repeat(counts[None, :], len(filled), axis=0)
    less[np.arange(len(filled)), filled] -= 1
    return Jackknife(np.asarray(statistic(less), dtype=np.float64), counts[filled])


@dataclass(frozen=True)
class Shape:
    """What BCa needs beside the draws: the median bias z0 and the acceleration; NaN where undefined."""

    bias: float
    acceleration: float


def _median_bias(drawn: Floats, value: float) -> float:
    near = np.isclose(drawn, value, rtol=1e-12, atol=1e-14)
    below = np.mean((drawn < value) & ~near) + near.mean() / 2
    return float(special.ndtri(below))


def _acceleration(left_out: Jackknife) -> float:
    mean = np.average(left_out.values, weights=left_out.weights)
    off = mean - left_out.values
    spread = float(np.sum(left_out.weights * off**2))
    return float(np.sum(left_out.weights * off**3) / (6 * spread**1.5)) if spread > 0 else float("nan")


def interval(value: float, drawn: Floats, rows: int, *, level: float, shape: Shape | None = None) -> Estimate:
    """Turn bootstrap draws into an estimate; draws that are not finite are undefined and left out."""
    kept = drawn[np.isfinite(drawn)]
    lost = len(drawn) - len(kept)
    method = f"row bootstrap, {len(drawn)} draws"
    if lost > MOST_UNDEFINED * len(drawn):
        return Estimate(value, None, None, rows, method, f"{lost} of {len(drawn)} resamples leave it undefined")
    if np.ptp(kept) <= 1e-12 * max(1.0, abs(value)):
        return Estimate(value, None, None, rows, method, "every resample gives the same value: too little variation")
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    corrected = None if shape is None else _bca(tails, shape)
    low, high = np.quantile(kept, tails if corrected is None else corrected)
    kind = "percentile" if corrected is None else "BCa"
    # A skewed statistic can lie outside its own percentile interval; the bounds then reach out to it.
    return Estimate(value, min(float(low), value), max(float(high), value), rows, f"{method}, {kind} {level:.0%}")


def _bca(tails: Floats, shape: Shape) -> Floats | None:
    if not (np.isfinite(shape.bias) and np.isfinite(shape.acceleration)):
        return None
    shifted = shape.bias + special.ndtri(tails)
    stretch = 1 - shape.acceleration * shifted
    if (stretch <= 0).any():
        return None
    return np.asarray(special.ndtr(shape.bias + shifted / stretch))


def draws_for(rows: int) -> int:
    """How many bootstrap draws a statistic over this many rows is given: 2000 to 10,000 rows, never under 200."""
    return int(np.clip(WORK // max(rows, 1), FEWEST, DRAWS))


def bootstrap_rows(
    statistic: Statistic,
    rows: int,
    rng: np.random.Generator,
    *,
    draws: int | None = None,
    level: float = 0.95,
    strata: Ints | Bools | None = None,
) -> Estimate:
    """Percentile interval of a statistic of rows, by resampling rows with replacement.

    `statistic` maps integer weights (k, rows), how often each row was drawn, to (k,); NaN where undefined. With
    `strata`, integer codes (rows,), each stratum keeps its size. `draws` None means `draws_for(rows)`.
    """
    whole = np.asarray(statistic(np.ones((1, rows), dtype=np.int64)), dtype=np.float64) if rows else np.array([np.nan])
    if not np.isfinite(whole[0]):
        return undefined("undefined for these rows", rows)
    count = draws_for(rows) if draws is None else draws
    drawn = [np.asarray(statistic(weights)) for weights in row_weights(rows, count, rng, strata)]
    return interval(float(whole[0]), np.concatenate(drawn), rows, level=level)


def row_weights(rows: int, draws: int, rng: np.random.Generator, strata: Ints | Bools | None = None) -> Iterator[Ints]:
    """Yield how often each row is drawn, shape (k, rows), in pieces of about 64 MiB, `draws` lines in all."""
    members = [np.arange(rows)] if strata is None else _members(strata)
    most = max(1, CHUNK_BYTES // (8 * rows))
    for start in range(0, draws, most):
        lines = min(most, draws - start)
        weights = np.zeros((lines, rows), dtype=np.int64)
        for line in weights:
            for rows_of in members:
                picks = rng.integers(len(rows_of), size=len(rows_of))
                line[rows_of] = np.bincount(picks, minlength=len(rows_of))
        yield weights


def _members(strata: Ints | Bools) -> list[Ints]:
    return [np.flatnonzero(strata == code) for code in np.unique(strata)]
