"""What quality cost: each run on the same rows as one point, and those that no other run beats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rai.audits._exhibits import floats, number
from rai.audits.training.curves import places
from rai.audits.training.rows import LARGEST
from rai.evidence import Curve, Evidence, Line
from rai.ledger import Ledger, Run

COSTS = ("epsilon", "group_gap", "energy")
"""Results of a run of which less is better. Epsilon is always drawn, the others where the search sought them."""
FRONT = "Pareto front"
MOST = 30
"""So many runs off the front are told, those of the best quality first."""
NAMED = 5
"""A title names so many runs of the front, or its two ends."""
SINGLE = (
    "What runs reached are single figures of the ledger without intervals: small differences may be chance, and what "
    "lies between two runs of a line was not measured."
)


@dataclass(frozen=True)
class Point:
    """What run number `run` cost, and the quality it reached."""

    run: int
    cost: float
    quality: float
    kept: bool


def evidence(ledger: Ledger) -> Evidence:
    """A chart for each cost that at least two runs paid differently; nothing without them."""
    shapes = tuple(_charts(ledger))
    return Evidence((), shapes, caveats=(SINGLE,) if shapes else ())


def front(points: Sequence[Point]) -> tuple[Point, ...]:
    """The Pareto front, cheapest first: the points that no other beats.

    A point is beaten by one that costs no more, is no worse, and is cheaper or better. Equal points do not beat each
    other.
    """
    kept: list[Point] = []
    for each in sorted(points, key=lambda point: (point.cost, -point.quality)):
        best = kept[-1] if kept else None
        if best is None or each.quality > best.quality or (each.cost, each.quality) == (best.cost, best.quality):
            kept.append(each)
    return tuple(kept)


def _charts(ledger: Ledger) -> Iterator[Curve]:
    quality = _quality(ledger.runs)
    for cost in _costs(ledger):
        points = tuple(_points(ledger.runs, cost, quality))
        if len({each.cost for each in points}) > 1:
            yield _chart(points, cost.replace("_", " "), quality.replace("_", " "))


def _costs(ledger: Ledger) -> tuple[str, ...]:
    search = ledger.recipe.get("search")
    sought = search.get("objectives") if isinstance(search, dict) else None
    named = sought if isinstance(sought, list | tuple) else ()
    return tuple(each for each in COSTS if each == "epsilon" or each in named)


def _quality(runs: tuple[Run, ...]) -> str:
    """The name under which runs state how good they are: quality, or else their first result that is no cost."""
    names = dict.fromkeys(name for each in runs for name in each.results if name not in COSTS)
    return "quality" if "quality" in names else next(iter(names), "quality")


def _points(runs: tuple[Run, ...], cost: str, quality: str) -> Iterator[Point]:
    for place, each in enumerate(runs, start=1):
        paid = each.results.get(cost) if each.epsilon is None or cost != "epsilon" else each.epsilon
        reached = each.results.get(quality)
        if paid is not None and reached is not None:
            yield Point(place, _drawable(paid), _drawable(reached), each.kept)


def _drawable(value: float) -> float:
    return min(max(float(value), -LARGEST), LARGEST)


def _chart(points: tuple[Point, ...], cost: str, quality: str) -> Curve:
    best = front(points)
    beaten = {each.run for each in points} - {each.run for each in best}
    others = sorted((each for each in points if each.run in beaten), key=lambda each: -each.quality)
    drawn = tuple(best[place] for place in places(len(best)))
    lines = (_line(FRONT, drawn), *(_line(f"run {each.run}", (each,)) for each in others[:MOST]))
    title = f"{quality[:1].upper()}{quality[1:]} against {cost}: {_ends(best)}"
    return Curve(title, _told(drawn, others, cost), cost, quality, lines)


def _line(name: str, points: Sequence[Point]) -> Line:
    return Line(name, floats([each.cost for each in points]), floats([each.quality for each in points]))


def _ends(best: tuple[Point, ...]) -> str:
    """The front in a title's few words."""
    told = [f"{number(each.quality)} at {number(each.cost)}" for each in best]
    return ", ".join(told) if len(told) <= NAMED else f"{told[0]} to {told[-1]}, {len(told)} runs on the {FRONT}"


def _told(drawn: tuple[Point, ...], others: list[Point], cost: str) -> str:
    """Every number of the chart in words."""
    off = f" Off it: {_listed(others[:MOST], cost)}." if others else " Every run is on it."
    more = f" {len(others) - MOST:,} more runs off it are not drawn." if len(others) > MOST else ""
    return f"{FRONT}, the runs that no other matches for less {cost}: {_listed(drawn, cost)}.{off}{more}"


def _listed(points: Sequence[Point], cost: str) -> str:
    return "; ".join(
        f"run {each.run}{' (this model)' if each.kept else ''} {number(each.quality)} at {cost} {number(each.cost)}"
        for each in points
    )
