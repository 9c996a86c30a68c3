"""How far apart are the groups' rates, and is that more than chance would show?

The largest of several noisy differences is never negative and too large on average: ten groups that share 5000 rows
and one rate of 0.3 show a gap of 0.1. So every gap comes with an interval that may reach "no difference", the p-value
of "no difference", and the gap that chance alone would show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.errors import InputError
from rai.stats.arrays import Floats
from rai.stats.comparisons import DIFFERENCE, RATIO, Comparison, span
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.pairs import largest_t, off_diagonal, simultaneous
from rai.stats.proportions import Counts, Tally, normal_quantile, tally
from rai.stats.values import listed, value_gap, value_ratio

__all__ = ["Family", "joint_rate_gap", "joint_rate_ratio", "rate_gap", "rate_ratio", "value_gap", "value_ratio"]

Family = tuple[Counts, Counts]
TIE = 1e-12


def rate_gap(
    successes: Counts,
    trials: Counts,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.95,
    names: Sequence[str] = (),
) -> Gap:
    """Largest less smallest group rate: 0 is no difference.

    `successes` of `trials` rows, one entry a group; `names` of the groups stand in reasons. The value is the plain
    difference, as fairlearn gives it. The interval joins Newcombe's bounds of all pairs of groups: the upper bound
    pointwise, the lower one simultaneous (see `rai.stats.pairs`), so no difference at all is reported as one in at
    most 2.5 % of samples. `p` permutes the groups over the rows and compares the largest difference of any pair in
    standard errors, as the interval does; `chance` is the mean gap under that permutation.
    `corrected` takes off the gap's upward bias as the parametric bootstrap estimates it. `detectable` is the distance
    of the smallest group from the rest that these rows would show (see `rai.stats.power`).

    Undefined for fewer than two groups and where a group has no rows.
    """
    return joint_rate_gap([(successes, trials)], rng, draws=draws, level=level, names=names)


def rate_ratio(
    successes: Counts,
    trials: Counts,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.95,
    names: Sequence[str] = (),
) -> Gap:
    """Smallest over largest group rate, the impact ratio: 1 is no difference.

    As `rate_gap`, mirrored: the interval joins bounds of all log ratios, pointwise below and simultaneous above, and
    `detectable` is the largest ratio below 1, of the smallest group to the rest, that these rows would show.
    Undefined too where no group has a success.
    """
    return joint_rate_ratio([(successes, trials)], rng, draws=draws, level=level, names=names)


def joint_rate_gap(
    families: Sequence[Family],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.95,
    names: Sequence[str] = (),
) -> Gap:
    """Largest of several rate gaps over the same groups, for example equalized odds from TPR and FPR.

    `families` holds one (successes, trials) a rate. The lower bound holds for all pairs of all families at once. The
    families are permuted independently, which is exact where they count different rows, as TPR and FPR do.
    `detectable` is that of the family which shows least. Undefined if any family is.
    """
    return _measured(DIFFERENCE, _stacked(families), rng, draws=draws, level=level, names=names)


def joint_rate_ratio(
    families: Sequence[Family],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.95,
    names: Sequence[str] = (),
) -> Gap:
    """Smallest of several rate ratios over the same groups; as `joint_rate_gap`, for `rate_ratio`."""
    return _measured(RATIO, _stacked(families), rng, draws=draws, level=level, names=names)


def _stacked(families: Sequence[Family]) -> Tally:
    """One array (families, groups) of successes and one of trials."""
    each = [tally(k, n) for k, n in families]
    if not each or len({one.trials.shape for one in each}) > 1 or each[0].trials.ndim != 1:
        raise InputError("the rates do not count the same groups", expected="(successes, trials), one entry a group")
    return Tally(np.stack([one.successes for one in each]), np.stack([one.trials for one in each]))


def _measured(
    comparison: Comparison,
    counts: Tally,
    rng: np.random.Generator,
    *,
    draws: int,
    level: float,
    names: Sequence[str],
) -> Gap:
    problem = _problem(comparison, counts, names)
    bare = undefined_gap(problem, int(counts.trials.sum()), _smallest(counts))
    if problem:
        return bare
    dealt = permuted(counts, draws, rng)
    reach = simultaneous(comparison.variances(counts), rng, draws=draws, level=level)
    ends = _interval(comparison, counts, normal_quantile(level), reach)
    return replace(
        _plain(bare, comparison, counts, dealt),
        low=ends.low,
        high=ends.high,
        corrected=_corrected(comparison, counts, draws, rng),
        method=f"{level:.0%} interval from {comparison.words}; p from {draws} permutations of the groups",
    )


def permuted(counts: Tally, draws: int, rng: np.random.Generator) -> Floats:
    """Successes after the groups are dealt out anew over the rows, (draws, families, groups).

    With all counts fixed these are multivariate hypergeometric; families are permuted independently.
    """
    each = zip(counts.successes.sum(axis=1), counts.trials, strict=True)
    drawn = [rng.multivariate_hypergeometric(n.astype(np.int64), int(total), size=draws) for total, n in each]
    return np.stack(drawn, axis=1).astype(np.float64)


def _plain(bare: Gap, comparison: Comparison, counts: Tally, dealt: Floats) -> Gap:
    """Add value, p, chance and what could be detected; `dealt` are the successes of permuted groups."""
    scaled = comparison.scaled(counts.successes, counts.trials)
    found = span(scaled)
    worst = int(np.argmax(scaled.max(axis=1) - scaled.min(axis=1)))
    return replace(
        bare,
        value=float(comparison.shown(found)),
        p=_significance(counts, dealt),
        chance=float(comparison.shown(span(comparison.scaled(dealt, counts.trials))).mean()),
        detectable=_detectable(comparison, counts),
        highest=int(scaled[worst].argmax()),
        lowest=int(scaled[worst].argmin()),
    )


def _significance(counts: Tally, dealt: Floats) -> float:
    """Share of permutations in which some pair of groups is as many standard errors apart as the groups found.

    Standard errors, not raw gaps: or the smallest group's noise would hide what the larger ones show.
    """
    k, n = counts.successes, counts.trials
    pooled = k.sum(axis=1) / n.sum(axis=1)
    spread = np.sqrt((pooled * (1 - pooled))[:, None, None] * (1 / n[:, :, None] + 1 / n[:, None, :]))
    worst, seen = largest_t(dealt / n, spread), largest_t((k / n)[None], spread)[0]
    return float((1 + np.sum(worst >= seen - TIE)) / (len(dealt) + 1))


@dataclass(frozen=True)
class _Interval:
    low: float
    high: float


def _interval(comparison: Comparison, counts: Tally, pointwise: float, reach: float) -> _Interval:
    """Join the bounds of all pairs: the nearer end must hold for all at once, the farther one for each alone."""
    near = max(0.0, float(off_diagonal(comparison.bounds(counts, reach).low).max()))
    far = float(off_diagonal(comparison.bounds(counts, pointwise).high).max())
    ends = sorted(float(comparison.shown(each)) for each in (near, far))
    return _Interval(ends[0], ends[1])


def _corrected(comparison: Comparison, counts: Tally, draws: int, rng: np.random.Generator) -> float:
    """Take off the upward bias of the span, estimated by drawing each group's successes anew at its own rate."""
    k, n = counts.successes, counts.trials
    drawn = rng.binomial(n.astype(np.int64), k / n, size=(draws, *n.shape)).astype(np.float64)
    bias = span(comparison.smoothed(drawn, n)).mean() - span(comparison.smoothed(k, n))
    return float(comparison.shown(np.maximum(span(comparison.scaled(k, n)) - bias, 0.0)))


