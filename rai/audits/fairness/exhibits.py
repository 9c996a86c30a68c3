"""Tables and charts of the fairness section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._exhibits import bars, figure, number, percent, spread
from rai.audits._lift import hidden, shown
from rai.audits.fairness.criteria import Rate
from rai.evidence import Bars, Curve, Line, Measurement, Table
from rai.stats.significance import holm
from rai.subject import Floats, Groups

BINS = 20
FEWEST_FOR_A_CURVE = 100
MOST_CURVES = 8
GAP_COLUMNS = (
    "Criterion",
    "Difference",
    "Low",
    "High",
    "By chance",
    "Corrected",
    "p",
    "p (Holm)",
    "Detectable",
    "Ratio",
    "Ratio low",
    "Ratio high",
    "Highest",
    "Lowest",
)
MEAN_GAP_COLUMNS = ("Gap", "Difference", "Low", "High", "By chance", "Corrected", "p", "Detectable")
IMPACT_COLUMNS = (
    "Group",
    "Rows",
    "Selected",
    "Impact ratio",
    "Low",
    "High",
    "Fisher p",
    "p (Holm)",
    "Std. deviations",
    "One selection changes the side of 0.8",
)
Cell = str | int | float | None


@dataclass(frozen=True)
class Compared:
    """One criterion held across the groups of an attribute."""

    title: str
    difference: Measurement
    ratio: Measurement
    highest: str
    lowest: str


@dataclass(frozen=True)
class Impact:
    """One group's selection rate against the best-off group's."""

    group: str
    best: str
    measurement: Measurement
    rows: int
    selected: int
    p: float
    z: float | None
    flips: bool
    holm_p: float = 1.0

    def adjusted(self, p: float) -> "Impact":
        """The same comparison with its p-value adjusted for the number of groups."""
        return replace(self, holm_p=p)


def about(facet: Mapping[str, str]) -> str:
    """Say in words what a facet speaks of: "sex", or "sex, class 3"."""
    named = f", class {facet['class']}" if "class" in facet else ""
    return f"{facet['attribute']}{named}"


def gap_table(facet: Mapping[str, str], compared: Sequence[Compared]) -> Table:
    """One row a criterion: difference, what chance would show, p, what could have been seen, ratio."""
    tested = [each for each in compared if each.difference.p is not None]
    adjusted = dict(zip([each.title for each in tested], _holm(tested), strict=True))
    return Table(
        f"Gaps between groups by {about(facet)}: {widest(compared)}",
        f"For each criterion the difference and ratio between the groups of {about(facet)}, with intervals.",
        GAP_COLUMNS,
        tuple(_gap_row(each, adjusted.get(each.title)) for each in compared),
    )


def widest(compared: Sequence[Compared]) -> str:
    """The criterion whose difference is the largest, in words."""
    known = [each for each in compared if each.difference.value is not None]
    if not known:
        return "not measured"
    most = max(known, key=lambda each: each.difference.value or 0.0)
    size = f"{most.title}, {number(100 * (most.difference.value or 0.0))} points"
    return f"largest in {size} ({most.highest} over {most.lowest})" if most.difference.value else "none"


def mean_gap_table(facet: Mapping[str, str], compared: Sequence[tuple[str, Measurement]]) -> Table:
    """One row a gap of means: difference, what chance would show, p, what could have been seen."""
    return Table(
        f"Gaps between groups by {about(facet)}: mean residuals {figure(compared[0][1].value)} apart",
        "; ".join(f"{what}: {figure(found.value)}" for what, found in compared) + ".",
        MEAN_GAP_COLUMNS,
        tuple((what, *_mean_gap(found)) for what, found in compared),
    )


def _mean_gap(found: Measurement) -> tuple[Cell, ...]:
    return (found.value, found.low, found.high, found.chance, found.corrected, found.p, found.detectable)


def _holm(tested: Sequence[Compared]) -> list[float]:
    return [float(p) for p in holm([each.difference.p or 0.0 for each in tested])] if tested else []


def _gap_row(each: Compared, adjusted: float | None) -> tuple[Cell, ...]:
    apart, share = each.difference, each.ratio
    numbers = (apart.value, apart.low, apart.high, apart.chance, apart.corrected, apart.p, adjusted, apart.detectable)
    return (each.title, *numbers, share.value, share.low, share.high, each.highest, each.lowest)


def rate_chart(rate: Rate, facet: Mapping[str, str], found: Sequence[Measurement]) -> Bars:
    """Dots with intervals: one group each."""
    return bars(f"{rate.title} by {about(facet)}: {spread(found, 'group')}", found, "group")


def impact_table(facet: Mapping[str, str], impacts: Sequence[Impact]) -> Table:
    """Four-fifths comparison with its tests of significance (29 CFR 1607.4(D))."""
    lead = f"each group against {impacts[0].best}, the highest selection rate"
    nobody = impacts[0].measurement.value is None
    return Table(
        f"Four-fifths comparison by {about(facet)}: {'nobody is selected, so no ratio' if nobody else lead}",
        "Impact ratio of each group with interval, Fisher's exact test, standard deviations, and whether one selection "
        "moved between the two groups would change the side of 0.8.",
        IMPACT_COLUMNS,
        tuple(_impact_row(each) for each in impacts),
    )


def _impact_row(each: Impact) -> tuple[Cell, ...]:
    found = each.measurement
    if hidden(each.rows):
        return (each.group, "under 5", None, None, None, None, None, None, None, "suppressed")
    flips = "yes" if each.flips else "no"
    counts = (shown(each.rows), "under 5" if hidden(each.selected) else each.selected)
    return (each.group, *counts, found.value, found.low, found.high, each.p, each.holm_p, each.z, flips)


def score_chart(groups: Groups, probabilities: Floats | None, positive: int) -> tuple[Curve, ...]:
    """How the predicted probability is spread in each group, in twenty bins; small groups are left out."""
    large = [i for i, count in enumerate(groups.counts) if count >= FEWEST_FOR_A_CURVE][:MOST_CURVES]
    if probabilities is None or not large:
        return ()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    middle = tuple(float(x) for x in (edges[:-1] + edges[1:]) / 2)
    chances = {groups.levels[i]: probabilities[groups.mask(i), positive] for i in large}
    lines = tuple(Line(name, middle, _shares(each, edges)) for name, each in chances.items())
    means = sorted((float(each.mean()), name) for name, each in chances.items())
    ends = [f"{percent(mean)} ({name})" for mean, name in (means if len(means) == 1 else (means[0], means[-1]))]
    told = "; ".join(f"{name} {percent(mean)}" for mean, name in means)
    return (
        Curve(
            f"Predicted probability by {groups.name}: on average {' to '.join(ends)}",
            f"Share of each group's rows in twenty bins of the predicted probability; bins of 1 to 4 rows are drawn as "
            f"empty, groups under {FEWEST_FOR_A_CURVE} rows not at all. On average {told}.",
            "predicted probability",
            "share of the group",
            lines,
        ),
    )


def _shares(chances: Floats, edges: Floats) -> tuple[float, ...]:
    """Share of rows in each bin; bins of one to four rows are shown as 0."""
    counts, _ = np.histogram(chances, edges)
    return tuple(0.0 if hidden(int(count)) else float(count / len(chances)) for count in counts)
