"""Charts drawn as SVG on the server: one file a shape; they show in print, in the dark and without scripts."""

from markupsafe import Markup

from rai.evidence import Bars, Curve, Exhibit, Heat, Scatter
from rai.render.charts import bars, curve, heat, scatter


def draw(exhibit: Exhibit) -> Markup | None:
    """The chart of an exhibit, or None for those that are words (tables, text) or hold nothing to draw."""
    match exhibit:
        case Bars():
            return bars.draw(exhibit) if exhibit.labels else None
        case Curve():
            return curve.draw(exhibit) if any(line.x for line in exhibit.lines) else None
        case Scatter():
            return scatter.draw(exhibit) if any(map(any, exhibit.counts)) else None
        case Heat():
            return heat.draw(exhibit) if exhibit.row_labels and exhibit.column_labels else None
        case _:
            return None


def note(exhibit: Exhibit) -> str:
    """What a reader has to know to read the chart of an exhibit; empty where it has none."""
    match exhibit:
        case Bars():
            return bars.note(exhibit)
        case Curve():
            return curve.note(exhibit)
        case Scatter():
            return scatter.note(exhibit)
        case Heat():
            return heat.note(exhibit)
        case _:
            return ""
