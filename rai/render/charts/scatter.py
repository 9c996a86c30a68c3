"""Two quantities of many rows, binned: the fuller the bin, the larger and the darker its tile."""

import math

from markupsafe import Markup

from rai.evidence import Scatter
from rai.render.charts.svg import WIDTH, Scale, below, beside, cut, margin, number, picture, segment, tag, words
from rai.render.words import figure

TOP, BOTTOM = 26.0, 256.0
LEVELS = 5
Tile = tuple[float, float, float, float]


def draw(scatter: Scatter) -> Markup:
    """The chart: one path for each of `LEVELS` levels of fullness, with a legend of their counts."""
    x = Scale(scatter.x_edges[0], scatter.x_edges[-1], _left(scatter), WIDTH - 8)
    y = Scale(scatter.y_edges[0], scatter.y_edges[-1], BOTTOM, TOP)
    names = [
        words(cut(scatter.y_label, WIDTH), 0, 13, class_="name"),
        words(cut(scatter.x_label, x.end - x.start), x.end, BOTTOM + 34, class_="name", anchor="end"),
    ]
    axes = [*beside(y, x.start, x.end), *below(x, TOP, BOTTOM), segment((x.start, x.end), (BOTTOM, BOTTOM), "axis")]
    alt = f"{scatter.title}. {scatter.alt}"
    return picture(WIDTH, BOTTOM + 70, alt, *axes, *_tiles(scatter, x, y), *names, *_legend(scatter), class_="fit")


def note(scatter: Scatter) -> str:
    """What a reader has to know to read the chart."""
    total = sum(map(sum, scatter.counts))
    return f"{total:,} rows in bins; the larger and stronger a tile, the more rows."


def _left(scatter: Scatter) -> float:
    return margin(scatter.y_edges[0], scatter.y_edges[-1])


def _ends(scatter: Scatter) -> tuple[int, int]:
    full = [count for line in scatter.counts for count in line if count > 0]
    return min(full), max(full)


def _level(count: int, ends: tuple[int, int]) -> int:
    """From 0 (emptiest) to LEVELS - 1, in equal steps of the logarithm."""
    low, high = ends
    if low == high:
        return LEVELS - 1
    return min(int(math.log(count / low) / math.log(high / low) * LEVELS), LEVELS - 1)


def _tiles(scatter: Scatter, x: Scale, y: Scale) -> list[Markup]:
    ends = _ends(scatter)
    paths: list[list[str]] = [[] for _ in range(LEVELS)]
    for i, line in enumerate(scatter.counts):
        for j, count in enumerate(line):
            if count > 0:
                box = (
                    x(scatter.x_edges[j]),
                    y(scatter.y_edges[i + 1]),
                    x(scatter.x_edges[j + 1]),
                    y(scatter.y_edges[i]),
                )
                level = _level(count, ends)
                paths[level].append(_tile(box, level))
    return [tag("path", d="".join(path), class_=f"tile l{level}") for level, path in enumerate(paths) if path]


def _tile(box: Tile, level: int) -> str:
    left, top, right, bottom = box
    part = (0.36 + 0.6 * level / (LEVELS - 1)) / 2
    middle, centre = (left + right) / 2, (top + bottom) / 2
    half, rise = max((right - left) * part, 0.8), max((bottom - top) * part, 0.8)
    return (
        f"M{number(middle - half)} {number(centre - rise)}h{number(2 * half)}v{number(2 * rise)}h{number(-2 * half)}z"
    )


def _legend(scatter: Scatter) -> list[Markup]:
    ends = _ends(scatter)
    y = BOTTOM + 60
    drawn = [words("rows:", 0, y, class_="tick")]
    levels = range(LEVELS) if ends[0] < ends[1] else [LEVELS - 1]
    for level in levels:
        left = 44.0 + 60 * (level if ends[0] < ends[1] else 0)
        drawn.append(tag("path", d=_tile((left, y - 12, left + 14, y + 2), level), class_=f"tile l{level}"))
        drawn.append(words(_least(ends, level), left + 17, y, class_="tick"))
    return drawn


def _least(ends: tuple[int, int], level: int) -> str:
    low, high = ends
    if low == high:
        return figure(low)
    count = math.ceil(low * (high / low) ** (level / LEVELS) - 1e-9)
    return f"{count / 1000:.3g}k+" if count >= 1000 else f"{count}+"
