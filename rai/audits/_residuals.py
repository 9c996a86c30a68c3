"""Group comparison of a regression model: whose values are predicted too high, and whose errors are larger."""

from collections.abc import Sequence

import numpy as np

from rai.audits._exhibits import bars, spread
from rai.audits._lift import joined, large_enough, lift, lift_gap, undefined
from rai.evidence import Evidence, Measurement
from rai.stats.means import mean_estimate, mean_gap
from rai.subject import Floats, Groups, Subject

METHOD = (
    "A residual is the predicted less the true value. Group means have t intervals; the gap is the largest less the "
    "smallest group mean, its lower bound simultaneous over all pairs of groups. The standardized gap is in standard "
    "deviations of the true values."
)


def residual_evidence(subject: Subject, attributes: Sequence[Groups]) -> Evidence:
    """Mean residual and mean absolute error of every group, and their gaps."""
    actual = np.asarray(subject.data.labels, dtype=np.float64)
    residual = np.asarray(subject.predicted, dtype=np.float64) - actual
    scale = float(actual.std())
    return joined([_attribute(subject, groups, residual, scale) for groups in attributes], METHOD)


def _attribute(subject: Subject, groups: Groups, residual: Floats, scale: float) -> Evidence:
    rng = subject.rng(f"fairness {groups.name}")
    facet = {"attribute": groups.name}
    error = np.abs(residual)
    residuals = _by_group(groups, residual, "group_mean_residual")
    errors = _by_group(groups, error, "group_mae")
    gaps = [
        _gap(groups, values, name, rng)
        for values, name in ((residual, "mean_residual_difference"), (error, "mae_difference"))
    ]
    if scale > 0:
        gaps.append(_gap(groups, residual / scale, "standardized_residual_difference", rng))
    else:
        gaps.append(undefined("standardized_residual_difference", "all true values are the same", facet=facet))
    charts = (
        bars(f"Mean residual by {groups.name}: {spread(residuals, 'group')}", residuals, "group", reference=0.0),
        bars(f"Mean absolute error by {groups.name}: {spread(errors, 'group')}", errors, "group", reference=0.0),
    )
    return Evidence((*residuals, *errors, *gaps), charts)


def _by_group(groups: Groups, values: Floats, name: str) -> list[Measurement]:
    return [
        lift(mean_estimate(values[groups.mask(i)]), name, facet={"attribute": groups.name, "group": level})
        for i, level in enumerate(groups.levels)
    ]


def _gap(groups: Groups, values: Floats, name: str, rng: np.random.Generator) -> Measurement:
    large = large_enough(groups)
    known = large.codes >= 0
    gap = mean_gap(values[known], large.codes[known], len(large.levels), rng, names=large.levels)
    return lift_gap(gap, name, facet={"attribute": groups.name})
