"""A matrix as shades, with every cell's number written out."""

from dataclasses import dataclass

from markupsafe import Markup

from rai.evidence import Heat
from rai.render.charts.signed import biggest, level, side
from rai.render.charts.svg import LETTER, WIDTH, cut, picture, tag, wide, words
from rai.render.words import column_places, figure, places_for

MOST = 15
TALL, LEAST = 32.0, 30.0
LONGEST = 18


@dataclass(frozen=True)
class Grid:
    """Where the cells lie, in pixels: their left and top, the width of each, and the right end of the chart."""

    left: float
    top: float
    cell: float
    right: float
    slanted: bool


def draw(heat: Heat) -> Markup:
    """The chart of at most `MOST` rows and columns; the data table beside it holds the others."""
    grid = _grid(heat)
    rows = heat.row_labels[:MOST]
    drawn = [_titles(heat, grid), *_columns(heat.column_labels[:MOST], grid)]
    for i, label in enumerate(rows):
        drawn.append(words(cut(label, grid.left - 8), grid.left - 8, grid.top + i * TALL + 21, anchor="end"))
    drawn += _cells(heat, grid)
    size = max(grid.right, WIDTH), grid.top + TALL * len(rows) + 4
    return picture(*size, f"{heat.title}. {heat.alt}", *drawn, class_="wide" if is_wide(heat) else "fit")


def is_wide(heat: Heat) -> bool:
    """Whether the chart needs more room than the others."""
    return _grid(heat).right > WIDTH + 1


def _grid(heat: Heat) -> Grid:
    """Where the cells lie; column labels that are wider than a cell are slanted and may hang over at the right."""
    columns = heat.column_labels[:MOST]
    left = min(max(wide(label) for label in heat.row_labels[:MOST]), 150.0) + 12
    least = max(LEAST, *(wide(text) + 10 for line in _texts(heat) for text in line))
    level = max(least, (WIDTH - left) / len(columns))
    if all(wide(label) <= level - 6 for label in columns):
        return Grid(left, 44.0, level, left + level * len(columns), slanted=False)
    longest = [min(len(label), LONGEST) * LETTER for label in columns]
    over = max(size * 0.77 - (len(columns) - j - 0.5) * least for j, size in enumerate(longest))
    cell = max(least, (WIDTH - left - max(over, 0.0)) / len(columns))
    return Grid(left, 30.0 + max(longest) * 0.72, cell, left + cell * len(columns) + max(over, 0.0), slanted=True)


def note(heat: Heat) -> str:
    """What a reader has to know to read the chart."""
    blank = any(value is None for line in heat.values for value in line)
    told = ["Dashed cells: not measured or too few rows."] if blank else []
    more = max(len(heat.row_labels), len(heat.column_labels)) > MOST
    return " ".join(told + ([f"The first {MOST} rows and columns; the table has all."] if more else []))


def _texts(heat: Heat) -> list[list[str]]:
    known = [value for line in heat.values for value in line]
    places = min(column_places(known), places_for([biggest(known)]))
    shown = [line[:MOST] for line in heat.values[:MOST]]
    return [["–" if value is None else figure(value, places) for value in line] for line in shown]


def _titles(heat: Heat, grid: Grid) -> Markup:
    """What the rows are and what the columns are, on one line above them."""
    titles = (f"{heat.row_title} ↓" if heat.row_title else "", f"{heat.column_title} →" if heat.column_title else "")
    return words(cut(" by ".join(each for each in titles if each), max(grid.right, WIDTH)), 0, 13, class_="name")


def _columns(labels: tuple[str, ...], grid: Grid) -> list[Markup]:
    drawn = []
    for j, label in enumerate(labels):
        x, y = grid.left + (j + 0.5) * grid.cell, grid.top - 8
        turned = f"rotate(-40 {x:.1f} {y:.1f})" if grid.slanted else None
        anchor = None if grid.slanted else "middle"
        drawn.append(tag("text", cut(label, LONGEST * LETTER), x=x, y=y, text_anchor=anchor, transform=turned))
    return drawn


def _cells(heat: Heat, grid: Grid) -> list[Markup]:
    most = biggest(value for line in heat.values for value in line)
    drawn = []
    for i, line in enumerate(_texts(heat)):
        for j, text in enumerate(line):
            x, y = grid.left + j * grid.cell, grid.top + i * TALL
            shade = _shade(heat.values[i][j], most)
            drawn.append(tag("rect", x=x + 1, y=y + 1, width=grid.cell - 2, height=TALL - 2, class_=shade))
            drawn.append(words(text, x + grid.cell / 2, y + 21, class_="value", anchor="middle"))
    return drawn


def _shade(value: float | None, most: float) -> str:
    return "blank" if value is None else f"heat {side(value)} l{level(value, most)}"
