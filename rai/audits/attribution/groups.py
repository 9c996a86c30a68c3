"""Whether the decisions about different groups have different reasons, and whether a group itself is one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._composition import NO_GROUPS
from rai.audits._exhibits import number, percent
from rai.audits._lift import joined, large_enough, lift_gap, undefined
from rai.audits.attribution.importance import Ranked
from rai.audits.attribution.proxies import proxy_reliance
from rai.audits.attribution.reasons import Reasons
from rai.evidence import Evidence, Heat, Measurement
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.profiles import Profiles, profile_gap, share_profiles
from rai.subject import Groups, Ints, Kind, Subject

FEWEST = 20
"""Explained rows a group must have before its reasons are compared."""
MOST_COMPARED = 30
SHOWN = 10
NAMES = ("importance_gap", "sensitive_reliance", "proxy_reliance")
NO_INPUT = "the attribute is no input of the model, so nothing moves the score through it directly"
NO_COLUMNS = {
    "image": "the model takes pictures, which have no columns",
    "text": "the model takes texts, which have no columns",
}


def group_evidence(subject: Subject, found: Ranked) -> Evidence:
    """For every sensitive attribute: gap of the reasons between groups, and reliance on it and on what tells it."""
    groups = tuple(subject.data.groups.values())
    if not groups:
        return Evidence(tuple(undefined(name, NO_GROUPS) for name in NAMES))
    return joined([_attribute(subject, each, found) for each in groups], "")


def _attribute(subject: Subject, groups: Groups, found: Ranked) -> Evidence:
    gap = _gap_evidence(groups, found.reasons, subject.rng(f"attribution {groups.name}"))
    reliance = _sensitive(subject.data.kind, groups, found)
    return joined([Evidence((reliance, proxy_reliance(subject, groups, found))), gap], "")


def _sensitive(kind: Kind, groups: Groups, found: Ranked) -> Measurement:
    """The part of all that moves the score which the attribute's own column bears."""
    name, facet, rows = "sensitive_reliance", {"attribute": groups.name}, len(found.reasons.rows)
    if kind in NO_COLUMNS:
        return undefined(name, NO_COLUMNS[kind], rows=rows, facet=facet, unit="share")
    place = named_place(found.reasons.names, groups.name)
    if place is None:
        return Measurement(name, 0.0, 0.0, 0.0, rows, facet=facet, unit="share", method=NO_INPUT)
    return found.share(place, name, facet)


def named_place(names: Sequence[str], wanted: str) -> int | None:
    """Position of the column of this name, written in any case; None where there is none."""
    plain = [name.casefold() for name in names]
    return plain.index(wanted.casefold()) if wanted.casefold() in plain else None


@dataclass(frozen=True)
class _Compared:
    """Groups with enough explained rows, the features whose shares are compared, and those shares."""

    groups: Groups
    names: tuple[str, ...]
    profiles: Profiles


def _gap_evidence(groups: Groups, reasons: Reasons, rng: np.random.Generator) -> Evidence:
    explained = Groups(groups.name, groups.levels, groups.codes[reasons.rows])
    kept = large_enough(explained, least=FEWEST)
    facet = {"attribute": groups.name}
    small = _left_out(groups, explained)
    if len(kept.levels) < 2 or not reasons.moved:
        few = f"fewer than two groups of {FEWEST} explained rows or more"
        gap = undefined_gap(few if reasons.moved else "no feature moves the score", int((kept.codes >= 0).sum()))
        return Evidence((lift_gap(gap, "importance_gap", facet=facet, unit="share"),), caveats=small)
    compared = _compared(kept, reasons, rng)
    found = profile_gap(compared.profiles)
    feature = compared.names[found.entry]
    measured = lift_gap(found.gap, "importance_gap", facet={**facet, "feature": feature}, unit="share")
    return Evidence((measured,), (_heat(compared, found.gap, feature),), caveats=small)


def _compared(groups: Groups, reasons: Reasons, rng: np.random.Generator) -> _Compared:
    """Shares of the 30 features that matter most over all groups together; the choice knows no groups."""
    known, top = groups.codes >= 0, reasons.order[:MOST_COMPARED]
    codes: Ints = groups.codes[known]
    sizes, total = reasons.sizes[known][:, top], reasons.total[known]
    profiles = share_profiles(sizes, total, codes, len(groups.levels), rng)
    return _Compared(groups, tuple(reasons.names[place] for place in top), profiles)


def _heat(compared: _Compared, gap: Gap, feature: str) -> Heat:
    groups, shares = compared.groups, compared.profiles.values[:, :SHOWN]
    apart = f"{feature} differs most, by {percent(gap.value or 0.0)} (p = {number(gap.p or 0.0)})"
    return Heat(
        f"Part of all that moves the score, by {groups.name}: {apart}",
        f"What part each feature has in the decisions about each group of {groups.name}; chance alone would show a "
        f"largest difference of {percent(gap.chance or 0.0)}.",
        row_labels=compared.names[:SHOWN],
        column_labels=groups.levels,
        values=tuple(tuple(float(value) for value in row) for row in shares.T),
        row_title="feature",
        column_title=groups.name,
        unit="share",
    )


def _left_out(groups: Groups, explained: Groups) -> tuple[str, ...]:
    small = [level for level, count in zip(groups.levels, explained.counts, strict=True) if count < FEWEST]
    what = f"Left out of the comparison of reasons by {groups.name}, fewer than {FEWEST} explained rows"
    return (f"{what}: {', '.join(small)}.",) if small else ()
