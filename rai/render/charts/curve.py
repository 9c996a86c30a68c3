"""Lines over a common pair of axes, told apart by colour, dashes and markers; bands show their intervals."""

from markupsafe import Markup

from rai.evidence import Curve, Line
from rai.render.charts.svg import (
    LARGEST,
    WIDTH,
    Scale,
    below,
    beside,
    bounded,
    cut,
    margin,
    number,
    picture,
    reach,
    segment,
    tag,
    words,
)

TOP, BOTTOM, ROW = 26.0, 246.0, 20.0
MOST_LINES, MOST_POINTS, MOST_MARKERS = 8, 100, 12
COLOURS, DASHES = 6, 4
DIAGONAL = "y = x"


def draw(curve: Curve) -> Markup:
    """The chart of at most `MOST_LINES` lines; the data table beside it holds the others."""
    lines = [line for line in curve.lines if line.x][:MOST_LINES]
    x, y = _scales(curve, lines)
    drawn = [*beside(y, x.start, x.end), *below(x, TOP, BOTTOM), _frame(x)]
    drawn += _names(curve, x)
    drawn += [_diagonal(x, y)] if curve.diagonal else []
    drawn += [_band(line, index, x, y) for index, line in enumerate(lines) if line.low and line.high]
    drawn += [_drawn(line, index, x, y) for index, line in enumerate(lines)]
    legend = _legend(curve, lines)
    return picture(WIDTH, BOTTOM + 44 + ROW * len(legend), f"{curve.title}. {curve.alt}", *drawn, *legend, class_="fit")


def note(curve: Curve) -> str:
    """What a reader has to know to read the chart."""
    told = ["Bands show the intervals."] if any(line.low and line.high for line in curve.lines) else []
    more = len(curve.lines) - MOST_LINES
    return " ".join(told + ([f"The first {MOST_LINES} of {len(curve.lines)} lines."] if more > 0 else []))


def _scales(curve: Curve, lines: list[Line]) -> tuple[Scale, Scale]:
    across = [each for line in lines for each in line.x]
    upward = [each for line in lines for each in (*line.y, *line.low, *line.high)]
    if curve.diagonal:
        across = upward = [*across, *upward]
    low, high = bounded(*reach(upward), upward)
    left, right = bounded(*reach(across), across) if curve.diagonal else reach_exactly(across)
    return Scale(left, right, margin(low, high), WIDTH - 8), Scale(low, high, BOTTOM, TOP)


def reach_exactly(values: list[float]) -> tuple[float, float]:
    """The lowest and highest of the values, without air unless they are one."""
    low, high = min(values), max(values)
    return (low, high) if -LARGEST < low < high < LARGEST else reach(values)


def _frame(x: Scale) -> Markup:
    return segment((x.start, x.end), (BOTTOM, BOTTOM), "axis")


def _names(curve: Curve, x: Scale) -> list[Markup]:
    upward = words(cut(curve.y_label, WIDTH), 0, 13, class_="name")
    across = words(cut(curve.x_label, x.end - x.start), x.end, BOTTOM + 34, class_="name", anchor="end")
    return [upward, across]


def _diagonal(x: Scale, y: Scale) -> Markup:
    low, high = max(x.low, y.low), min(x.high, y.high)
    return segment((x(low), x(high)), (y(low), y(high)), "diagonal")


def _points(line: Line) -> range:
    """Positions of the points drawn: all, or at most `MOST_POINTS` spread evenly."""
    return range(0, len(line.x), max(1, -(-len(line.x) // MOST_POINTS)))


def _path(line: Line, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{number(x(line.x[i]))} {number(y(line.y[i]))}" for i in _points(line))


def _band(line: Line, index: int, x: Scale, y: Scale) -> Markup:
    there = [f"{number(x(line.x[i]))} {number(y(line.high[i]))}" for i in _points(line)]
    back = [f"{number(x(line.x[i]))} {number(y(line.low[i]))}" for i in reversed(_points(line))]
    return tag("path", d=f"M{'L'.join(there + back)}Z", class_=f"band {_colour(index)}")


def _drawn(line: Line, index: int, x: Scale, y: Scale) -> Markup:
    path = tag("path", d=_path(line, x, y), class_=f"curve {_colour(index)} {_dash(index)}")
    few = line.x if len(line.x) <= MOST_MARKERS else ()
    return path + Markup().join(_marker(x(a), y(b), index) for a, b in zip(few, line.y, strict=False))


def _colour(index: int) -> str:
    return f"c{index % COLOURS}"


def _dash(index: int) -> str:
    return f"d{index % DASHES}"


def _marker(x: float, y: float, index: int) -> Markup:
    """A disc, a square, a diamond or a triangle, in turn."""
    around = {1: ((-4, -4), (4, -4), (4, 4), (-4, 4)), 2: ((0, -5), (5, 0), (0, 5), (-5, 0))}
    corners = around.get(index % DASHES, ((0, -5), (5, 4), (-5, 4)))
    if index % DASHES == 0:
        return tag("circle", cx=x, cy=y, r=4, class_=f"marker {_colour(index)}")
    path = "L".join(f"{number(x + right)} {number(y + down)}" for right, down in corners)
    return tag("path", d=f"M{path}Z", class_=f"marker {_colour(index)}")


def _legend(curve: Curve, lines: list[Line]) -> list[Markup]:
    named = [(line.name, f"curve {_colour(i)} {_dash(i)}", i) for i, line in enumerate(lines)]
    named = named if len(lines) > 1 or curve.diagonal else []
    rows = [*named, (DIAGONAL, "diagonal", -1)] if curve.diagonal else named
    return [_key(row, BOTTOM + 54 + ROW * place, few=_few(lines, row[2])) for place, row in enumerate(rows)]


def _few(lines: list[Line], index: int) -> bool:
    return index >= 0 and len(lines[index].x) <= MOST_MARKERS


def _key(row: tuple[str, str, int], y: float, *, few: bool) -> Markup:
    name, class_, index = row
    swatch = segment((2, 36), (y - 4, y - 4), class_)
    marker = _marker(19, y - 4, index) if few else Markup()
    return swatch + marker + words(cut(name, WIDTH - 48), 46, y)
