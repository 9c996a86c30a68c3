"""Do several groups share one profile of values, such as what each feature's part is in their decisions?"""

from dataclasses import dataclass

import numpy as np

from rai.stats.arrays import Floats, Ints
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.pairs import largest_t
from rai.stats.proportions import normal_quantile

DRAWS = 500


@dataclass(frozen=True)
class Profiles:
    """Each group's profile, (groups, entries), and what resampling and dealing out the groups anew make of them.

    `drawn` (draws, groups, entries) resamples rows within each group; `dealt` (permutations, groups, entries) deals
    the groups out anew over the rows. `rows` (groups,) counts the rows of each.
    """

    values: Floats
    drawn: Floats
    dealt: Floats
    rows: Ints


def share_profiles(parts: Floats, total: Floats, codes: Ints, groups: int, rng: np.random.Generator) -> Profiles:
    """Profiles of shares: what part of each group's total falls to each entry.

    `parts` (rows, entries), `total` (rows,), `codes` (rows,) group positions 0 to groups-1, every one of them there.
    """
    whole = np.column_stack([parts, total])
    member = np.eye(groups)[codes]
    drawn = [_shares(_resampled(codes, groups, rng) @ whole) for _ in range(DRAWS)]
    dealt = [_shares(member[rng.permutation(len(codes))].T @ whole) for _ in range(DRAWS)]
    return Profiles(_shares(member.T @ whole), np.stack(drawn), np.stack(dealt), np.bincount(codes, minlength=groups))


def _shares(sums: Floats) -> Floats:
    total = sums[:, -1:]
    return np.divide(sums[:, :-1], total, out=np.zeros_like(sums[:, :-1]), where=total > 0)


def _resampled(codes: Ints, groups: int, rng: np.random.Generator) -> Floats:
    """How often each row is drawn within its own group, (groups, rows)."""
    weights = np.zeros((groups, len(codes)))
    for group in range(groups):
        mine = np.flatnonzero(codes == group)
        weights[group, mine] = np.bincount(rng.integers(len(mine), size=len(mine)), minlength=len(mine))
    return weights


@dataclass(frozen=True)
class ProfileGap:
    """The largest difference between two groups in any entry, and which entry that is."""

    gap: Gap
    entry: int


def profile_gap(profiles: Profiles, *, level: float = 0.95) -> ProfileGap:
    """Largest difference between any two groups in any entry of their profiles: 0 is one profile for all.

    The lower bound is simultaneous over all entries and pairs of groups, the upper one pointwise, both with errors
    from the draws (see `rai.stats.pairs`). `p` is the share of permutations whose largest difference is as large, and
    `chance` their mean. `detectable` is not to be had from draws. Undefined for fewer than two groups.
    """
    rows, values = profiles.rows, profiles.values.T
    if len(rows) < 2 or not values.size:
        reason = f"{len(rows)} group(s), and a gap needs two" if len(rows) < 2 else "there is nothing to compare"
        return ProfileGap(undefined_gap(reason, int(rows.sum())), 0)
    spans, dealt = np.ptp(values, axis=1), np.ptp(profiles.dealt, axis=1).max(axis=1)
    entry = int(spans.argmax())
    bounds = _bounds(values, profiles.drawn.transpose(0, 2, 1), level)
    value, chance = float(spans[entry]), float(dealt.mean())
    found = Gap(
        value=value,
        low=bounds.low,
        high=max(value, bounds.high),
        rows=int(rows.sum()),
        smallest=int(rows.min()),
        p=float((1 + np.sum(dealt >= value - 1e-12)) / (len(dealt) + 1)),
        chance=chance,
        corrected=max(0.0, value - chance),
        detectable=None,
        highest=int(values[entry].argmax()),
        lowest=int(values[entry].argmin()),
        method=f"{level:.0%} interval from all pairs, simultaneous below and "
        f"pointwise above, {len(profiles.drawn)} resamples; p from {len(dealt)} permutations of the groups",
    )
    return ProfileGap(found, entry)


@dataclass(frozen=True)
class _Bounds:
    low: float
    high: float


def _bounds(values: Floats, drawn: Floats, level: float) -> _Bounds:
    """Bounds of the largest difference; `values` (entries, groups), `drawn` (draws, entries, groups)."""
    errors = drawn - values
    variance = errors.var(axis=0, ddof=1)
    spread = np.sqrt(variance[:, :, None] + variance[:, None, :])
    reach = float(np.quantile(largest_t(errors, spread), 0.5 + level / 2))
    apart = values[:, :, None] - values[:, None, :]
    low = max(0.0, float((apart - reach * spread).max()))
    return _Bounds(low, float((apart + normal_quantile(level) * spread).max()))
