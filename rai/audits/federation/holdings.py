"""Who holds what: rows of each class at each site, and what every site brought, got and spent, one line each."""

from collections.abc import Iterator, Mapping, Sequence

from rai.audits._exhibits import number
from rai.audits._lift import hidden, shown
from rai.audits.federation.replies import (
    MOST_COUNTED,
    MOST_LISTED,
    NOT_TOLD,
    OWN_FILES,
    Seen,
    finite,
    is_secret,
    took_part,
)
from rai.evidence import Bars, Exhibit, Heat, Measurement, Table
from rai.ledger import Site

MOST_CLASSES = 30
UNDER, WITHHELD = "under 5", "withheld"
COLUMNS = (
    "Site",
    "Rows",
    "Rounds taken part",
    "Updates excluded",
    "Held-out rows",
    "Accuracy",
    "Low",
    "High",
    "Epsilon",
    "Contribution",
)
Cell = str | int | float | None
Found = Mapping[str, Measurement]


def who_holds_what(seen: Seen, names_of: Sequence[str]) -> Iterator[Exhibit]:
    """Rows by site and class as shades, or rows by site without classes; `names_of` classes stand for positions."""
    sites = sorted(seen.told.sites, key=lambda each: -each.rows)[:MOST_LISTED]
    if not sites:
        return
    many = f"; the {MOST_LISTED} largest are shown" if len(seen.told.sites) > MOST_LISTED else ""
    title = (
        f"Who holds what: {len(seen.told.sites):,} sites of {_ends(seen.told.sites)} rows ({seen.told.partition}){many}"
    )
    classes = tuple(dict.fromkeys(name for each in sites for name in each.classes))[:MOST_CLASSES]
    names = tuple(each.name for each in sites)
    if not classes:
        values = tuple(None if hidden(each.rows) else float(min(each.rows, MOST_COUNTED)) for each in sites)
        yield Bars(title, "Rows of each site, most first.", names, values, unit="rows")
        return
    alt = (
        "Rows of each class at each site. Counts of one to four are not shown, nor one more where the rest tells them."
    )
    cells = tuple(_visible(each, classes) for each in sites)
    yield Heat(title, alt, names, _named(classes, names_of), cells, "site", "class", "rows")


def _named(classes: tuple[str, ...], names_of: Sequence[str]) -> tuple[str, ...]:
    """The classes by name where sites told positions, "0" for the first."""
    by_place = {str(place): name for place, name in enumerate(names_of)}
    told_places = not set(classes) <= set(names_of) and set(classes) <= set(by_place)
    return tuple(by_place[each] for each in classes) if told_places else classes


def _ends(sites: tuple[Site, ...]) -> str:
    rows = [UNDER if hidden(each) else f"{each:,}" for each in (min(s.rows for s in sites), max(s.rows for s in sites))]
    return rows[0] if rows[0] == rows[1] else " to ".join(rows)


def _visible(site: Site, classes: tuple[str, ...]) -> tuple[float | None, ...]:
    """Counts of a site; where a single one is withheld, the smallest other goes too, or the sum would tell it."""
    counts = {name: site.classes.get(name, 0) for name in classes}
    gone = {name for name, count in counts.items() if hidden(count)}
    rest = [name for name in classes if name not in gone and counts[name]]
    if len(gone) == 1 and rest:
        gone.add(min(rest, key=lambda name: counts[name]))
    if hidden(site.rows):
        gone = set(classes)
    return tuple(None if name in gone else float(min(counts[name], MOST_COUNTED)) for name in classes)


def site_table(seen: Seen, measured: tuple[Measurement, ...]) -> Iterator[Table]:
    """One line a site, the least accurate first; nothing of a site of one to four people but its name."""
    scores = {each.facet["site"]: each for each in measured if each.name in ("site_accuracy", "site_r2")}
    names = sorted(seen.names, key=lambda name: _least(scores.get(name)))
    if not names:
        return
    places = {each.name: each for each in seen.told.sites}
    rows = tuple(_row(seen, places.get(name, Site(name, 0)), scores) for name in names[:MOST_LISTED])
    title = f"Sites: {len(names):,}" + _worst(scores.get(names[0]))
    title += f"; the {MOST_LISTED} least accurate are listed" if len(names) > MOST_LISTED else ""
    alt = (
        "Accuracy (R² for regression) is that of the common model in the last round on the site's held-out rows, with "
        "a Wilson interval. What rests on one to four people is withheld, and what no site states has no column."
    )
    kept = [place for place in range(len(COLUMNS)) if any(row[place] not in {None, WITHHELD} for row in rows)]
    told = tuple(tuple(row[place] for place in kept) for row in rows)
    yield Table(title, alt, tuple(COLUMNS[place] for place in kept), told)


def _worst(found: Measurement | None) -> str:
    if found is None or found.value is None:
        return ""
    return f", the worst served {found.facet['site']} ({number(found.value)})"


def _least(found: Measurement | None) -> float:
    return float("inf") if found is None or found.value is None else found.value


def _row(seen: Seen, site: Site, scores: Found) -> tuple[Cell, ...]:
    replies = seen.by_site.get(site.name, ())
    rounds = NOT_TOLD if is_secret(seen.told.client_privacy) else sum(map(took_part, replies))
    taken = (rounds, NOT_TOLD if seen.secret else sum(bool(each.excluded) for each in replies))
    rows, known = UNDER if hidden(site.rows) else site.rows, seen.held_out.get(site.name)
    if site.name in seen.small:
        told = UNDER if known is not None and hidden(known) else known
        return (site.name, rows, *taken, told, *(WITHHELD,) * 3, finite(site.epsilon), WITHHELD)
    return (
        site.name,
        rows,
        *taken,
        None if known is None else shown(known),
        *_ends_of(scores.get(site.name)),
        finite(site.epsilon),
        finite(site.contribution),
    )


def _ends_of(found: Measurement | None) -> tuple[float | None, ...]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def manifest(seen: Seen) -> Iterator[Table]:
    """Each file that was sent to the sites, with its hash, for whoever holds the files to compare."""
    files = tuple(sorted(seen.told.bundle.items()))
    if files:
        more = f", of which {MOST_LISTED} are listed" if len(files) > MOST_LISTED else ""
        alt = "SHA-256 of each file of the bundle, as the ledger states it; whoever holds the files can compare."
        yield Table(f"Files sent to the sites: {len(files):,}{more}", alt, ("File", "SHA-256"), files[:MOST_LISTED])


def rehearsed(seen: Seen) -> tuple[str, ...]:
    """Say so where one party held the rows of all sites: what holds of such a rehearsal may not hold of real sites."""
    if seen.told.partition == OWN_FILES:
        return ()
    how = f"runtime {seen.told.runtime}, rows dealt out: {seen.told.partition}"
    return (f"This was a rehearsal: whoever trained the model held the rows of all sites ({how}).",)


def setting(seen: Seen) -> Table:
    """How the sites learned together, as the ledger states it."""
    facts = (
        ("runtime", seen.told.runtime),
        ("strategy", seen.told.strategy),
        *(
            (f"argument {name}", number(v) if isinstance(v, float) else str(v))
            for name, v in seen.told.arguments.items()
        ),
        ("rows dealt out by", seen.told.partition),
        ("sites", f"{len(seen.names):,}"),
        ("rounds", f"{len(seen.rounds):,}"),
    )
    alt = "The strategy says how the sites' updates were joined into one model."
    return Table(f"How the sites learned together: {seen.told.strategy}", alt, ("what", "value"), facts)
