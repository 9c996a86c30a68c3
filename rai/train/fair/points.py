"""One point of a trade-off curve: a method at one strength, as the mean over seeds with how far seeds differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rai.ledger import Trial
from rai.stats.estimates import Estimate, undefined
from rai.stats.means import mean_estimate

BASELINE = "none"
ALONE = "one seed: nothing says how far others would differ"
ALIKE = "all seeds gave the same value: too little variation for an interval"


@dataclass(frozen=True)
class Point:
    """One method at one strength: the mean of each value over seeds, with Student's t interval of 95 %.

    `values` are named as in fairlearn, `accuracy` (for regression `r2`) first. An interval is about how far seeds
    differ on these very rows. `front`: no other point is at least as good in accuracy and in the criterion's gap and
    better in one. `warnings` are those of its trials.
    """

    method: str
    strength: float
    seeds: int
    values: Mapping[str, Estimate]
    front: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Method and strength in a few letters."""
        return self.method if self.method == BASELINE else f"{self.method.replace('_', ' ')} {self.strength:g}"


def point_of(of: Sequence[Trial]) -> Point:
    """Return the point of trials that differ by seed alone."""
    names = dict.fromkeys(name for each in of for name in each.values)
    lists = {name: [each.values[name] for each in of if name in each.values] for name in names}
    values = {name: mean_over_seeds(each, least=-np.inf if name == "r2" else 0.0) for name, each in lists.items()}
    said = tuple(dict.fromkeys(line for each in of for line in each.warnings))
    return Point(of[0].method, of[0].strength, len(of), values, warnings=said)


def mean_over_seeds(values: Sequence[float], *, least: float = -np.inf) -> Estimate:
    """Mean over seeds with Student's t interval, or without one and the reason why."""
    if not values:
        return undefined("no seed has this value and the baseline's")
    found = mean_estimate(np.asarray(values, dtype=np.float64), least=least)
    return found if found.low is not None else replace(found, reason=ALONE if len(values) == 1 else ALIKE)


def value_of(point: Point, name: str, default: Any) -> Any:
    """Return the mean of a value, or `default` where there is none."""
    found = point.values.get(name)
    return default if found is None or found.value is None else found.value


def row_of(point: Point) -> dict[str, Any]:
    """Return a point as a row of a table: each value under its name, with `_low` and `_high` beside it."""
    cells = {
        key: each
        for name, found in point.values.items()
        for key, each in ((name, found.value), (f"{name}_low", found.low), (f"{name}_high", found.high))
    }
    return {
        "method": point.method,
        "strength": point.strength,
        "seeds": point.seeds,
        **cells,
        "front": point.front,
        "warnings": "; ".join(point.warnings),
    }


def cell(found: Estimate | None) -> str:
    """Return a value with its interval as a cell of a printed table."""
    if found is None or found.value is None:
        return "undefined"
    if found.low is None or found.high is None:
        return f"{found.value:.4f}"
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"


def word_of(change: Estimate | None, name: str) -> str:
    """What may be said of a change: a direction only where its interval leaves out 0."""
    if change is None or change.low is None or change.high is None:
        return ""
    what = "gap" if name.endswith("_difference") else name
    return f"{what} lower" if change.high < 0 else f"{what} higher" if change.low > 0 else f"{what} not told apart"


def reach_of(found: Estimate) -> Any:
    """How far the whiskers go down and up, as matplotlib takes them; None without an interval."""
    if found.value is None or found.low is None or found.high is None:
        return None
    return [[found.value - found.low], [found.high - found.value]]
