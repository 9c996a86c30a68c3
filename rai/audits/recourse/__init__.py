"""What would a person have to change to be decided differently, and is that the same for every group?"""

from collections.abc import Sequence

import numpy as np

from rai.audits._composition import NO_GROUPS
from rai.audits._exhibits import bars, spread
from rai.audits._lift import joined, large_enough, lift, lift_gap, undefined
from rai.audits.recourse.exhibits import change_exhibits
from rai.audits.recourse.search import Sought, fixed_names, sought
from rai.evidence import Evidence, Measurement
from rai.stats.bootstrap import DRAWS, interval
from rai.stats.estimates import Estimate, undefined_gap
from rai.stats.gaps import rate_gap
from rai.stats.means import mean_estimate, mean_gap
from rai.stats.proportions import proportion
from rai.subject import Bools, Floats, Groups, Subject

NEEDS = ("features",)
MEASURES = (
    "recourse_found",
    "recourse_cost",
    "recourse_cost_median",
    "recourse_found_gap",
    "recourse_cost_gap",
)
FEWEST = 20
"""Rows a group must have before it is compared."""
UNIT = "MAD"
CAVEATS = (
    "A change that turns the model's decision need not be within a person's reach, and need not change the outcome.",
    "Columns are changed one beside the other; what a change of one would bring about in others is not known here.",
    "The search can miss a change of several columns: costs are upper bounds, and shares found lower ones.",
)


def measure(subject: Subject) -> Evidence:
    """Search for the nearest change that turns each of a sample of unfavourable decisions, and compare groups."""
    problem = _problem(subject)
    found = None if problem else sought(subject)
    if found is None:
        reason = problem or "no row is decided unfavourably"
        return Evidence(tuple(undefined(name, reason) for name in MEASURES))
    parts = (_overall(subject, found), Evidence((), change_exhibits(subject, found)), _by_group(subject, found))
    whole = joined(parts, _method(subject, found))
    return Evidence(
        whole.measurements, whole.exhibits, whole.method, (*_held(subject, found), *CAVEATS, *whole.caveats)
    )


def _problem(subject: Subject) -> str:
    """Why nothing is searched; empty where it can be."""
    if subject.card.task != "binary":
        return "only a decision between two classes can be turned"
    if subject.data.kind != "table":
        return "only the columns of a table are changed"
    return "" if subject.data.players else "the data names no columns"


def _overall(subject: Subject, found: Sought) -> Evidence:
    changes = found.changes
    cost = changes.cost[changes.found]
    rng = subject.rng("recourse median")
    return Evidence(
        (
            lift(proportion(int(changes.found.sum()), len(found.rows)), "recourse_found", unit="share"),
            lift(_mean(cost), "recourse_cost", unit=UNIT),
            lift(_median(cost, rng), "recourse_cost_median", unit=UNIT),
        )
    )


def _mean(cost: Floats) -> Estimate:
    return mean_estimate(cost, least=0.0) if len(cost) else _none(len(cost))


def _median(cost: Floats, rng: np.random.Generator) -> Estimate:
    """The median with a percentile interval of resampled rows."""
    if not len(cost):
        return _none(0)
    drawn = np.median(cost[rng.integers(len(cost), size=(DRAWS, len(cost)))], axis=1)
    return interval(float(np.median(cost)), drawn, len(cost), level=0.95)


def _none(rows: int) -> Estimate:
    return Estimate(None, None, None, rows, "", "no change that turns the decision was found")


def _by_group(subject: Subject, found: Sought) -> Evidence:
    attributes = tuple(subject.data.groups.values())
    if not attributes:
        return Evidence(tuple(undefined(name, NO_GROUPS) for name in ("recourse_found_gap", "recourse_cost_gap")))
    sampled = [Groups(each.name, each.levels, each.codes[found.rows]) for each in attributes]
    return joined([_attribute(subject, found, each) for each in sampled], "")


