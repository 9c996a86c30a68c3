"""Who is in the data: rows and labels of each group, in the test rows and in the reference."""

from collections.abc import Mapping

import numpy as np

from rai.audits._exhibits import bars, spread
from rai.audits._lift import SUPPRESSED, counted, hidden, lift, shown, undefined
from rai.evidence import Bars, Evidence, Measurement, Table
from rai.stats.means import mean_estimate
from rai.stats.proportions import proportion
from rai.subject import Bools, Data, Floats, Groups, Subject

NO_GROUPS = "the card names no sensitive column"
NO_LABELS = "the data holds no labels"


def attributes(subject: Subject) -> tuple[Groups, ...]:
    """Every sensitive attribute of the test rows, crossed in pairs where the card asks for it."""
    return subject.data.attributes(intersections=subject.card.data.intersections)


def composition(subject: Subject) -> Evidence:
    """Rows in all and of each group, and the share of rows whose group is unknown."""
    found = [counted("rows", subject.data.rows, subject.data.rows, unit="rows")]
    if not subject.data.groups:
        return Evidence((*found, *(undefined(name, NO_GROUPS) for name in GROUP_MEASURES)))
    unknown = [_unknown(each) for each in subject.data.groups.values()]
    sizes = [_sizes(each) for each in attributes(subject)]
    measured = [*found, *unknown, *(each for size in sizes for each in size)]
    pictured = sizes[: len(subject.data.groups)]  # crossed attributes stand in the table
    return Evidence(tuple(measured), (_table(subject), *(_bars(size) for size in pictured)))


GROUP_MEASURES = ("group_rows", "group_share", "unknown_group_share")


def _unknown(groups: Groups) -> Measurement:
    absent = int((groups.codes < 0).sum())
    facet = {"attribute": groups.name}
    if hidden(absent):
        return undefined("unknown_group_share", SUPPRESSED, facet=facet)
    return counted("unknown_group_share", absent / max(len(groups.codes), 1), len(groups.codes), facet=facet)


def _sizes(groups: Groups) -> list[Measurement]:
    known = int(groups.counts.sum())
    found = []
    for level, count in zip(groups.levels, groups.counts.tolist(), strict=True):
        facet = {"attribute": groups.name, "group": level}
        found.append(counted("group_rows", count, count, facet=facet, unit="rows"))
        found.append(lift(proportion(count, known), "group_share", facet=facet, unit="share", smallest=count))
    return found


def _bars(found: list[Measurement]) -> Bars:
    rows = [each for each in found if each.name == "group_rows"]
    attribute = rows[0].facet["attribute"] if rows else ""
    return bars(f"Test rows by {attribute}: {spread(rows, 'group')}", rows, "group")


def _table(subject: Subject) -> Table:
    lines = [line for each in attributes(subject) for line in _lines(each)]
    return Table(
        "Groups in the test rows",
        f"{len(lines)} group{'' if len(lines) == 1 else 's'} with their rows; fewer than 5 rows are not shown.",
        ("attribute", "group", "rows"),
        tuple(lines),
    )


def _lines(groups: Groups) -> list[tuple[str, str, int | None]]:
    lines = [(groups.name, level, shown(n)) for level, n in zip(groups.levels, groups.counts.tolist(), strict=True)]
    absent = int((groups.codes < 0).sum())
    return [*lines, (groups.name, "(unknown)", shown(absent))] if absent else lines


def label_rates(subject: Subject) -> Evidence:
    """How often each label occurs, or how large the label is on average: overall and in each group.

    Of several classes only in groups of single attributes, lest the numbers multiply beyond reading.
    """
    name = label_measure(subject)
    if subject.data.labels is None:
        return Evidence((undefined(name, NO_LABELS),))
    everyone = np.ones(subject.data.rows, dtype=np.bool_)
    found = [_rate(subject, name, series, everyone, {}) for series in _series(subject)]
    crossed = attributes(subject) if len(found) == 1 else tuple(subject.data.groups.values())
    grouped = [_group_rates(subject, name, groups) for groups in crossed]
    pictured = grouped[: len(subject.data.groups)] if len(found) == 1 else []
    shapes = [_rate_bars(each, found[0]) for each in pictured if each]
    return Evidence((*found, *(rate for each in grouped for rate in each)), tuple(shapes))


