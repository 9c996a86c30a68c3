"""How groups fare over all sites together, from counts that add up, and inside each site."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._exhibits import number
from rai.audits._lift import hidden, joined, lift, lift_gap, undefined
from rai.audits.fairness.criteria import ACCURACY, CRITERIA, FPR, SELECTION, TPR, Criterion, Rate, difference, tally
from rai.audits.federation.replies import MOST_LISTED, TOO_MANY_ROWS, Seen, cells_of, listed
from rai.evidence import Evidence, Measurement, Table
from rai.ledger import Reply
from rai.stats.estimates import Gap, undefined_gap
from rai.stats.proportions import proportion
from rai.subject import Groups, Ints

RATES = (SELECTION, TPR, FPR, ACCURACY)
BY_SITE = ("demographic_parity", "equalized_odds")
MOST_ROWS = 10**9
NOTHING = "no site sent counts of groups in the last round (declare sensitive columns)"
REGRESSION = "sites send no counts of groups for a regression model"
ONE_CLASS = "Sites count one class, the positive one, against the rest: groups are compared in that alone."
GROUP_COLUMNS = ("Group", "Rows", "Rate", "Value", "Low", "High")
GAP_COLUMNS = ("Criterion", "Difference", "Low", "High", "By chance", "p", "Highest", "Lowest")
SITE_COLUMNS = (
    "Site", "Groups", "Rows", "Smallest group", "Demographic parity", "Low", "High", "Equalized odds", "Low", "High"
)  # fmt: skip
Cell = str | int | float | None


@dataclass(frozen=True)
class Counted:
    """One attribute as sites counted it: cells (levels, 4) over all sites, and those of each site."""

    groups: Groups
    cells: Ints
    sites: Mapping[str, Ints]


def evidence(seen: Seen, task: str, rng: np.random.Generator) -> Evidence:
    """Gaps over all sites and per site, for each attribute that sites counted in the last round."""
    found = () if task == "regression" else tuple(_counted(seen))
    if not found:
        reason = REGRESSION if task == "regression" else NOTHING
        return Evidence(tuple(undefined(_named(each), reason) for each in CRITERIA))
    caveats = (ONE_CLASS,) if task == "multiclass" else ()
    parts = [_attribute(each, task, rng) for each in found]
    whole = joined(parts, "")
    return Evidence(whole.measurements, whole.exhibits, caveats=(*caveats, *_excluded(seen), *whole.caveats))


def _counted(seen: Seen) -> Iterator[Counted]:
    replies: dict[str, Reply] = {}
    for last in seen.rounds[-1:]:
        replies = {name: last.replies[name] for name in seen.names if name in last.replies}
    for attribute in dict.fromkeys(name for each in replies.values() for name in each.counts):
        by_site = {site: each.counts.get(attribute, {}) for site, each in replies.items()}
        levels = tuple(dict.fromkeys(level for each in by_site.values() for level in each))
        sites = {site: cells_of(each, levels) for site, each in by_site.items()}
        nobody = np.zeros(0, dtype=np.int64)
        cells = np.sum(list(sites.values()), axis=0, dtype=np.int64).reshape(-1, 4)
        yield Counted(Groups(attribute, levels, nobody), cells, sites)


def _attribute(found: Counted, task: str, rng: np.random.Generator) -> Evidence:
    facet = {"attribute": found.groups.name}
    kept = _comparable(found.groups, found.cells)
    rates = [rate for rate in RATES if task == "binary" or rate is not ACCURACY]
    criteria = [each for each in CRITERIA if task == "binary" or each.name != "accuracy"]
    gaps = [(each, _gap(each, kept, rng)) for each in criteria]
    measured = [lift_gap(gap, _named(each), facet=facet) for each, gap in gaps]
    by_group = [_rates(found, place, rates) for place in range(len(found.groups.levels))]
    tables = (_gap_table(kept, gaps, measured), _group_table(found, by_group, rates), *_sites(found, rng))
    shown = (each for group in by_group for each in group)
    return Evidence((*measured, *shown), tables, caveats=_left_out(found))


def _named(criterion: Criterion) -> str:
    return f"global_{criterion.name}_difference"


@dataclass(frozen=True)
class Kept:
    """The groups that may be compared, and their cells."""

    groups: Groups
    cells: Ints


def _comparable(groups: Groups, cells: Ints) -> Kept:
    """Only groups that have rows, and not one to four."""
    rows = cells.sum(axis=1)
    places = [place for place, count in enumerate(rows.tolist()) if count and not hidden(count)]
    levels = tuple(groups.levels[place] for place in places)
    return Kept(Groups(groups.name, levels, groups.codes), cells[places])


def _gap(criterion: Criterion, kept: Kept, rng: np.random.Generator) -> Gap:
    if kept.cells.sum() >= MOST_ROWS:
        return undefined_gap(TOO_MANY_ROWS, 0)
    return difference(criterion, kept.cells, kept.groups, rng)


def _rates(found: Counted, place: int, rates: Sequence[Rate]) -> list[Measurement]:
    facet = {"attribute": found.groups.name, "group": found.groups.levels[place]}
    made = []
    for rate in rates:
        counts = tally(rate, found.cells[place : place + 1])
        share = proportion(int(counts.hits[0]), int(counts.base[0]))
        made.append(lift(share, f"global_group_{rate.name}", facet=facet, unit="share"))
    return made


def _gap_table(kept: Kept, gaps: Sequence[tuple[Criterion, Gap]], measured: Sequence[Measurement]) -> Table:
    known = [(each, found) for (each, _), found in zip(gaps, measured, strict=True) if found.value is not None]
    most = max(known, key=lambda pair: pair[1].value or 0.0, default=None)
    widest = "not measured" if most is None else f"largest in {most[0].title}, {_points(most[1])}"
    rows = tuple(_gap_row(kept, *pair, found) for pair, found in zip(gaps, measured, strict=True))
    alt = "Differences between the largest and the smallest group rate, from the counts of all sites added up."
    return Table(f"Gaps over all sites by {kept.groups.name}: {widest}", alt, GAP_COLUMNS, rows)


def _points(found: Measurement) -> str:
    return f"{number(100 * (found.value or 0.0))} points"


def _gap_row(kept: Kept, criterion: Criterion, gap: Gap, found: Measurement) -> tuple[Cell, ...]:
    ends = [None if each is None else kept.groups.levels[each] for each in (gap.highest, gap.lowest)]
    ends = [None, None] if found.value is None else ends
    return (criterion.title, found.value, found.low, found.high, found.chance, found.p, *ends)


def _group_table(found: Counted, by_group: Sequence[Sequence[Measurement]], rates: Sequence[Rate]) -> Table:
    """One line a rate of a group; of a group of one to four people nothing but its name."""
    rows: list[tuple[Cell, ...]] = []
    for level, count, group in zip(found.groups.levels, found.cells.sum(axis=1).tolist(), by_group, strict=True):
        if hidden(count):
            rows.append((level, "under 5", *(None,) * 4))
        else:
            rows.extend((level, count, rate.title, *_shown(each)) for rate, each in zip(rates, group, strict=True))
    alt = "Rates of each group over the held-out rows of all sites, with Wilson intervals."
    groups = len(found.groups.levels)
    return Table(f"Groups over all sites by {found.groups.name}: {groups}", alt, GROUP_COLUMNS, tuple(rows))


def _sites(found: Counted, rng: np.random.Generator) -> tuple[Table, ...]:
    """The gaps inside each site that has two groups which may be compared; how many have not is said."""
    pairs = [(site, _comparable(found.groups, cells)) for site, cells in found.sites.items()]
    able = [(site, kept) for site, kept in pairs if len(kept.groups.levels) > 1]
    told = not any(hidden(count) for cells in found.sites.values() for count in cells.sum(axis=1).tolist())
    rows = sorted((_site_row(site, kept, rng, told=told) for site, kept in able[:MOST_LISTED]), key=_widest)
    title = f"Gaps inside {len(able)} of {len(pairs)} sites by {found.groups.name}"
    title += f": widest at {rows[0][0]}" if rows and rows[0][4] is not None else ""
    title += f"; the first {MOST_LISTED} are listed" if len(able) > MOST_LISTED else ""
    alt = (
        "Each site's own held-out rows, the widest gap in demographic parity first. Sites with fewer than two groups "
        "of 5 rows or more are left out; what rests on one to four people is not shown."
    )
    return (Table(title, alt, SITE_COLUMNS, tuple(rows)),) if rows else ()


def _site_row(site: str, kept: Kept, rng: np.random.Generator, *, told: bool) -> tuple[Cell, ...]:
    """The gaps of one site; its rows are not `told` where taking them from others would tell a small group."""
    gaps = [_gap(each, kept, rng) for each in CRITERIA if each.name in BY_SITE]
    ends = [end for each in gaps for end in _shown(lift_gap(each, "gap", facet={}))]
    rows = kept.cells.sum(axis=1)
    counts = (int(rows.sum()), int(rows.min())) if told else (None, None)
    return (site, ", ".join(kept.groups.levels), *counts, *ends)


def _shown(found: Measurement) -> tuple[float | None, ...]:
    return found.value, found.low, found.high


def _widest(row: tuple[Cell, ...]) -> float:
    return -row[4] if isinstance(row[4], float) else 1.0


def _left_out(found: Counted) -> tuple[str, ...]:
    rows = found.cells.sum(axis=1).tolist()
    small = [level for level, count in zip(found.groups.levels, rows, strict=True) if hidden(count)]
    name = found.groups.name
    return (f"Left out of the gaps over all sites by {name}, fewer than 5 rows: {', '.join(small)}.",) if small else ()


def _excluded(seen: Seen) -> Iterator[str]:
    """Rows of a site are people whether or not its update was used; the reader is told that they count."""
    last = seen.rounds[-1:]
    names = [name for one in last for name, reply in one.replies.items() if reply.excluded and reply.counts]
    if names:
        yield f"Counts of sites whose update was not used are among those added up: {listed(names)}."
