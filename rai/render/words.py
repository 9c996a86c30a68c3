"""Numbers and names as a person reads them. Every rendering shows a number through `figure` and nothing else."""

import json
import math
import statistics
import unicodedata
from collections.abc import Iterable, Mapping

from rai.evidence import Measurement
from rai.policy import Finding, Rule

UNMEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"
MOST_PLACES = 12
HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})


def visible(text: object) -> str:
    """Return the text with control and direction-changing characters shown as `?`; line breaks stay."""
    spaced = str(text).replace("\r\n", "\n").replace("\t", "    ")
    return "".join("?" if c != "\n" and unicodedata.category(c) in HIDDEN else c for c in spaced)


def short(text: object, most: int) -> str:
    """Return at most `most` characters of one line, the last an ellipsis where something was cut."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def figure(value: float | None, places: int | None = None) -> str:
    """Return a number as text with `places` decimals (by default three telling digits).

    Thousands are separated by commas. A number that is not 0 never reads 0: it gets the decimals it needs, or
    powers of ten below 0.0001.
    """
    if value is None:
        return UNMEASURED
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.2e}".replace("-", MINUS, 1) if value < 0 else f"{value:.2e}"
    chosen = places_for([value]) if places is None else places
    if value and not round(value, chosen):
        chosen = 1 - _magnitude(value)
    shown = f"{value:,.{chosen}f}"
    return shown.replace("-", MINUS) if float(shown.replace(",", "")) else shown.lstrip("-")


def places_for(numbers: Iterable[float | None], apart: Iterable[float | None] = ()) -> int:
    """How many decimals show these numbers together: two digits of their spread, more where one nears a bound.

    `apart` are the bounds from which every number that differs must also visibly differ; one that meets a bound
    exactly is shown exactly.
    """
    known = [float(each) for each in numbers if each is not None]
    bounds = [float(each) for each in apart if each is not None]
    places = _telling(known)
    while places < MOST_PLACES and any(_confused(a, b, places) for a in known for b in bounds):
        places += 1
    return places


def _telling(known: list[float]) -> int:
    if all(each.is_integer() for each in known):
        return 0
    biggest, spread = max(map(abs, known)), min(max(known) - min(known), 1e300)
    wanted = 1 - _magnitude(spread) if spread else 2 - _magnitude(biggest)
    least = 2 if biggest < 10 else 1 if biggest < 100 else 0
    return min(max(wanted, least), 6)


def column_places(numbers: Iterable[object]) -> int:
    """How many decimals a column of numbers gets: three telling digits of its middle number; 0 for whole numbers."""
    known = [float(each) for each in numbers if isinstance(each, int | float)]
    sizes = [abs(each) for each in known if each]
    if not sizes or all(each.is_integer() for each in known):
        return 0
    return min(max(2 - _magnitude(statistics.median(sizes)), 0), 4)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _confused(value: float, bound: float, places: int) -> bool:
    """Whether so many decimals hide that a value differs from a bound, or that it is the bound itself."""
    if value == bound:
        return round(value, places) != value
    return f"{value:.{places}f}" == f"{bound:.{places}f}"


def exact(value: float | None) -> str:
    """Return the number as report.json writes it; empty where there is none."""
    return "" if value is None else json.dumps(value)


def places_of(found: Measurement, rule: Rule | None = None) -> int:
    """How many decimals the value and the interval of a measurement share."""
    bounds = (rule.at_least, rule.at_most) if rule else ()
    return places_for((found.value, found.low, found.high), apart=bounds)


def estimate(found: Measurement | None, rule: Rule | None = None) -> str:
    """The value of a measurement in words."""
    return UNMEASURED if found is None else figure(found.value, places_of(found, rule))


def interval(found: Measurement | None, rule: Rule | None = None) -> str:
    """The interval of a measurement in words, for example "0.70 to 0.82"."""
    if found is None or found.low is None or found.high is None:
        return UNMEASURED
    places = places_of(found, rule)
    return f"{figure(found.low, places)} to {figure(found.high, places)}"


def about(facet: Mapping[str, str]) -> str:
    """What a measurement is about: {"attribute": "sex", "group": "Female"} becomes "sex: Female"."""
    rest = [_with_key(key, value) for key, value in facet.items() if key not in {"attribute", "group"}]
    named = ": ".join(facet[key] for key in ("attribute", "group") if key in facet)
    return ", ".join([named, *rest] if named else rest)


def _with_key(key: str, value: str) -> str:
    """A site that is called "site 09" is not told as "site site 09"."""
    return value if value.startswith(f"{key} ") else f"{key} {value}"


def titled(finding: Finding) -> str:
    """A check's title with what it is about, on one line."""
    facet = about(finding.measurement.facet if finding.measurement else finding.rule.where)
    return f"{finding.rule.title}, {facet}" if facet else finding.rule.title


def smallest(found: Measurement | None) -> int | None:
    """Rows of the smallest group behind a measurement, or all its rows where there are no groups."""
    if found is None or found.value is None:
        return None
    return found.rows if found.smallest is None else found.smallest


def humane(name: str) -> str:
    """A measurement's name without underscores."""
    return name.replace("_", " ")


def heading(name: str) -> str:
    """A column's name with a capital first letter, but for symbols such as p."""
    symbol = len(name.split(" ", maxsplit=1)[0]) == 1
    return name if symbol else name[:1].upper() + name[1:]


def sentence(text: str) -> str:
    """The text with a capital first letter and a full stop."""
    capital = text[:1].upper() + text[1:]
    return capital if capital.endswith((".", "!", "?", "…")) else f"{capital}."


def why_not(problem: str) -> str:
    """A section's problem as a sentence, without the word that stands before it anyway."""
    return sentence(problem.removeprefix("not measured: ").removeprefix("crashed: "))


def counted(number: int, word: str) -> str:
    """A count with its noun: "1 check", "1,204 rows"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(words: Iterable[str]) -> str:
    """Words joined as in a sentence: "a, b and c"."""
    found = list(words)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