def label_measure(subject: Subject) -> str:
    """What is measured of labels: `base_rate`, or `mean_label` for a regression model."""
    return "mean_label" if subject.card.task == "regression" else "base_rate"


def _series(subject: Subject) -> tuple[str, ...]:
    """The classes whose rate is told: all of several, the positive one of two; one nameless series of values."""
    return subject.card.classes if subject.card.task == "multiclass" else ("",)


def _group_rates(subject: Subject, name: str, groups: Groups) -> list[Measurement]:
    return [
        _rate(subject, name, series, groups.mask(place), {"attribute": groups.name, "group": level})
        for series in _series(subject)
        for place, level in enumerate(groups.levels)
    ]


def _rate(subject: Subject, name: str, series: str, among: Bools, facet: Mapping[str, str]) -> Measurement:
    whole = {**facet, "class": series} if series else dict(facet)
    happened = outcome(subject, subject.data, series)[among]
    if name == "mean_label":
        return lift(mean_estimate(happened), name, facet=whole)
    return lift(proportion(int(happened.sum()), len(happened)), name, facet=whole, unit="share")


def outcome(subject: Subject, data: Data, series: str = "") -> Floats:
    """The labels as numbers to average: 1 where the class (the positive one if unnamed) holds, or the value itself."""
    labels = np.asarray(data.labels, dtype=np.float64)
    if subject.card.task == "regression":
        return labels
    wanted = subject.card.classes.index(series) if series else subject.positive
    return np.asarray(labels == wanted, dtype=np.float64)


def _rate_bars(found: list[Measurement], overall: Measurement) -> Bars:
    what = "Mean label" if overall.name == "mean_label" else "Share of positive labels"
    title = f"{what} by {found[0].facet['attribute']}: {spread(found, 'group')}"
    return bars(title, found, "group", reference=overall.value)


def representation(subject: Subject) -> Evidence:
    """How the groups' shares and labels in the test rows compare with the reference; a table only."""
    reference = subject.reference
    if reference is None or not subject.data.groups:
        return Evidence(())
    both = [(each, reference.groups[name]) for name, each in subject.data.groups.items() if name in reference.groups]
    lines = [line for here, there in both for line in _compared(subject, reference, here, there)]
    if not lines:
        return Evidence(())
    table = Table(
        "Groups in the test rows against the reference rows",
        "Share of each group and of its positive labels (mean label for regression), in test and reference rows.",
        ("attribute", "group", "share of test", "share of reference", "labels in test", "labels in reference"),
        tuple(lines),
    )
    return Evidence((), (table,))


def _compared(subject: Subject, reference: Data, here: Groups, there: Groups) -> list[tuple[str | float | None, ...]]:
    both = ((subject.data, here), (reference, there))
    return [
        (
            here.name,
            level,
            *(_share(groups, level) for _, groups in both),
            *(_mean(subject, data, _rows_of(groups, level)) for data, groups in both),
        )
        for level in dict.fromkeys((*here.levels, *there.levels))
    ]


def _rows_of(groups: Groups, level: str) -> Bools:
    return groups.mask(groups.levels.index(level)) if level in groups.levels else np.zeros(len(groups.codes), np.bool_)


def _share(groups: Groups, level: str) -> float | None:
    count = int(_rows_of(groups, level).sum())
    return None if shown(count) is None else count / max(int(groups.counts.sum()), 1)


def _mean(subject: Subject, data: Data, among: Bools) -> float | None:
    few = not among.any() or shown(int(among.sum())) is None
    if data.labels is None or subject.card.task == "multiclass" or few:
        return None
    return float(outcome(subject, data)[among].mean())