def _attribute(subject: Subject, found: Sought, groups: Groups) -> Evidence:
    """Share found and mean cost of every group with their gaps; groups of fewer than 20 rows are not compared."""
    turned, facet = found.changes.found, {"attribute": groups.name}
    rng = subject.rng(f"recourse {groups.name}")
    shares = [
        lift(proportion(int(turned[mask].sum()), int(mask.sum())), "recourse_found", facet=each, unit="share")
        for mask, each in _levels(groups)
    ]
    costs = [
        lift(_mean(found.changes.cost[mask & turned]), "recourse_cost", facet=each, unit=UNIT)
        for mask, each in _levels(groups)
    ]
    title = f"Mean cost of the nearest change by {groups.name}: {spread(costs, 'group')}"
    gaps = (_found_gap(turned, groups, rng, facet), _cost_gap(found.changes.cost, turned, groups, rng))
    return Evidence((*shares, *costs, *gaps), (bars(title, costs, "group"),), caveats=_left_out(groups))


def _levels(groups: Groups) -> list[tuple[Bools, dict[str, str]]]:
    return [(groups.mask(i), {"attribute": groups.name, "group": level}) for i, level in enumerate(groups.levels)]


def _found_gap(turned: Bools, groups: Groups, rng: np.random.Generator, facet: dict[str, str]) -> Measurement:
    kept = large_enough(groups, least=FEWEST)
    masks = [kept.mask(level) for level in range(len(kept.levels))]
    if len(masks) < 2:
        gap = undefined_gap(f"fewer than two groups of {FEWEST} rows or more among those tried", len(turned))
    else:
        counts = [int(turned[mask].sum()) for mask in masks], [int(mask.sum()) for mask in masks]
        gap = rate_gap(*counts, rng, names=kept.levels)
    return lift_gap(gap, "recourse_found_gap", facet=facet, unit="share")


def _cost_gap(cost: Floats, turned: Bools, groups: Groups, rng: np.random.Generator) -> Measurement:
    kept = large_enough(groups, among=turned, least=FEWEST)
    known = kept.codes >= 0
    if len(kept.levels) < 2:
        reason = f"fewer than two groups with a change found for {FEWEST} rows or more"
        gap = undefined_gap(reason, int(known.sum()))
    else:
        gap = mean_gap(cost[known], kept.codes[known], len(kept.levels), rng, names=kept.levels)
    return lift_gap(gap, "recourse_cost_gap", facet={"attribute": groups.name}, unit=UNIT)


def _left_out(groups: Groups) -> tuple[str, ...]:
    small = [level for level, count in zip(groups.levels, groups.counts, strict=True) if count < FEWEST]
    what = f"Left out of the gaps of recourse by {groups.name}, fewer than {FEWEST} rows among those tried"
    return (f"{what}: {', '.join(small)}.",) if small else ()


def _held(subject: Subject, found: Sought) -> Sequence[str]:
    """Which columns were not to be changed, so that a reader can object."""
    names = fixed_names(subject, found.freedoms)
    if names:
        return (f"Held fixed, as sensitive or as the card says: {', '.join(names)}.",)
    return ("No column was held fixed: the card calls none immutable, and no sensitive column is an input.",)


def _method(subject: Subject, found: Sought) -> str:
    return (
        f"Unfavourable is every decision but {subject.card.classes[subject.positive]}: {found.refused:,} of "
        f"{subject.data.rows:,} test rows, of which {len(found.rows):,} were tried (at random where there are more "
        "than 200). For each the cheapest change of at most four columns that turns the decision was searched, within "
        f"what the card says can be changed and among values that {found.background.rows:,} rows hold: 12 quantiles of "
        "a number, the 20 commonest categories. The cost is the sum over changed columns of the change in median "
        "absolute deviations (MAD) for a number, and 1 for a category. Costs are over the rows for which a change was "
        f"found. The model scored {found.changes.rows_scored:,} changed rows. Mean costs have t intervals; gaps are "
        "the largest less the smallest group value, p from 2,000 permutations of the groups."
    )
