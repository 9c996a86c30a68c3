"""The trade-off curve: what each method gives at each strength, in accuracy and in the gap, over several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import nn

from rai.errors import InputError
from rai.ledger import Trial
from rai.stats.estimates import Estimate
from rai.train.batches import Rows
from rai.train.checks import require_settings
from rai.train.fair.gaps import CRITERIA, gap_name
from rai.train.fair.points import BASELINE, Point, cell, mean_over_seeds, point_of, reach_of, row_of, value_of, word_of
from rai.train.fair.sensitive import Marked, marked, marked_like
from rai.train.fair.trials import Asked, Watch, Work, trials
from rai.train.given import Given, rows_given
from rai.train.losses import Task
from rai.train.search import non_dominated
from rai.train.settings import Fair, Fit

STRENGTHS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        BASELINE: (0.0,),
        "adversarial": (0.1, 0.3, 1.0),
        "gap_penalty": (0.1, 0.3, 1.0, 3.0),
        "threshold": (0.25, 0.5, 0.75, 0.9, 1.0),
        "reductions": (0.5, 0.75, 0.9),
        "reweighing": (0.5, 1.0),
    }
)
"""Which strengths of a method are tried where nobody says."""
METHODS = ("none", "gap_penalty", "adversarial", "threshold")
QUALITY = ("accuracy", "r2")
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Told apart by colour-blind readers (Okabe & Ito 2008); marks differ as well."""
MARKS = "sovD^P"
FIT, FAIR = Fit(), Fair()


