"""Every criterion before and after: how far the groups are apart, and by how much that changed on the same rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rai.audits._lift import lift, lift_gap
from rai.audits.fairness.criteria import Criterion, difference
from rai.audits.mitigation.pairs import Decision, Pair
from rai.evidence import Measurement
from rai.stats.arrays import Floats
from rai.stats.bootstrap import DRAWS
from rai.stats.changes import gap_change, matched_difference, matched_draws
from rai.stats.confusion import quotient
from rai.stats.estimates import Estimate, Gap
from rai.stats.proportions import proportion
from rai.subject import Ints

ALIKE = "both models decide alike on every row"
WHEN = ("before", "after", "change")


@dataclass(frozen=True)
class Change:
    """One number before and after, and by how much it changed. `key` is its name in the ledger's trials."""

    key: str
    title: str
    before: Measurement
    after: Measurement
    change: Measurement


def accuracy_change(pair: Pair) -> Change:
    """The share of all rows decided right."""
    labels = pair.after.data.labels
    right = [np.asarray(each.predicted == labels) for each in (pair.before, pair.after)]
    before, after = (proportion(int(each.sum()), len(each)) for each in right)
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return changed("accuracy", "Accuracy", (before, after), matched_difference(gained, lost, len(right[0])))


def changed(name: str, title: str, ends: tuple[Estimate, Estimate], change: Estimate) -> Change:
    """A share of all rows before and after, as measurements."""
    before, after = (lift(each, f"{name}_{when}") for each, when in zip(ends, WHEN[:2], strict=True))
    return Change(name, title, before, after, lift(change, f"{name}_change"))


def gap_changes(decision: Decision, rng: np.random.Generator) -> Iterator[Change]:
    """The gap of every criterion before and after, and its change with an interval that keeps the rows matched."""
    drawn = matched_draws(decision.counts, DRAWS, rng) if decision.counts.sum() else None
    for criterion in decision.criteria:
        ends = [difference(criterion, cells, decision.groups, rng) for cells in (decision.before, decision.after)]
        yield as_change(named(criterion), ends, _change(criterion, decision, ends, drawn), decision.facet)


def as_change(names: tuple[str, str], ends: list[Gap], change: Estimate, facet: Mapping[str, str]) -> Change:
    """Gaps before and after and their change, as measurements; `names` are the measurement's and the title."""
    name, title = names
    before, after = (lift_gap(gap, f"{name}_{when}", facet=facet) for gap, when in zip(ends, WHEN[:2], strict=True))
    moved = lift(change, f"{name}_change", facet=facet, smallest=ends[1].smallest)
    return Change(f"{name}_difference", title, before, after, moved)


def named(criterion: Criterion) -> tuple[str, str]:
    """The criterion's measurement and title; "accuracy" alone is the share of all rows decided right."""
    if criterion.name == "accuracy":
        return "accuracy_gap", "Accuracy, largest difference"
    return criterion.name, criterion.title


def _change(criterion: Criterion, decision: Decision, ends: list[Gap], drawn: Ints | None) -> Estimate:
    rows = int(decision.counts.sum())
    lacking = next((each for each in ends if each.value is None), None)
    if lacking is not None or drawn is None:
        return Estimate(None, None, None, rows, "", lacking.reason if lacking else "no rows")
    if decision.alike:
        return Estimate(0.0, 0.0, 0.0, rows, ALIKE)
    return gap_change(_rates(criterion, decision.counts), _rates(criterion, drawn), rows)


def _rates(criterion: Criterion, counts: Ints) -> Floats:
    """The criterion's rates before and after, (..., 2, families, groups), from counts (..., groups, 2, 2, 2)."""
    cells = np.stack([counts.sum(axis=-1), counts.sum(axis=-2)], axis=-4)
    flat = cells.reshape(*cells.shape[:-2], 4)
    rates = [
        quotient(flat[..., list(rate.hits)].sum(axis=-1), flat[..., list(rate.base)].sum(axis=-1))
        for rate in criterion.rates
    ]
    return np.stack(rates, axis=-2)
