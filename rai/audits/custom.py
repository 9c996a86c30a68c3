"""What do the owner's own metrics say, over all rows and group by group?"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.audits._exhibits import bars, spread
from rai.audits._lift import joined, large_enough, lift, lift_gap
from rai.errors import plain
from rai.evidence import Evidence
from rai.stats.estimates import Estimate, undefined
from rai.stats.gaps import value_gap, value_ratio
from rai.subject import Floats, Groups, Ints, Metric, Subject

NEEDS = ("labels", "metrics")
MEASURES = ()
DRAWS = 200
MOST_UNDEFINED = 0.01
METHOD = (
    "Each metric is a function f(y_true, y_pred) of the owner's own; group values come from fairlearn's MetricFrame. "
    "For two classes it sees 1 for the positive class and 0 for the other. Intervals are percentiles over 200 "
    "resamples of the rows; gaps between groups have simultaneous lower bounds."
)


@dataclass(frozen=True)
class Pairs:
    """True and predicted values, shape (rows,) each."""

    true: NDArray[Any]
    predicted: NDArray[Any]


def measure(subject: Subject) -> Evidence:
    """Lift each metric to groups, with intervals, differences and ratios."""
    pairs = _pairs(subject)
    attributes = subject.data.attributes(intersections=subject.card.data.intersections)
    return joined(
        [_metric(subject, name, metric, pairs, attributes) for name, metric in subject.metrics.items()], METHOD
    )


def _pairs(subject: Subject) -> Pairs:
    labels, chosen = np.asarray(subject.data.labels), np.asarray(subject.predicted)
    if subject.card.task == "binary":
        return Pairs((labels == subject.positive).astype(np.int64), (chosen == subject.positive).astype(np.int64))
    return Pairs(labels, chosen)


def _metric(subject: Subject, name: str, metric: Metric, pairs: Pairs, attributes: Sequence[Groups]) -> Evidence:
    rng = subject.rng(f"custom {name}")
    overall = lift(_overall(metric, pairs, rng), name)
    grouped = [_grouped(name, metric, pairs, large_enough(groups), rng) for groups in attributes]
    return joined([Evidence((overall,)), *grouped], METHOD)


def _overall(metric: Metric, pairs: Pairs, rng: np.random.Generator) -> Estimate:
    rows = len(pairs.true)
    drawn = rng.integers(0, rows, size=(DRAWS, rows))
    return _estimate(_value(metric, pairs), np.array([_value(metric, _at(pairs, each)) for each in drawn]), rows)


def _grouped(name: str, metric: Metric, pairs: Pairs, groups: Groups, rng: np.random.Generator) -> Evidence:
    values = _by_group(metric, pairs, groups)
    draws = np.stack([_resampled(metric, pairs, groups, rng) for _ in range(DRAWS)])
    counts, facet = groups.counts, {"attribute": groups.name}
    found = [
        lift(_estimate(float(value), draw, int(count)), f"{name}_by_group", facet={**facet, "group": level})
        for value, draw, count, level in zip(values, draws.T, counts, groups.levels, strict=True)
    ]
    gap = lift_gap(value_gap(values, draws, counts, names=groups.levels), f"{name}_difference", facet=facet)
    ratio = lift_gap(value_ratio(values, draws, counts, names=groups.levels), f"{name}_ratio", facet=facet)
    return Evidence(
        (*found, gap, ratio), (bars(f"{plain(name)} by {groups.name}: {spread(found, 'group')}", found, "group"),)
    )


def _by_group(metric: Metric, pairs: Pairs, groups: Groups) -> Floats:
    """Value of the metric in every group; NaN where it is undefined."""
    from fairlearn.metrics import MetricFrame

    known = groups.codes >= 0
    frame = MetricFrame(
        metrics=lambda true, predicted: _value(metric, Pairs(np.asarray(true), np.asarray(predicted))),
        y_true=pairs.true[known],
        y_pred=pairs.predicted[known],
        sensitive_features=groups.codes[known],
    )
    by_code = frame.by_group.to_dict()
    return np.array([by_code.get(code, math.nan) for code in range(len(groups.levels))], dtype=np.float64)


def _resampled(metric: Metric, pairs: Pairs, groups: Groups, rng: np.random.Generator) -> Floats:
    """The metric in every group after drawing each group's rows anew, with replacement."""
    members = [np.flatnonzero(groups.mask(code)) for code in range(len(groups.levels))]
    drawn = [each[rng.integers(0, len(each), size=len(each))] if len(each) else each for each in members]
    return np.array([_value(metric, _at(pairs, each)) if len(each) else math.nan for each in drawn])


def _at(pairs: Pairs, rows: Ints) -> Pairs:
    return Pairs(pairs.true[rows], pairs.predicted[rows])


def _value(metric: Metric, pairs: Pairs) -> float:
    """The metric's value, or NaN where it warns that it is undefined or gives no finite number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = float(metric(pairs.true, pairs.predicted))
        except (ValueError, ZeroDivisionError, Warning):
            return math.nan
    return found if math.isfinite(found) else math.nan


def _estimate(value: float, draws: Floats, rows: int) -> Estimate:
    if math.isnan(value):
        return undefined("the metric is undefined on these rows", rows)
    known = draws[np.isfinite(draws)]
    if len(known) < (1.0 - MOST_UNDEFINED) * len(draws):
        reason = f"the metric is undefined in {len(draws) - len(known)} of {len(draws)} resamples"
        return Estimate(value, None, None, rows, "", reason)
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value), rows, f"percentiles of {DRAWS} resamples")
