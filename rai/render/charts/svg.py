"""The few tools every chart shares: elements, scales, ticks and axes. Coordinates carry one decimal."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from rai.render.words import figure, places_for, visible

WIDTH = 340.0
LARGEST = 1e300
"""Numbers beyond it are drawn at it, so that no sum of them overflows."""
SMALLEST = 1e-300
"""Numbers that lie closer together are drawn as one, so that no division by their distance overflows."""
LETTER = 7.8
"""Width of a letter at 13 pixels, generously."""


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One SVG element; text is escaped, numbers are rounded to one decimal, `class_` and `x_y` become class and x-y."""
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    inner = Markup().join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>") if children else Markup(f"<{name}{written}/>")  # noqa: S704 - escaped above


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(escape(visible(value)))


def number(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def picture(width: float, height: float, alt: str, *children: Markup, class_: str) -> Markup:
    """A whole SVG image with its text alternative."""
    box = f"0 0 {number(width)} {number(height)}"
    return tag("svg", *children, class_=class_, role="img", aria_label=alt, viewBox=box, width=width, height=height)


def words(text: object, x: float, y: float, *, class_: str | None = None, anchor: str | None = None) -> Markup:
    """A line of text; `anchor` is "middle" or "end" where it does not start at x."""
    return tag("text", text, x=x, y=y, class_=class_, text_anchor=anchor)


def segment(x: tuple[float, float], y: tuple[float, float], class_: str) -> Markup:
    """A straight line from (x[0], y[0]) to (x[1], y[1])."""
    return tag("path", d=f"M{number(x[0])} {number(y[0])}L{number(x[1])} {number(y[1])}", class_=class_)


def cut(text: str, room: float) -> str:
    """The text, shortened to `room` pixels at 13 pixels a letter's height."""
    most = max(int(room / LETTER), 2)
    line = " ".join(visible(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def wide(text: str) -> float:
    """About how many pixels a text takes at 13 pixels a letter's height."""
    return len(text) * LETTER


@dataclass(frozen=True)
class Scale:
    """Where a number lies on the page: from `low` at `start` to `high` at `end`, straight or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value in pixels; values beyond the ends lie at the ends."""
        held = min(max(value, self.low), self.high)
        share = _share(*(math.log(each) if self.log else each for each in (held, self.low, self.high)))
        return self.start + share * (self.end - self.start)


def _share(value: float, low: float, high: float) -> float:
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span else 0.5


def reach(values: Iterable[float | None], *, zero: bool = False, part: float = 0.1) -> tuple[float, float]:
    """The lowest and highest of the values with a `part` of air; never empty; `zero` keeps 0 in sight."""
    known = [min(max(each, -LARGEST), LARGEST) for each in values if each is not None] + ([0.0] if zero else [])
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high / 2 - low / 2 < SMALLEST:
        margin = abs(low) * 0.1 if abs(low) > 10 * SMALLEST else 0.5
        return low - margin, high + margin
    air = (high / 2 - low / 2) * 2 * part
    return (low if zero and low == 0 else low - air), (high if zero and high == 0 else high + air)


def bounded(low: float, high: float, values: Iterable[float | None]) -> tuple[float, float]:
    """Shares and probabilities stay within 0 and 1: air beyond those ends is taken back when no value lies there."""
    known = [each for each in values if each is not None]
    inside = bool(known) and min(known) >= 0 and max(known) <= 1
    return (max(low, 0.0), min(high, 1.0)) if inside else (low, high)


def ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Round numbers between low and high, at most `most` of them."""
    rough = (high / most - low / most) or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough), power * 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    found = range(first, last + 1)
    return tuple(float(f"{index * step:.12g}") for index in found) if len(found) <= 50 else (low, high)


def labels(values: Sequence[float]) -> list[str]:
    """Tick numbers as text with one number of decimals."""
    gaps = [b - a for a, b in pairwise(values)]
    places = next((k for k in range(7) if all(_whole(each, k) for each in values)), None) if gaps else None
    return [figure(each, places_for(values) if places is None else places) for each in values]


def _whole(value: float, places: int) -> bool:
    return math.isclose(round(value, places), value, rel_tol=1e-9, abs_tol=1e-9)


def below(scale: Scale, top: float, bottom: float) -> list[Markup]:
    """A horizontal axis: grid lines from `top` to `bottom` with their numbers under them."""
    lines = [segment((scale(each),) * 2, (top, bottom), "grid") for each in apart(scale)]
    return lines + numbers(scale, bottom)


def apart(scale: Scale) -> tuple[float, ...]:
    """As many round numbers as stand beside each other along a horizontal axis without touching."""
    for most in (5, 4, 3, 2):
        at = ticks(scale.low, scale.high, most)
        room = [scale(b) - scale(a) for a, b in pairwise(at)]
        if min(room, default=0.0) > max(map(wide, labels(at)), default=0.0) + 6:
            return at
    return at[:1]


def numbers(scale: Scale, bottom: float) -> list[Markup]:
    """The numbers of a horizontal axis that lies at `bottom`."""
    at, drawn = apart(scale), []
    for each, text in zip(at, labels(at), strict=True):
        half = wide(text) / 2
        x = min(max(scale(each), half), WIDTH - half)
        drawn.append(words(text, x, bottom + 16, class_="tick", anchor="middle"))
    return drawn


def beside(scale: Scale, left: float, right: float) -> list[Markup]:
    """A vertical axis: grid lines from `left` to `right` with their numbers before them."""
    at = ticks(scale.low, scale.high)
    drawn = [segment((left, right), (scale(each),) * 2, "grid") for each in at]
    pairs = zip(at, labels(at), strict=True)
    return drawn + [words(text, left - 6, scale(each) + 4, class_="tick", anchor="end") for each, text in pairs]


def margin(low: float, high: float) -> float:
    """The room that the numbers of a vertical axis need."""
    return max(wide(text) for text in labels(ticks(low, high)) or ["0"]) + 12
