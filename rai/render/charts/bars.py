"""Values a label: bars from zero, or dots with their intervals (a forest plot). Labels stand above their marks.

Where intervals are held against zero, bars carry them.
"""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from rai.evidence import Bars
from rai.render.charts.svg import (
    WIDTH,
    Scale,
    apart,
    bounded,
    cut,
    number,
    numbers,
    picture,
    reach,
    segment,
    tag,
    wide,
    words,
)
from rai.render.words import UNMEASURED, column_places, figure

STEP = 36.0
INSET = 8.0
MOST = 24


def draw(bars: Bars) -> Markup:
    """The chart of at most `MOST` labels; the data table beside it holds the others."""
    shown = range(min(len(bars.labels), MOST))
    scale = _scale(bars)
    bottom = STEP * len(shown) + 6
    drawn = [*numbers(scale, bottom), _grid(apart(scale), scale, len(shown), "grid")]
    drawn += [_grid([bars.reference], scale, len(shown), "reference")] if bars.reference is not None else []
    for index in shown:
        drawn += [_heading(bars, index), _mark(bars, index, scale)]
    return picture(WIDTH, bottom + 24, f"{bars.title}. {bars.alt}", *drawn, class_="fit")


def note(bars: Bars) -> str:
    """What a reader has to know to read the chart."""
    told = ["Lines show the intervals."] if bars.lows and bars.highs else []
    told += [f"Upright line: {figure(bars.reference)}."] if bars.reference is not None else []
    told += [f"The first {MOST} of {len(bars.labels)}; the table has all."] if len(bars.labels) > MOST else []
    return " ".join(told)


def _scale(bars: Bars) -> Scale:
    forest = bool(bars.lows and bars.highs)
    values = [*bars.values[:MOST], *bars.lows[:MOST], *bars.highs[:MOST], bars.reference]
    low, high = reach(values, zero=not forest)
    return Scale(*bounded(low, high, values), INSET, WIDTH - INSET)


def _at(values: Sequence[float | None], index: int) -> float | None:
    return values[index] if index < len(values) else None


def _heading(bars: Bars, index: int) -> Markup:
    y = index * STEP + 17
    value = figure(_at(bars.values, index), column_places(bars.values))
    count = _at(bars.counts, index)
    rows = f"n {count:,.0f}" if count is not None else ""
    taken = wide(value) + (wide(rows) + 14 if rows else 0) + 14
    label = cut(bars.labels[index], WIDTH - taken)
    missing = "faint" if value == UNMEASURED else "value"
    parts = [words(label, 0, y), words(value, WIDTH, y, class_=missing, anchor="end")]
    parts += [words(rows, WIDTH - wide(value) - 14, y, class_="tick", anchor="end")] if rows else []
    return Markup().join(parts)


def _mark(bars: Bars, index: int, scale: Scale) -> Markup:
    value, low, high = (_at(each, index) for each in (bars.values, bars.lows, bars.highs))
    y = index * STEP + 29
    if value is None:
        return segment((INSET, WIDTH - INSET), (y, y), "absent")
    drawn = _bar(scale, value, y) if bars.reference == 0 or not bars.lows else _dot(scale(value), y)
    return drawn if low is None or high is None else _ended(drawn, whisker(scale, (low, high), y), bars)


def _ended(drawn: Markup, line: Markup, bars: Bars) -> Markup:
    """A line of an interval lies over a bar and under a dot."""
    return drawn + line if bars.reference == 0 else line + drawn


def _bar(scale: Scale, value: float, y: float) -> Markup:
    start, end = sorted((scale(0.0), scale(value)))
    return tag(
        "rect",
        x=start,
        y=y - 5,
        width=max(end - start, 1.0 if value else 0.0),
        height=10,
        class_="bar less" if value < 0 else "bar",
    )


def whisker(scale: Scale, ends: tuple[float, float], y: float) -> Markup:
    """An interval with its two end strokes."""
    low, high = (number(scale(each)) for each in ends)
    top, bottom, middle = number(y - 4), number(y + 4), number(y)
    path = f"M{low} {middle}H{high}M{low} {top}V{bottom}M{high} {top}V{bottom}"
    return tag("path", d=path, class_="whisker")


def _dot(x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=4.5, class_="dot")


def _grid(values: Iterable[float], scale: Scale, rows: int, class_: str) -> Markup:
    """Upright strokes beside each row's mark only, so that no line runs through words."""
    strokes = [f"M{number(scale(value))} {number(row * STEP + 22)}v14" for value in values for row in range(rows)]
    return tag("path", d="".join(strokes), class_=class_)
