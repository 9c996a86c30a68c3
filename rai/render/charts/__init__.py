"""Charts drawn as SVG on the server: one file a shape; they show in print, in the dark and without scripts."""

from markupsafe import Markup

from rai.evidence import Bars, Curve, Exhibit, Heat, Overlay, Scatter, Tokens
from rai.render.charts import bars, curve, heat, overlay, scatter, tokens


def draw(exhibit: Exhibit) -> Markup | None:
    """The chart of an exhibit, or None for those that are words (tables, text) or hold nothing to draw."""
    found: Markup | None = None
    match exhibit:
        case Bars() if exhibit.labels:
            found = bars.draw(exhibit)
        case Curve() if any(line.x for line in exhibit.lines):
            found = curve.draw(exhibit)
        case Scatter() if any(map(any, exhibit.counts)):
            found = scatter.draw(exhibit)
        case Heat() if exhibit.row_labels and exhibit.column_labels:
            found = heat.draw(exhibit)
        case Overlay() if any(exhibit.picture) and any(exhibit.values):
            found = overlay.draw(exhibit)
        case Tokens() if exhibit.tokens:
            found = tokens.draw(exhibit)
    return found


def note(exhibit: Exhibit) -> str:
    """What a reader has to know to read the chart of an exhibit; empty where it has none."""
    found = ""
    match exhibit:
        case Bars():
            found = bars.note(exhibit)
        case Curve():
            found = curve.note(exhibit)
        case Scatter():
            found = scatter.note(exhibit)
        case Heat():
            found = heat.note(exhibit)
        case Overlay():
            found = overlay.note(exhibit)
        case Tokens():
            found = tokens.note(exhibit)
    return found
