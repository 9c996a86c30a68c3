"""A small picture in grey, and the same under a grid of signed values: where in it the reasons lie."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from rai.evidence import Overlay
from rai.render.charts import png
from rai.render.charts.signed import biggest, key, level, side, written
from rai.render.charts.svg import WIDTH, picture, tag, wide, words
from rai.render.words import figure

LARGE, SMALL, TOP = 216.0, 104.0, 22.0
MOST = 32
"""Cells a side drawn at most; a finer grid is drawn as the means of blocks of cells."""
Grid = Sequence[Sequence[float]]


def draw(overlay: Overlay) -> Markup:
    """The picture under its values at the left, the picture alone and the legend at the right."""
    values = blocks(overlay.values)
    high, wide_ = _size(overlay.picture, LARGE)
    small = _size(overlay.picture, SMALL)
    uri, left = png.data_uri(overlay.picture), WIDTH - SMALL
    below = TOP + small[0] + 28
    drawn = [
        words("with values", 0, 13, class_="name"),
        _image(uri, 0, high, wide_),
        *_cells(values, high, wide_),
        words("picture alone", left, 13, class_="name"),
        _image(uri, left, *small),
        *key(left, below, "slash"),
    ]
    drawn += _numbers(values, high / len(values), wide_ / len(values[0]))
    alt = f"{overlay.title}. {overlay.alt}"
    return picture(WIDTH, max(TOP + high, below + 28) + 4, alt, *drawn, class_="fit")


def note(overlay: Overlay) -> str:
    """What a reader has to know to read the chart."""
    values = blocks(overlay.values)
    most = biggest(value for row in values for value in row)
    unit = f" {overlay.unit}" if overlay.unit else ""
    told = f"Strongest shade: {figure(most)}{unit}. Slashed cells are below zero; plain picture: about none."
    finer = len(overlay.values) > MOST or len(overlay.values[0]) > MOST
    return told + (f" Means of blocks of cells: {len(values)} × {len(values[0])} are drawn." if finer else "")


def blocks(values: Grid) -> Grid:
    """The grid, or the means of equal blocks of its cells where it is finer than can be drawn."""
    down, across = (-(-size // MOST) for size in (len(values), len(values[0])))
    if down == across == 1:
        return values
    rows = [values[i : i + down] for i in range(0, len(values), down)]
    return [[_mean([row[j : j + across] for row in band]) for j in range(0, len(values[0]), across)] for band in rows]


def _mean(block: Grid) -> float:
    held = [value for row in block for value in row]
    return sum(value / len(held) for value in held)


def _size(grid: Sequence[Sequence[int]], most: float) -> tuple[float, float]:
    """Height and width in pixels, the longer of them `most`."""
    rows, columns = len(grid), len(grid[0])
    longer = max(rows, columns)
    return most * rows / longer, most * columns / longer


def _image(uri: str, x: float, height: float, width: float) -> Markup:
    return tag("image", href=uri, x=x, y=TOP, width=width, height=height, preserveAspectRatio="none")


def _cells(values: Grid, height: float, width: float) -> list[Markup]:
    """One path for each shade and one for the slashes, a cell being one unit; runs of one shade are one piece."""
    most = biggest(value for row in values for value in row)
    shades: dict[str, list[str]] = {}
    for i, row in enumerate(values):
        start = 0
        for shade, run in groupby(row, lambda value: _shade(value, most)):
            length = len(list(run))
            shades.setdefault(shade, []).append(f"M{start} {i}h{length}v1h-{length}z")
            start += length
    shades.pop("", None)
    paths = [tag("path", d="".join(boxes), class_=f"over {shade}") for shade, boxes in sorted(shades.items())]
    scaled = f"translate(0 {TOP:.0f}) scale({width / len(values[0]):.5g} {height / len(values):.5g})"
    frame = tag("rect", x=0, y=TOP, width=width, height=height, class_="frame")
    return [tag("g", *paths, *_slashes(values, most), transform=scaled), frame]


def _shade(value: float, most: float) -> str:
    found = level(value, most)
    return f"{side(value)} l{found}" if found else ""


def _slashes(values: Grid, most: float) -> list[Markup]:
    """A stroke across the lower right corner of each shaded cell below zero, away from its number."""
    strokes = [
        f"M{j}.5 {i}.9l.3-.4h.1l-.3.4z"
        for i, row in enumerate(values)
        for j, value in enumerate(row)
        if value < 0 and level(value, most)
    ]
    return [tag("path", d="".join(strokes), class_="slash")] if strokes else []


def _numbers(values: Grid, high: float, wide_: float) -> list[Markup]:
    """The numbers of the shaded cells, where all have room for theirs."""
    most = biggest(value for row in values for value in row)
    shaded = [(i, j, value) for i, row in enumerate(values) for j, value in enumerate(row) if level(value, most)]
    told = [(i, j, written(value, most)) for i, j, value in shaded]
    if high < 20 or any(wide(text) > wide_ - 2 for _, _, text in told):
        return []
    return [
        words(text, (j + 0.5) * wide_, TOP + (i + 0.5) * high + 4, class_="value halo", anchor="middle")
        for i, j, text in told
    ]