@dataclass(frozen=True)
class Frontier:
    """A trade-off curve: every trial that was made, and what they say together.

    `criterion` is the one that training aimed at. Points that others dominate stay in.
    """

    trials: tuple[Trial, ...]
    criterion: str

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """A point for each method and strength that could be trained, in the order they were asked for."""
        found = [point_of(each) for each in self._cells.values()]
        known = [place for place, each in enumerate(found) if None not in self._goals(each)]
        goals = np.array([self._goals(found[place]) for place in known], dtype=np.float64).reshape(-1, 2)
        front = {known[place] for place in np.flatnonzero(non_dominated(goals))}
        return tuple(replace(each, front=place in front) for place, each in enumerate(found))

    @property
    def gap(self) -> str:
        """The name of the criterion's gap among the values."""
        return gap_name(self.criterion)

    @property
    def quality(self) -> str:
        """The name of what is to stay high: accuracy, or r2 for regression."""
        return next((name for each in self.trials for name in QUALITY if name in each.values), QUALITY[0])

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that could not be trained; their warnings say why."""
        return tuple(each for each in self.trials if not each.values)

    def best(self, at_most: float = 0.02, *, baseline: bool = True) -> Point | None:
        """Return the point of highest accuracy among those whose mean gap is at most `at_most`; None without any.

        Without `baseline`, training without a criterion is not among them.
        """
        points = [each for each in self.points if baseline or each.method != BASELINE]
        able = [each for each in points if value_of(each, self.gap, np.inf) <= at_most]
        return max(able, key=lambda each: value_of(each, self.quality, -np.inf), default=None)

    def change(self, point: Point) -> Mapping[str, Estimate]:
        """Return by how much each value differs from the baseline's, seed by seed: mean and t interval of 95 %.

        A negative change of a gap means that it is lower. Undefined without a baseline ("none") among the methods.
        """
        before = {each.seed: each.values for each in self.trials if each.method == BASELINE}
        after = self._cells[point.method, point.strength]
        pairs = [(before[each.seed], each.values) for each in after if each.seed in before]
        names = dict.fromkeys(name for each in after for name in each.values)
        return {
            name: mean_over_seeds([new[name] - old[name] for old, new in pairs if name in old and name in new])
            for name in names
        }

    def to_frame(self) -> Any:
        """Return a pandas frame with a row a point: each value with `_low` and `_high`, None where there is none."""
        from pandas import DataFrame

        return DataFrame([row_of(each) for each in self.points])

    def plot(self, axes: Any = None) -> Any:
        """Draw accuracy against the gap, with the intervals over seeds, and return matplotlib's `Axes`.

        The front is joined by a line; dominated points stay, hollow. Raises `InputError` without matplotlib.
        """
        axes = _axes() if axes is None else axes
        methods = list(dict.fromkeys(each.method for each in self.points))
        known = sorted((each for each in self.points if None not in self._goals(each)), key=self._place)
        for place, each in enumerate(known):
            look = methods.index(each.method) % len(MARKS)
            self._draw(axes, each, {"color": COLOURS[look], "marker": MARKS[look]}, above=place % 2 == 0)
        front = [self._place(each) for each in known if each.front]
        axes.plot(*zip(*front, strict=True), color="#888888", linewidth=1, zorder=1)
        axes.set_xlabel(f"{self.gap.replace('_', ' ')} (mean and 95 % interval over seeds)")
        axes.set_ylabel(self.quality)
        return axes

    def __repr__(self) -> str:
        """A short table: `*` marks the front, "warned" a point with warnings.

        A direction is said only where the interval of the change leaves out 0.
        """
        heads = ("", "method", "seeds", self.quality, self.gap.replace("_", " "), "against none")
        lines = [heads, *(self._line(each) for each in self.points)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
        shown = ["  ".join(f"{each:<{width}}" for each, width in zip(line, widths, strict=True)) for line in lines]
        lost = [f"{each.method} {each.strength:g}, seed {each.seed}: {each.warnings[0]}" for each in self.failed]
        return "\n".join(each.rstrip() for each in (*shown, *lost))

    @cached_property
    def _cells(self) -> Mapping[tuple[str, float], list[Trial]]:
        found: dict[tuple[str, float], list[Trial]] = {}
        for each in self.trials:
            if each.values:
                found.setdefault((each.method, each.strength), []).append(each)
        return found

    def _goals(self, point: Point) -> tuple[float | None, float | None]:
        """Accuracy and the gap with its sign turned: both to be large; None where one is not known."""
        gap = value_of(point, self.gap, None)
        return value_of(point, self.quality, None), None if gap is None else -gap

    def _place(self, point: Point) -> tuple[float, float]:
        return value_of(point, self.gap, 0.0), value_of(point, self.quality, 0.0)

    def _draw(self, axes: Any, point: Point, style: Mapping[str, str], *, above: bool) -> None:
        """A mark with whiskers, hollow where dominated; neighbours have their labels on different sides."""
        x, y = (reach_of(point.values[name]) for name in (self.gap, self.quality))
        filled = style["color"] if point.front else "white"
        axes.errorbar(*self._place(point), xerr=x, yerr=y, markerfacecolor=filled, elinewidth=0.8, **style)
        aside = (5, 4 if above else -4)
        look = {"color": style["color"], "fontsize": 8, "va": "bottom" if above else "top"}
        axes.annotate(point.label, self._place(point), xytext=aside, textcoords="offset points", **look)

    def _line(self, point: Point) -> tuple[str, ...]:
        shown = [cell(point.values.get(name)) for name in (self.quality, self.gap)]
        change = self.change(point)
        named = () if point.method == BASELINE else (self.quality, self.gap)
        words = [*(word_of(change.get(name), name) for name in named), "warned" if point.warnings else ""]
        return ("*" if point.front else "", point.label, str(point.seeds), *shown, ", ".join(filter(None, words)))


def frontier(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    network: nn.Module,
    data: Given,
    *,
    sensitive: Any,
    test: Any,
    criterion: str = "demographic_parity",
    methods: Sequence[str] = METHODS,
    strengths: Mapping[str, Sequence[float]] | None = None,
    seeds: int = 5,
    settings: Fit = FIT,
    fair: Fair = FAIR,
    task: Task | None = None,
    jobs: int = 1,
    cache: Path | str | None = None,
    watch: Watch | None = None,
) -> Frontier:
    """Train every method at every strength with several seeds, and show what each gives on rows it did not learn from.

    `data`, `settings`, `task` are those of `rai.train.fit`, and `sensitive`, `fair` those of `rai.train.fit_fair`;
    method and strength of `fair` are set by each trial. `test` is like `data`, or (X, y, who) where `sensitive` holds
    values and no names. Method "none" is the baseline. `strengths` maps methods to the strengths that are tried. Seeds
    count from `settings.seed`; all start from the network's weights, unless `settings.initialization` draws them anew.

    `jobs` processes train at a time, one thread each; the numbers are the same for any `jobs` (only seconds differ).
    Each trial is kept as a file in the folder `cache`, under a name that changes with everything that determines it, so
    a second call trains what is missing. `watch(done, of, trial)` hears of each. Raises `InputError` for anything that
    fits nothing, and when no trial could be trained; a trial that alone could not be is among `Frontier.failed`.
    """
    require_settings(settings)
    _require(criterion, seeds, jobs)
    if fair.attribute_at_predict:
        what = "is on, and the test rows are measured without the attribute"
        raise InputError(what, where="fair.attribute_at_predict", do="leave it off")
    fair = replace(fair, criterion=criterion)  # type: ignore[arg-type]
    who = fair.sensitive if sensitive is None else sensitive
    learned = marked(rows_given(data, network, task), who, intersections=fair.intersections)
    tested = _tested(network, test, learned)
    work = Work(network, learned, tested, fair, settings, None if cache is None else Path(cache))
    cells = [(method, each) for method in methods for each in _strengths(method, strengths or {})]
    wanted = [Asked(*cell, settings.seed + seed) for cell in dict.fromkeys(cells) for seed in range(seeds)]
    return Frontier(trials(work, wanted, jobs=jobs, watch=watch), criterion)


def _require(criterion: str, seeds: int, jobs: int) -> None:
    if criterion not in CRITERIA:
        raise InputError(f"is {criterion!r}", where="criterion", expected=f"one of {', '.join(CRITERIA)}")
    for name, given in (("seeds", seeds), ("jobs", jobs)):
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise InputError(f"is {given!r}", where=name, expected="a whole number from 1")


def _strengths(method: str, given: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    for each in (method, *given):
        if each not in STRENGTHS:
            raise InputError(f"there is no method {each!r}", where="methods", expected=f"among {', '.join(STRENGTHS)}")
    found = tuple(float(each) for each in given.get(method, STRENGTHS[method]))
    bad = next((each for each in found if not 0 <= each < np.inf), None)
    if not found or bad is not None:
        what = "lists no strength" if bad is None else f"lists {bad:g}"
        raise InputError(what, where=f"strengths.{method}", expected="one number from 0 or more")
    return found


def _tested(network: nn.Module, test: Any, learned: Marked) -> Rows:
    """The rows to measure on, with codes of the attributes that are learned with."""
    triple = isinstance(test, tuple | list) and len(test) == 3
    rows = rows_given(tuple(test[:2]) if triple else test, network, learned.rows.task)
    named = not triple and all(name in rows.groups for name in learned.names)
    if not triple and not named:
        raise InputError("nobody said who belongs to which group", where="test", expected="(X, y, who)")
    return marked_like(rows, test[2] if triple else learned.names, learned)


def _axes() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("the package matplotlib is not installed", do="run: pip install matplotlib") from None
    return Figure(figsize=(7, 5), layout="constrained").subplots()
