"""Which columns the nearest changes are in, and how they change: over all rows together, never one person's."""

from dataclasses import dataclass

import numpy as np

from rai.audits._exhibits import bars, percent
from rai.audits._explained_cells import card_column, cell_text
from rai.audits._lift import lift
from rai.audits.recourse.search import Sought
from rai.evidence import SMALLEST_CELL, Exhibit, Measurement, Table
from rai.stats.proportions import proportion
from rai.subject import Floats, Subject

SHOWN = 12
VARIES = "varies"


@dataclass(frozen=True)
class _Changed:
    """One column: its position, and in what share of the changes found it is changed."""

    place: int
    share: Measurement


def change_exhibits(subject: Subject, found: Sought) -> tuple[Exhibit, ...]:
    """Bars of how often each column is changed, and a table of the typical change in each."""
    changed = _changed(subject, found)
    if not changed:
        return ()
    first = changed[0].share
    title = f"What would have to change: most often {first.facet['feature']}"
    lines = tuple(_line(subject, found, each) for each in changed)
    table = Table(
        f"Typical changes: {first.facet['feature']} in {percent(first.value or 0.0)} of the changes found",
        "For each column in what share of the changes found it is changed, and the median change of a number or the "
        f"commonest new category. Columns and categories of fewer than {SMALLEST_CELL} rows are withheld.",
        ("column", "share of the changes", "typical change"),
        lines,
    )
    return (bars(title, [each.share for each in changed], "feature"), table)


def _changed(subject: Subject, found: Sought) -> list[_Changed]:
    """The columns changed most often, those of fewer than five rows left out."""
    counts = found.changes.changed[found.changes.found].sum(axis=0)
    order = [int(place) for place in np.argsort(-counts, kind="stable")[:SHOWN] if counts[place] >= SMALLEST_CELL]
    return [_Changed(place, _share(subject, found, place)) for place in order]


def _share(subject: Subject, found: Sought, place: int) -> Measurement:
    count, total = int(found.changes.changed[:, place].sum()), int(found.changes.found.sum())
    facet = {"feature": subject.data.players[place].name}
    return lift(proportion(count, total), "changed", facet=facet, unit="share")


def _line(subject: Subject, found: Sought, changed: _Changed) -> tuple[str | float | None, ...]:
    return (changed.share.facet["feature"], changed.share.value, _typical(subject, found, changed.place))


def _typical(subject: Subject, found: Sought, place: int) -> str:
    """The median change of a number, or the category that most rows change to."""
    rows = np.flatnonzero(found.changes.sources[:, place] >= 0)
    sources, inputs = found.changes.sources[rows, place], list(found.data.players[place].inputs)
    column = card_column(subject, place)
    if found.freedoms[place].category or len(inputs) > 1:
        values, first, counts = np.unique(
            found.background.features[sources][:, inputs], axis=0, return_index=True, return_counts=True
        )
        best = int(counts.argmax())
        if len(values) and counts[best] >= SMALLEST_CELL:
            return f"to {cell_text(found.background, column, place, int(sources[first[best]]))}"
        return VARIES
    apart: Floats = found.background.features[sources, inputs[0]] - found.data.features[rows, inputs[0]]
    return f"{float(np.median(apart)) * (1.0 if column is None else column.scale):+.3g}"
