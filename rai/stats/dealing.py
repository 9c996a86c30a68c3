"""What would the group means be if the groups were dealt out anew over the rows?"""

from dataclasses import dataclass

import numpy as np

from rai.stats.arrays import Floats, Ints

DRAWS = 2000
MOST_PERMUTED = 5_000
MOST_DRAWN = 500
CHUNK = 1_000_000


@dataclass(frozen=True)
class Dealt:
    """One entry a permutation: largest less smallest group mean, and the largest difference in standard errors."""

    spans: Floats
    worst: Floats


def dealt_means(values: Floats, rows: Ints, rng: np.random.Generator) -> Dealt:
    """Deal the values out to groups of these sizes, 2,000 times.

    Beyond 5,000 rows the groups are drawn: from the values for groups of up to 500 rows, from the normal limit of
    their means for larger ones.
    """
    centred = values - values.mean()
    moments = _limit(centred, rows, rng) if values.size > MOST_PERMUTED else _permuted(centred, rows, rng)
    return Dealt(np.ptp(moments.means, axis=1), largest_welch(moments.means, moments.variances / rows))


@dataclass(frozen=True)
class _Moments:
    """Means and variances of dealt groups, (draws, groups) each."""

    means: Floats
    variances: Floats


def largest_welch(means: Floats, errors: Floats) -> Floats:
    """Largest difference of two groups in Welch's standard errors, (draws,), from means and their variances.

    Pairs without spread are left out where they agree; where they differ they are infinitely far apart.
    """
    worst = np.zeros(len(means))
    for g in range(means.shape[1] - 1):
        apart = np.abs(means[:, g, None] - means[:, g + 1 :])
        spread = np.sqrt(errors[:, g, None] + errors[:, g + 1 :])
        still = np.where(apart > 0, np.inf, 0.0)
        worst = np.maximum(worst, np.divide(apart, spread, out=still, where=spread > 0).max(axis=1))
    return worst


def _permuted(values: Floats, rows: Ints, rng: np.random.Generator) -> _Moments:
    lines = max(1, CHUNK // values.size)
    sizes = [min(lines, DRAWS - start) for start in range(0, DRAWS, lines)]
    parts = [_moments(rng.permuted(np.tile(values, (size, 1)), axis=1), rows) for size in sizes]
    return _Moments(np.concatenate([each.means for each in parts]), np.concatenate([each.variances for each in parts]))


def _moments(shuffled: Floats, rows: Ints) -> _Moments:
    """Means and variances of runs of these lengths in each line; a run that never varies has the line's variance."""
    starts = np.concatenate([[0], np.cumsum(rows)[:-1]])
    means = np.add.reduceat(shuffled, starts, axis=1) / rows
    squares = np.maximum(np.add.reduceat(shuffled**2, starts, axis=1) - rows * means**2, 0.0)
    overall = float(np.mean(shuffled[0] ** 2))
    still = squares <= 1e-12 * overall * rows
    return _Moments(means, np.where(still, overall, squares / np.maximum(rows - 1, 1)))


def _limit(values: Floats, rows: Ints, rng: np.random.Generator) -> _Moments:
    each = [_drawn(values, int(count), rng) for count in rows]
    return _Moments(np.stack([one.means for one in each], axis=1), np.stack([one.variances for one in each], axis=1))


def _drawn(values: Floats, rows: int, rng: np.random.Generator) -> _Moments:
    """Means and variances of one group of `rows` values picked at random from very many, (draws,) each."""
    if rows > MOST_DRAWN:
        variance = float(values.var())
        return _Moments(rng.normal(0.0, np.sqrt(variance / rows), size=DRAWS), np.full(DRAWS, variance))
    found = _moments(values[rng.integers(values.size, size=(DRAWS, rows))], np.array([rows]))
    return _Moments(found.means[:, 0], found.variances[:, 0])
