"""Which sites would do better alone? A model that learned from one site's rows only, held against the common one.

Learning together need not serve every site (Yu, Bagdasaryan and Shmatikov 2020, Salvaging federated learning by local
adaptation): a site whose own model is better has lent its rows for nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._exhibits import bars
from rai.audits._lift import lift, undefined
from rai.audits.federation.contrasts import advantages
from rai.audits.federation.quality import joined_names, right_of
from rai.audits.federation.replies import MOST_LISTED, UNKNOWN_ROWS, Seen, finite, listed, untold
from rai.evidence import Evidence, Exhibit, Measurement, Table
from rai.ledger import Ledger
from rai.stats.estimates import Estimate
from rai.stats.proportions import proportion

COUNT, SHARE, GAIN = "sites_better_alone", "sites_better_alone_share", "gain_alone"
NOBODY = "no site was also trained alone (alone = true under [federated], where the rows are at hand)"
PRIVATE = "no site was also trained alone: such a model would tell of the site's rows without noise"
NO_INTERVAL = "R² of a site: its rows stayed there, so noise cannot be told from a difference"
METHOD = "Newcombe 95 % interval as of separate samples, simultaneous over the sites"
COUNTED = "sites whose whole interval lies above 0, the intervals simultaneous over the sites"
COLUMNS = ("Site", "Held-out rows", "Alone", "Together", "Gain alone", "Low", "High", "Better alone")
LESS = "Sites better alone are counted beyond noise only: with few held-out rows a real advantage may stay unseen."


@dataclass(frozen=True)
class Pair:
    """A site's accuracy (R² for regression) alone and together, on the same held-out rows; 0 rows: unknown."""

    site: str
    alone: float
    together: float
    rows: int


def evidence(ledger: Ledger, seen: Seen, task: str) -> Evidence:
    """What each site would gain alone, and how many sites would, beyond noise."""
    pairs = tuple(_pairs(seen, task))
    if not pairs:
        reason = untold(seen, (each.name for each in seen.told.sites if each.alone is not None), _why(ledger, seen))
        return Evidence((undefined(COUNT, reason), undefined(SHARE, reason)))
    known = tuple(each for each in pairs if each.rows and task != "regression")
    bare = tuple(each for each in pairs if not each.rows or task == "regression")
    gains = sorted([*_gains(known), *_bare(bare, task)], key=lambda each: -(each.value or 0.0))
    found = [each for each in gains if better(each)]
    listing = tuple(gains[:MOST_LISTED])
    caveats: tuple[str, ...] = (LESS,) if known else ()
    caveats += (f"Not held against noise: {listed(each.site for each in bare)}.",) if bare and known else ()
    counts = tuple(_counts(known, found, NO_INTERVAL if task == "regression" else UNKNOWN_ROWS))
    shapes = (*_shapes(gains, found, len(known)), _table(pairs, gains))
    return Evidence((*counts, *listing), shapes, caveats=caveats)


def better(gain: Measurement) -> bool:
    """Whether a site does better alone beyond noise."""
    return gain.low is not None and gain.low > 0


def _why(ledger: Ledger, seen: Seen) -> str:
    """Why nobody was trained alone: rows that were promised something may not be."""
    promised = ledger.privacy is not None or any(each.epsilon is not None for each in seen.told.sites)
    return PRIVATE if promised else NOBODY


def _pairs(seen: Seen, task: str) -> Iterator[Pair]:
    few, rows = seen.small, seen.held_out
    for each in seen.told.sites:
        alone, together = finite(each.alone), finite(each.together)
        if alone is None or together is None or each.name in few:
            continue
        if task == "regression" or (0 <= alone <= 1 and 0 <= together <= 1):
            yield Pair(each.name, alone, together, rows.get(each.name, 0))


def _gains(known: Sequence[Pair]) -> Iterator[Measurement]:
    if not known:
        return
    rows = np.array([each.rows for each in known])
    alone, together = (right_of([getattr(each, key) for each in known], rows) for key in ("alone", "together"))
    bounds = advantages(alone, together, rows)
    for each, low, high in zip(known, bounds.low.tolist(), bounds.high.tolist(), strict=True):
        value = each.alone - each.together
        yield lift(Estimate(value, min(low, value), max(high, value), each.rows, METHOD), GAIN, facet=_of(each))


def _bare(pairs: Sequence[Pair], task: str) -> Iterator[Measurement]:
    reason = NO_INTERVAL if task == "regression" else UNKNOWN_ROWS
    for each in pairs:
        found = Estimate(each.alone - each.together, None, None, each.rows, "", reason)
        yield lift(found, GAIN, facet=_of(each))


def _of(pair: Pair) -> dict[str, str]:
    return {"site": pair.site}


def _counts(known: Sequence[Pair], found: Sequence[Measurement], reason: str) -> Iterator[Measurement]:
    """How many sites, and which share of them; the share's interval takes these sites as a sample of such sites.

    The smallest rows are those of the sites found, or of all where none was: a claim that none is rests on them all.
    """
    if not known:
        yield from (undefined(name, reason) for name in (COUNT, SHARE))
        return
    rows, count = sum(each.rows for each in known), float(len(found))
    smallest = min(each.rows for each in (found or known))
    yield lift(Estimate(count, count, count, rows, COUNTED), COUNT, unit="sites", smallest=smallest)
    share = proportion(len(found), len(known))
    yield lift(
        replace(share, rows=rows, method=f"{share.method} over {len(known)} sites"),
        SHARE,
        unit="share",
        smallest=smallest,
    )


def _shapes(gains: Sequence[Measurement], found: Sequence[Measurement], known: int) -> tuple[Exhibit, ...]:
    names = f"{len(found)} of {known}" + (f" ({joined_names(found)})" if found else "")
    title = (
        f"Sites that do better alone, beyond noise: {names}" if known else "Gain of each site alone, without interval"
    )
    return (replace(bars(title, gains[:MOST_LISTED], "site", reference=0.0), alt=_told(gains)),)


def _table(pairs: Sequence[Pair], gains: Sequence[Measurement]) -> Table:
    """One line a site, the largest gain first."""
    places = {each.site: each for each in pairs}
    rows = tuple(_row(places[each.facet["site"]], each) for each in gains[:MOST_LISTED])
    title = f"Alone and together, site by site: {len(gains):,} sites"
    title += f"; the {MOST_LISTED} that gain most are listed" if len(gains) > MOST_LISTED else ""
    alt = (
        "Accuracy (R² for regression) of a model of the site's own rows and of the common one, on the same held-out "
        "rows of the site; the gain's interval is simultaneous over the sites."
    )
    return Table(title, alt, COLUMNS, rows)


def _row(pair: Pair, gain: Measurement) -> tuple[str | int | float | None, ...]:
    verdict = None if gain.low is None else "yes" if better(gain) else "no"
    return (pair.site, pair.rows or None, pair.alone, pair.together, gain.value, gain.low, gain.high, verdict)


def _told(gains: Sequence[Measurement]) -> str:
    told = "; ".join(f"{each.facet['site']} {each.value or 0.0:+.3g}" for each in gains[:MOST_LISTED])
    return f"Trained alone less the common model, on the site's own held-out rows; above 0 alone is better. {told}."
