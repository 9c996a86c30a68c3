"""Mitigation of a regression model: mean predictions and residuals of groups, before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from rai.audits._lift import group_gap, large_enough, lift
from rai.audits.mitigation.gaps import ALIKE, WHEN, Change, as_change
from rai.audits.mitigation.pairs import Pair
from rai.stats.bootstrap import DRAWS
from rai.stats.changes import gap_change
from rai.stats.estimates import Estimate, Gap, undefined
from rai.stats.means import mean_estimate
from rai.subject import Floats, Groups


@dataclass(frozen=True)
class Values:
    """A value of each row under both models, (rows,) each."""

    before: Floats
    after: Floats


def output_changes(pair: Pair, groups: Groups, rng: np.random.Generator) -> Iterator[Change]:
    """Gaps of mean predictions (demographic parity, in standard deviations of the labels), residuals and errors."""
    labels, large = np.asarray(pair.after.data.labels, dtype=np.float64), large_enough(groups)
    ends = [np.asarray(each.predicted, dtype=np.float64) for each in (pair.before, pair.after)]
    scale = float(labels.std())
    means = "Mean prediction, in standard deviations of the labels"
    parity = [("demographic_parity", means, Values(*(each / scale for each in ends)))] if scale > 0 else []
    kinds = (
        *parity,
        ("mean_residual", "Mean residual", Values(*(labels - each for each in ends))),
        ("mae", "Mean absolute error", Values(*(np.abs(labels - each) for each in ends))),
    )
    for name, title, values in kinds:
        gaps = [group_gap(each, large, rng) for each in (values.before, values.after)]
        change = _change(values, large, gaps, rng)
        yield as_change((name, title), gaps, change, {"attribute": groups.name})


def error_change(pair: Pair) -> Change:
    """Mean absolute error of all rows; the change is a mean over rows that both models saw."""
    labels = np.asarray(pair.after.data.labels, dtype=np.float64)
    errors = [np.abs(labels - each.predicted) for each in (pair.before, pair.after)]
    found = [mean_estimate(each) for each in (*errors, errors[1] - errors[0])]
    if found[2].low is None and found[2].value == 0.0:
        found[2] = Estimate(0.0, 0.0, 0.0, found[2].rows, ALIKE)
    lifted = [lift(each, f"error_{when}") for each, when in zip(found, WHEN, strict=True)]
    return Change("error", "Mean absolute error", lifted[0], lifted[1], lifted[2])


def group_error_changes(pair: Pair, groups: Groups) -> tuple[Change, ...]:
    """Mean absolute error of every group before and after; p of the matched t test, not yet adjusted."""
    labels = np.asarray(pair.after.data.labels, dtype=np.float64)
    before, after = (np.abs(labels - each.predicted) for each in (pair.before, pair.after))
    return tuple(
        _in_group(before[groups.mask(level)], after[groups.mask(level)], {"attribute": groups.name, "group": name})
        for level, name in enumerate(groups.levels)
    )


def _in_group(before: Floats, after: Floats, facet: Mapping[str, str]) -> Change:
    found = [mean_estimate(each) for each in (before, after, after - before)]
    ends = [lift(each, f"group_mae_{when}", facet=facet) for each, when in zip(found, WHEN, strict=True)]
    p = float(stats.ttest_rel(after, before).pvalue) if ends[2].low is not None else None
    if found[2].low is None and found[2].value == 0.0 and len(before) > 1:
        ends[2] = lift(Estimate(0.0, 0.0, 0.0, len(before), ALIKE), "group_mae_change", facet=facet)
    return Change("group_mae", "Mean absolute error", ends[0], ends[1], replace(ends[2], p=p))


def _change(values: Values, groups: Groups, gaps: list[Gap], rng: np.random.Generator) -> Estimate:
    lacking = next((each for each in gaps if each.value is None), None)
    rows = int((groups.codes >= 0).sum())
    if lacking is not None:
        return undefined(lacking.reason, rows)
    if np.array_equal(values.before, values.after):
        return Estimate(0.0, 0.0, 0.0, rows, ALIKE)
    both = np.stack([values.before, values.after])
    members = [both[:, groups.mask(level)] for level in range(len(groups.levels))]
    means = np.stack([each.mean(axis=1) for each in members], axis=-1)
    drawn = [rng.multivariate_normal(each.mean(axis=1), np.cov(each) / each.shape[1], size=DRAWS) for each in members]
    found = gap_change(means[:, None, :], np.stack(drawn, axis=-1)[:, :, None, :], rows)
    return Estimate(found.value, found.low, found.high, rows, found.method.replace("row bootstrap", "normal draws"))
