"""Signed values as shades of two colours; values below zero also carry a mark, so that colour never stands alone."""

from collections.abc import Iterable

from markupsafe import Markup

from rai.render.charts.svg import number, segment, tag, words
from rai.render.words import MINUS, figure, places_for

LEVELS = 6
LINES = (("more", 0), ("less", 22))


def biggest(values: Iterable[float | None]) -> float:
    """The largest size among the values that were measured; 0 where there is none."""
    return max((abs(value) for value in values if value is not None), default=0.0)


def level(value: float, most: float) -> int:
    """How strong a value is beside the strongest: from 0 (about nothing) to LEVELS - 1."""
    return round(min(abs(value) / most, 1.0) * (LEVELS - 1)) if most else 0


def side(value: float) -> str:
    """The class of the colour: more or less than zero."""
    return "less" if value < 0 else "more"


def written(value: float, most: float) -> str:
    """The value with its sign and two telling digits of the strongest; 0 has no sign."""
    text = figure(value, places_for([value, most, 0.0]))
    return f"+{text}" if value > 0 else text


def key(left: float, y: float, mark: str) -> list[Markup]:
    """A legend: both colours, what they mean, and the mark of values below zero, a "slash" or a "line"."""
    swatches = [
        tag("rect", x=left, y=y - 11 + down, width=16, height=13, class_=f"heat {name} l4") for name, down in LINES
    ]
    strokes = [tag("path", d=f"M{number(left + 7)} {number(y + 22)}l6-9h2l-6 9z", class_="slash")]
    if mark == "line":
        strokes = [segment((left, left + 16), (y + 2 + down, y + 2 + down), f"under {name}") for name, down in LINES]
    told = words("+ for", left + 22, y, class_="tick"), words(f"{MINUS} against", left + 22, y + 22, class_="tick")
    return [*swatches, *strokes, *told]
