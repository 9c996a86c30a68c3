"""How the methods' trial is shown: what each may be used for, how fast scores fall, who agrees with whom."""

from collections.abc import Mapping, Sequence

import numpy as np

from rai.audits._exhibits import floats, number
from rai.audits.faithfulness.trials import Case, Trial, Untried
from rai.evidence import Curve, Heat, Line, Measurement, Table
from rai.explainers import quality
from rai.explainers.deletion import GRID, fall
from rai.explainers.scaffolding import Scaffolding

BEATS = "beats a random order"
NO_BETTER = "do not rely on this: no better than a random order"
UNSURE = "unsure: too few rows to tell it from a random order"
COLUMNS: Mapping[str, str] = {
    "insertion_gain": "insertion",
    "completeness_gap": "values miss the score by",
    "infidelity": "infidelity",
    "max_sensitivity": "moves with small changes",
    "randomisation_similarity": "alike after the model forgets",
    "stability": "same top features, other seed",
    "sampling_error": "error of one run",
    "shapley_distance": "from exact Shapley values",
}
MOST_FEATURES = 12
Found = Mapping[str, Mapping[str, Measurement]]


def words(gains: Mapping[str, Measurement], best: Measurement | None = None) -> dict[str, str]:
    """What the interval of each method's gain over a random order allows to be said.

    A method whose interval holds 0 is no better than a random order, unless it also reaches the gain of the best
    method, or, where none beats a random order, that of the `best` order: then there are too few rows to tell.
    """
    ahead = [_value(each) for each in gains.values() if each.low is not None and each.low > 0]
    reach = max(ahead) if ahead else (np.inf if best is None else _value(best))
    return {name: _word(each, reach) for name, each in gains.items()}


def _word(gain: Measurement, reach: float) -> str:
    if gain.low is None or gain.high is None:
        return f"not told: {gain.reason}"
    if gain.low > 0:
        return BEATS
    return UNSURE if gain.high >= reach else NO_BETTER


def _value(found: Measurement) -> float:
    return np.inf if found.value is None else found.value


def table(found: Found, said: Mapping[str, str], untried: Sequence[Untried]) -> Table:
    """One line a method: its numbers and what may be said of it."""
    rows = [(name, _gain(numbers["deletion_gain"]), *_cells(numbers), said[name]) for name, numbers in found.items()]
    rows += [(each.name, None, *(None for _ in COLUMNS), f"not run: {each.reason}") for each in untried]
    columns = ("method", "deletion: gain over a random order", *COLUMNS.values(), "what can be said")
    return Table(title_of(said), alt_of(found, said), columns, tuple(rows))


def title_of(said: Mapping[str, str]) -> str:
    """Which methods beat a random order, and which do not."""
    ahead = [name for name, word in said.items() if word == BEATS]
    behind = [name for name, word in said.items() if word == NO_BETTER]
    told = f"{', '.join(ahead)} beat{'s' if len(ahead) == 1 else ''} a random order" if ahead else ""
    warned = f"do not rely on {', '.join(behind)}" if behind else ""
    return "; ".join(filter(None, (told, warned))) or "No method could be told from a random order"


def alt_of(found: Found, said: Mapping[str, str]) -> str:
    """The gains in words."""
    return " ".join(
        f"{name}: gain {_gain(found[name]['deletion_gain']) or 'not told'}, {said[name]}." for name in found
    )


def _gain(found: Measurement) -> str | None:
    if found.value is None:
        return None
    if found.low is None or found.high is None:
        return number(found.value)
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"


def _cells(numbers: Mapping[str, Measurement]) -> list[float | None]:
    return [numbers[name].value if name in numbers else None for name in COLUMNS]


def curve(case: Case, trials: Sequence[Trial], scale: str) -> Curve:
    """Mean score while features are taken away, in the order of each method and of the controls."""
    first = trials[0]
    known = np.isfinite(case.controls.best.areas)
    curves = {each.name: each.fall.curves for each in trials}
    curves[f"{first.name} reversed"] = fall(case.played, -first.attribution.values).curves
    curves["random orders"] = case.controls.random.curves
    curves["best order found"] = case.controls.best.curves
    lines = tuple(Line(name, floats(GRID), floats(each[known].mean(axis=0))) for name, each in curves.items())
    told = "; ".join(f"{each.name} {number(_half(each))}" for each in lines)
    title = f"How the score falls while features are taken away: {number(_half(lines[0]))} at half, by {first.name}"
    alt = f"Mean score with half of the features gone: {told}. The faster it falls, the more the order tells."
    return Curve(title, alt, "share of features taken away", f"mean score ({scale})", lines)


def _half(found: Line) -> float:
    return found.y[len(found.y) // 2]


def heat(trials: Sequence[Trial]) -> Heat:
    """Which methods name the same features."""
    names = tuple(each.name for each in trials)
    matrix = quality.agreement({each.name: each.attribution.values for each in trials})
    values = tuple(tuple(float(cell) if np.isfinite(cell) else None for cell in line) for line in matrix)
    apart = matrix[np.tril_indices(len(names), -1)]
    known = apart[np.isfinite(apart)]
    told = f"{number(known.min())} to {number(known.max())}" if len(known) else "not measured"
    title = f"Agreement of the methods on which features matter: {told}"
    alt = "Mean rank correlation of the sizes of the values over the rows; 1 is the same order."
    return Heat(title, alt, names, names, values, "method", "method")


def shares_table(found: Mapping[str, Scaffolding]) -> Table:
    """Shares of influence in stand-ins taught on real and on made-up rows, where they differ most first."""
    worst = max(found, key=lambda name: found[name].gaps.mean())
    real, made_up = found[worst].real.shares.mean(axis=0), [each.made_up.shares.mean(axis=0) for each in found.values()]
    apart = np.max([np.abs(each - real) for each in made_up], axis=0)
    order = np.argsort(-apart, kind="stable")[:MOST_FEATURES]
    names, cells = found[worst].players, [real, *made_up]
    rows = tuple((names[place], *(float(each[place]) for each in cells)) for place in order)
    first, other = order[0], found[worst].made_up.shares.mean(axis=0)
    title = (
        f"Influence in stand-ins: {names[first]} has {number(real[first])} as taught on real rows and "
        f"{number(other[first])} on rows made up {worst}"
    )
    alt = "Mean shares of influence, the features where real and made-up rows differ most first."
    return Table(title, alt, ("feature", "real rows", *(f"made up {name}" for name in found)), rows)