def _detectable(comparison: Comparison, counts: Tally) -> float | None:
    """What the family that shows least would show: its smallest group against the rest, at the rest's rate."""
    each = [_one_detectable(comparison, k, n) for k, n in zip(counts.successes, counts.trials, strict=True)]
    found = [one for one in each if one is not None]
    return float(comparison.shown(max(found))) if len(found) == len(each) else None


def _one_detectable(comparison: Comparison, successes: Floats, trials: Floats) -> float | None:
    small = int(trials.argmin())
    rest = float(trials.sum() - trials[small])
    return comparison.detectable(float(successes.sum() - successes[small]) / rest, float(trials[small]), rest)


def _smallest(counts: Tally) -> int | None:
    return int(counts.trials.min()) if counts.trials.size else None


def _problem(comparison: Comparison, counts: Tally, names: Sequence[str]) -> str:
    """Say why no gap can be formed; empty where it can."""
    groups = counts.trials.shape[-1]
    if groups < 2:
        return f"{groups} group{'' if groups == 1 else 's'}, and a gap needs two"
    empty = (counts.trials == 0).any(axis=0)
    if empty.any():
        return f"no rows to take a rate of in {listed(empty, names)}"
    nothing = bool((counts.successes.sum(axis=1) == 0).any())
    return "no group has a success, so there is no ratio" if nothing and comparison is RATIO else ""
