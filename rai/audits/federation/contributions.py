"""What each site brought to the common model: Shapley values of its updates (Song, Tong and Wei 2019)."""

from dataclasses import replace

from rai.audits._exhibits import bars, number, spread
from rai.audits._lift import undefined
from rai.audits.federation.replies import MOST_LISTED, Seen, finite
from rai.evidence import Evidence, Measurement

ONE, ALL = "site_contribution", "contribution_sum"
NONE = "the ledger states no contributions (contributions = true under [federated], 12 sites at most, rows at hand)"
SMALL = "a site of fewer than 5 rows or held-out rows is among them"
SINGLE = "valued once, on one set of held-out rows: the error of sampling is not known"
METHOD = "exact Shapley value of the site's updates, as the ledger states it"


def evidence(seen: Seen) -> Evidence:
    """Each site's value, most first, and their sum: what all updates together gained."""
    few = seen.small
    known = {each.name: value for each in seen.told.sites if (value := finite(each.contribution)) is not None}
    if not known:
        return Evidence((undefined(ONE, NONE), undefined(ALL, NONE)))
    ranked = sorted(known.items(), key=lambda pair: -pair[1])[:MOST_LISTED]
    each = [_told(ONE, value, {"site": name}) for name, value in ranked if name not in few]
    total = sum(known.values())
    whole = undefined(ALL, SMALL) if few & set(known) else _told(ALL, total, {})
    if not each:
        return Evidence((whole,))
    sum_told = f"; in sum {number(total)}" if whole.value is not None else ""
    chart = bars(f"Contribution by site: {spread(each, 'site')}{sum_told}", each, "site", reference=0.0)
    told_alt = f"Shapley values: what each site's updates added, on average over all orders of joining. {chart.alt}"
    below = tuple(name for name, value in ranked if value < 0 and name not in few)
    caveats = ("A contribution below 0 may be chance: these values have no interval.",) if below else ()
    return Evidence((*each, whole), (replace(chart, alt=told_alt, lows=(), highs=(), counts=()),), caveats=caveats)


def _told(name: str, value: float, facet: dict[str, str]) -> Measurement:
    return Measurement(name, value, None, None, 0, facet, method=METHOD, reason=SINGLE)
