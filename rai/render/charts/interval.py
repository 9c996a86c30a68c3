"""One check at a glance: the estimate and its interval against the band that the rule allows."""

from markupsafe import Markup

from rai.evidence import Measurement
from rai.policy import Finding, Rule
from rai.render.charts.bars import whisker
from rai.render.charts.svg import Scale, bounded, picture, reach, segment, tag, words
from rai.render.words import estimate, figure, interval, places_for, titled

WIDE, HIGH, SMALL = 188.0, 46.0, 7.2
AXIS = 30.0


def draw(finding: Finding) -> Markup | None:
    """The little chart of one check; None where nothing was measured."""
    found, rule = finding.measurement, finding.rule
    if found is None or found.value is None:
        return None
    scale = _scale(found, rule)
    ends = (found.low, found.high)
    known = [each for each in ends if each is not None]
    drawn = [*_allowed(rule, scale), segment((scale.start, scale.end), (AXIS, AXIS), "axis")]
    drawn += [whisker(scale, (min(known), max(known)), AXIS / 2)] if len(known) == 2 else []
    drawn += [tag("circle", cx=scale(found.value), cy=AXIS / 2, r=4.5, class_="dot"), *_numbers(rule, scale)]
    alt = f"{titled(finding)}: {estimate(found, rule)}, interval {interval(found, rule)}; asked: {rule.requirement}"
    return picture(WIDE, HIGH, alt, *drawn, class_="inline")


def _scale(found: Measurement, rule: Rule) -> Scale:
    values = [found.value, found.low, found.high, rule.at_least, rule.at_most]
    known = [each for each in values if each is not None]
    if min(known) > 0 and is_ratio(found):
        return Scale(min(known) / 1.2, max(known) * 1.2, 2.0, WIDE - 2, log=True)
    return Scale(*bounded(*reach(values, part=0.2), values), 2.0, WIDE - 2)


def is_ratio(found: Measurement) -> bool:
    """Whether a measurement is a ratio, whose halving and doubling should look alike."""
    return found.unit == "ratio" or found.name.endswith("_ratio")


def _allowed(rule: Rule, scale: Scale) -> list[Markup]:
    least = scale.start if rule.at_least is None else scale(rule.at_least)
    most = scale.end if rule.at_most is None else scale(rule.at_most)
    band = tag("rect", x=least, y=2, width=max(most - least, 0.0), height=AXIS - 2, class_="allowed")
    bounds = [each for each in (rule.at_least, rule.at_most) if each is not None]
    return [band, *(segment((scale(each),) * 2, (0, AXIS + 3), "limit") for each in bounds)]


def _numbers(rule: Rule, scale: Scale) -> list[Markup]:
    """The bounds below the axis, and its ends where they do not touch a bound's number."""
    bounds = [(scale(each), f"{each:g}") for each in (rule.at_least, rule.at_most) if each is not None]
    drawn: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for x, text in bounds:
        half = len(text) * SMALL / 2
        held = min(max(x, half), WIDE - half)
        if all(abs(held - other) > half + width + 4 for other, width in taken):
            drawn.append(words(text, held, HIGH - 3, class_="bound", anchor="middle"))
            taken.append((held, half))
    places = places_for((scale.low, scale.high), apart=(rule.at_least, rule.at_most))
    for end, anchor in ((scale.low, None), (scale.high, "end")):
        drawn += _end(figure(end, places), anchor, taken)
    return drawn


def _end(text: str, anchor: str | None, taken: list[tuple[float, float]]) -> list[Markup]:
    half = len(text) * SMALL / 2
    middle = WIDE - half if anchor else half
    if any(abs(middle - other) < half + width + 4 for other, width in taken):
        return []
    return [words(text, WIDE if anchor else 0, HIGH - 3, class_="tick", anchor=anchor)]
