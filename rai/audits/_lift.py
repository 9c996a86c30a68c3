"""The one way from a statistic to a measurement: whatever rests on one to four people is withheld here."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from rai.evidence import SMALLEST_CELL, Evidence, Measurement
from rai.stats.estimates import Estimate, Gap, undefined_gap
from rai.stats.means import mean_gap
from rai.subject import UNKNOWN, Bools, Floats, Groups, Ints

SUPPRESSED = f"fewer than {SMALLEST_CELL} rows: suppressed"
COUNTED = "counted in the rows at hand; no sampling error"


def hidden(count: int) -> bool:
    """Whether a count of people is too small to print: 1 to 4 (that there is nobody may be told)."""
    return 0 < count < SMALLEST_CELL


def shown(count: int) -> int | None:
    """Return a count of people as it may be printed: None for 1 to 4, which could point at a person."""
    return None if hidden(count) else int(count)


def lift(
    estimate: Estimate,
    name: str,
    *,
    facet: Mapping[str, str] | None = None,
    unit: str = "",
    smallest: int | None = None,
) -> Measurement:
    """Turn an estimate into a measurement called `name`; one that rests on 1 to 4 rows is withheld."""
    plain = Measurement(
        name,
        estimate.value,
        estimate.low,
        estimate.high,
        int(estimate.rows),
        facet=facet or {},
        unit=unit,
        method=estimate.method,
        reason=estimate.reason,
        smallest=smallest,
    )
    return guarded(plain)


def lift_gap(gap: Gap, name: str, *, facet: Mapping[str, str], unit: str = "") -> Measurement:
    """Turn a gap between groups into a measurement; one that involves a group of 1 to 4 rows is withheld."""
    plain = Measurement(
        name,
        gap.value,
        gap.low,
        gap.high,
        int(gap.rows),
        facet=facet,
        unit=unit,
        method=gap.method,
        reason=gap.reason,
        smallest=gap.smallest,
        p=gap.p,
        chance=gap.chance,
        corrected=gap.corrected,
        detectable=gap.detectable,
    )
    return guarded(plain)


def counted(
    name: str, value: float, rows: int, *, facet: Mapping[str, str] | None = None, unit: str = ""
) -> Measurement:
    """A fact about the rows at hand: its interval is the value itself."""
    exact = float(value)
    return guarded(Measurement(name, exact, exact, exact, rows, facet=facet or {}, unit=unit, method=COUNTED))


def undefined(
    name: str, reason: str, *, rows: int = 0, facet: Mapping[str, str] | None = None, unit: str = ""
) -> Measurement:
    """A measurement that has no value, with the reason a person understands."""
    return guarded(Measurement(name, None, None, None, rows, facet=facet or {}, unit=unit, reason=reason))


def guarded(found: Measurement) -> Measurement:
    """The measurement itself, or `withheld` where 1 to 4 people stand behind it or behind its smallest group."""
    return withheld(found) if hidden(found.rows) or hidden(found.smallest or 0) else found


def withheld(found: Measurement) -> Measurement:
    """The same measurement with every number taken out, because 1 to 4 people stand behind it."""
    empty = Measurement(found.name, None, None, None, 0, reason=SUPPRESSED)
    return replace(empty, facet=found.facet, unit=found.unit, method=found.method)


def large_enough(groups: Groups, *, among: Bools | None = None, least: int = SMALLEST_CELL) -> Groups:
    """The attribute with only the levels that have `least` rows (`among` these rows); other rows become unknown.

    Comparing groups means naming the one that stands out, so groups too small to be shown are left out first.
    """
    codes = groups.codes if among is None else np.where(among, groups.codes, UNKNOWN)
    counts = Groups(groups.name, groups.levels, codes).counts
    kept = np.flatnonzero(counts >= least)
    return Groups(groups.name, tuple(groups.levels[level] for level in kept), _renumbered(codes, kept))


def group_gap(values: Floats, groups: Groups, rng: np.random.Generator) -> Gap:
    """How far apart the groups' means of `values` (rows,) are; groups too small to be shown are left out."""
    large = large_enough(groups)
    known = large.codes >= 0
    if len(large.levels) < 2:
        return undefined_gap(f"fewer than two groups of {SMALLEST_CELL} rows or more", int(known.sum()))
    return mean_gap(values[known], large.codes[known], len(large.levels), rng, names=large.levels)


def left_out(groups: Groups) -> tuple[str, ...]:
    """Name the groups that are too small to be compared, if there are any."""
    small = [level for level, count in zip(groups.levels, groups.counts, strict=True) if hidden(int(count))]
    return (f"Left out of the gaps by {groups.name}, fewer than 5 rows: {', '.join(small)}.",) if small else ()


def _renumbered(codes: Ints, kept: Ints) -> Ints:
    place = np.full(int(codes.max(initial=0)) + 2, UNKNOWN, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return np.asarray(place[codes])  # an unknown code, -1, reads the last place, which stays unknown


def joined(parts: Iterable[Evidence], method: str) -> Evidence:
    """Several pieces of evidence as one, in their order."""
    pieces = tuple(parts)
    return Evidence(
        measurements=tuple(found for piece in pieces for found in piece.measurements),
        exhibits=tuple(shape for piece in pieces for shape in piece.exhibits),
        method=method,
        caveats=tuple(dict.fromkeys(caveat for piece in pieces for caveat in piece.caveats)),
    )
