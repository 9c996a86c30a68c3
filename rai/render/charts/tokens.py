"""Words in their order, each shaded by its signed value, with the number below it; lines wrap."""

from dataclasses import dataclass

from markupsafe import Markup

from rai.evidence import Tokens
from rai.render.charts.signed import biggest, key, level, side, written
from rai.render.charts.svg import WIDTH, cut, number, picture, tag, wide, words

MOST = 150
ROW, HIGH, GAP = 44.0, 22.0, 5.0
SPACE = "\N{OPEN BOX}"


@dataclass(frozen=True)
class Word:
    """One token as drawn: its text, its number, its colour, and where it lies in pixels."""

    text: str
    told: str
    shade: str
    x: float
    y: float
    width: float


def draw(tokens: Tokens) -> Markup:
    """The chart of at most `MOST` tokens; the data table beside it holds the others."""
    placed = _placed(tokens)
    drawn = [*_boxes(placed), *_under(placed)]
    for each in placed:
        middle = each.x + each.width / 2
        drawn.append(words(each.text, middle, each.y + 16, anchor="middle"))
        drawn += [words(each.told, middle, each.y + 36, class_="tick", anchor="middle")] if each.told else []
    bottom = placed[-1].y + ROW + 12
    drawn += key(0, bottom, "line")
    return picture(WIDTH, bottom + 28, f"{tokens.title}. {tokens.alt}", *drawn, class_="fit")


def note(tokens: Tokens) -> str:
    """What a reader has to know to read the chart."""
    told = [f"Unit: {tokens.unit}."] if tokens.unit else []
    told += ["Words that moved the score by less than a tenth of the strongest have no number here."]
    told += ["Dashed: not measured."] if None in tokens.values[:MOST] else []
    told += [f"The first {MOST} of {len(tokens.tokens)}; the table has all."] if len(tokens.tokens) > MOST else []
    return " ".join(told)


def _placed(tokens: Tokens) -> list[Word]:
    most, x, y, placed = biggest(tokens.values), 0.0, 0.0, []
    for token, value in zip(tokens.tokens[:MOST], tokens.values[:MOST], strict=True):
        text = cut(token, WIDTH - 10) or SPACE
        faint = value is None or not level(value, most)
        told = "" if value is None or faint else written(value, most)
        width = min(max(wide(text), wide(told)) + 8, WIDTH)
        if x and x + width > WIDTH:
            x, y = 0.0, y + ROW
        shade = "blank" if value is None else "heat l0" if faint else f"heat {side(value)} l{level(value, most)}"
        placed.append(Word(text, told, shade, x, y, width))
        x += width + GAP
    return placed


def _boxes(placed: list[Word]) -> list[Markup]:
    """One path for each shade."""
    shades: dict[str, list[str]] = {}
    for each in placed:
        box = f"M{number(each.x)} {number(each.y)}h{number(each.width)}v{number(HIGH)}h-{number(each.width)}z"
        shades.setdefault(each.shade, []).append(box)
    return [tag("path", d="".join(boxes), class_=shade) for shade, boxes in sorted(shades.items())]


def _under(placed: list[Word]) -> list[Markup]:
    """A line under each shaded word: solid above zero, dashed below."""
    kinds = {"more": [each for each in placed if " more " in each.shade]}
    kinds["less"] = [each for each in placed if " less " in each.shade]
    strokes = {
        name: "".join(f"M{number(each.x)} {number(each.y + HIGH)}h{number(each.width)}" for each in held)
        for name, held in kinds.items()
    }
    return [tag("path", d=path, class_=f"under {name}") for name, path in strokes.items() if path]
