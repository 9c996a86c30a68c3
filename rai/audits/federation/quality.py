"""How well the common model serves each site: accuracy by site, how far sites are apart, and the worst of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from rai.audits._exhibits import bars, spread
from rai.audits._lift import lift, lift_gap, undefined
from rai.audits.federation.contrasts import shortfall, worst_share
from rai.audits.federation.replies import MOST_LISTED, TOO_MANY_ROWS, UNKNOWN_ROWS, Score, Seen, listed, scores, untold
from rai.evidence import Evidence, Measurement
from rai.stats.estimates import Estimate
from rai.stats.gaps import rate_gap
from rai.stats.proportions import proportion
from rai.stats.shares import mean_rate
from rai.subject import Ints

OVERALL = ("mean_site_accuracy", "worst_site_accuracy", "worst_site_shortfall", "site_accuracy_difference")
NOBODY = "no site sent an accuracy that can be read in the last round"
SINGLE = "the accuracy of a single site may be told, and there is none to hold it against"
NO_INTERVAL = "R² of a site: its rows stayed there, so there is no interval"
MOST_PAIRS, DRAWS, FEWEST_DRAWS = 20_000_000, 2000, 200
MOST_ROWS = 10**9


def evidence(seen: Seen, task: str, rng: np.random.Generator) -> Evidence:
    """Accuracy of the common model in the last round: of each site, on average, worst, and apart."""
    last = seen.rounds[-1:]
    found = tuple(score for each in last for score in scores(seen, each, task))
    each = sorted((_measured(score, task) for score in found), key=lambda one: one.value or 0.0)
    what = "R²" if task == "regression" else "Accuracy"
    title = f"{what} of the common model by site in the last round: {spread(each, 'site')}"
    drawn = bars(title, each[:MOST_LISTED], "site", reference=_mean(found))
    chart = (replace(drawn, alt=f"The line is the mean over sites. {drawn.alt}"),) if found else ()
    overall = _overall(found, rng) if found and task != "regression" else _nothing(seen, found)
    return Evidence((*each[:MOST_LISTED], *overall), chart, caveats=tuple(_caveats(seen, found)))


def _measured(score: Score, task: str) -> Measurement:
    facet = {"site": score.site}
    if task == "regression":
        return Measurement("site_r2", score.accuracy, None, None, score.rows, facet, reason=NO_INTERVAL)
    return lift(estimate_of(score.accuracy, score.rows), "site_accuracy", facet=facet, unit="share")


def estimate_of(share: float, rows: int) -> Estimate:
    """A share that a site told with Wilson's interval; none where nobody says of how many rows."""
    if not rows:
        return Estimate(share, None, None, 0, "", UNKNOWN_ROWS)
    found = proportion(right_of([share], [rows]).item(), rows)
    low, high = (share if bound is None else bound for bound in (found.low, found.high))
    return replace(found, value=share, low=min(low, share), high=max(high, share))


def right_of(shares: Sequence[float], rows: Sequence[int] | Ints) -> Ints:
    """How many rows were predicted right, from the shares that sites told."""
    return np.asarray(np.rint(np.asarray(shares) * np.asarray(rows)), dtype=np.int64)


def _mean(found: Sequence[Score]) -> float | None:
    return float(np.mean([each.accuracy for each in found])) if found else None


def _nothing(seen: Seen, found: Sequence[Score]) -> Iterator[Measurement]:
    sent = (name for one in seen.rounds[-1:] for name, reply in one.replies.items() if reply.accuracy is not None)
    reason = NO_INTERVAL if found else untold(seen, sent, NOBODY)
    yield from (undefined(name, reason) for name in OVERALL)


def _overall(found: Sequence[Score], rng: np.random.Generator) -> Iterator[Measurement]:
    """Mean, worst, shortfall and gap; without rows they are told, and that there is no interval."""
    if not all(each.rows for each in found) or sum(each.rows for each in found) >= MOST_ROWS:
        yield from _without_interval(found)
        return
    rows = np.array([each.rows for each in found], dtype=np.int64)
    right = right_of([each.accuracy for each in found], rows)
    worst = {"site": found[int((right / rows).argmin())].site}
    smallest = int(rows.min())
    yield lift(mean_rate(right, rows), "mean_site_accuracy", unit="share", smallest=smallest)
    yield lift(worst_share(right, rows), "worst_site_accuracy", facet=worst, unit="share", smallest=smallest)
    if len(found) < 2:
        yield from (undefined(name, SINGLE) for name in OVERALL[2:])
        return
    yield lift(shortfall(right, rows), "worst_site_shortfall", facet=worst, smallest=smallest)
    names = [each.site for each in found]
    gap = rate_gap(right, rows, rng, draws=_draws(len(rows)), names=names)
    yield lift_gap(gap, "site_accuracy_difference", facet={})


def _draws(sites: int) -> int:
    """Fewer draws where many sites make many pairs."""
    return int(np.clip(MOST_PAIRS // sites**2, FEWEST_DRAWS, DRAWS))


def _without_interval(found: Sequence[Score]) -> Iterator[Measurement]:
    known = np.array([each.accuracy for each in found])
    values = (known.mean(), known.min(), known.mean() - known.min(), np.ptp(known))
    reason = UNKNOWN_ROWS if not all(each.rows for each in found) else TOO_MANY_ROWS
    rows = sum(each.rows for each in found)
    worst = {"site": found[int(known.argmin())].site}
    facets: tuple[dict[str, str], ...] = ({}, worst, worst, {})
    for name, value, facet in zip(OVERALL, values, facets, strict=True):
        if name in OVERALL[2:] and len(found) < 2:
            yield undefined(name, SINGLE)
            continue
        yield lift(Estimate(float(value), None, None, rows, "", reason), name, facet=facet)


def _caveats(seen: Seen, found: Sequence[Score]) -> Iterator[str]:
    few, answered = seen.small, {each.site for each in found}
    if few:
        yield f"Left out, fewer than 5 rows or held-out rows: {listed(sorted(few))}."
    silent = [name for name in seen.names if name not in answered and name not in few]
    if silent and found:
        yield f"Sites without an accuracy in the last round: {listed(silent)}."
    if len(found) > MOST_LISTED:
        yield f"Of {len(found):,} sites the {MOST_LISTED} with the lowest figures are listed one by one."


def joined_names(found: Iterable[Measurement]) -> str:
    """The sites that measurements speak of, in words."""
    return listed(each.facet["site"] for each in found)
