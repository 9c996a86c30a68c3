"""Group comparison of a regression model: whose values are predicted too high, and whose errors are larger."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rai.audits._exhibits import bars, spread
from rai.audits._lift import group_gap, joined, lift, lift_gap, undefined
from rai.audits.fairness.exhibits import mean_gap_table
from rai.evidence import Evidence, Measurement
from rai.stats.estimates import Gap
from rai.stats.means import mean_estimate
from rai.subject import Floats, Groups, Subject

GAPS = ("Mean residual", "Mean absolute error", "Mean residual, in standard deviations of the labels")
METHOD = (
    "A residual is the label less the prediction: above 0 the group's values are predicted too low. Group means have t "
    "intervals; the gap is the largest less the smallest group mean, its lower bound simultaneous over all pairs of "
    "groups. The standardized gap is in standard deviations of the labels. p comes from 2,000 permutations of group "
    "membership (largest difference in standard errors)."
)


def residual_evidence(subject: Subject, attributes: Sequence[Groups]) -> Evidence:
    """Mean residual and mean absolute error of every group, and their gaps."""
    actual = np.asarray(subject.data.labels, dtype=np.float64)
    residual = actual - np.asarray(subject.predicted, dtype=np.float64)
    scale = float(actual.std())
    return joined([_attribute(subject, groups, residual, scale) for groups in attributes], METHOD)


def _attribute(subject: Subject, groups: Groups, residual: Floats, scale: float) -> Evidence:
    rng = subject.rng(f"fairness {groups.name}")
    facet = {"attribute": groups.name}
    error = np.abs(residual)
    residuals = _by_group(groups, residual, "group_mean_residual")
    errors = _by_group(groups, error, "group_mae")
    apart, farther = (group_gap(values, groups, rng) for values in (residual, error))
    gaps = (
        lift_gap(apart, "mean_residual_difference", facet=facet),
        lift_gap(farther, "mae_difference", facet=facet),
        _standardized(apart, scale, facet),
    )
    charts = (
        mean_gap_table(facet, tuple(zip(GAPS, gaps, strict=True))),
        bars(f"Mean residual by {groups.name}: {spread(residuals, 'group')}", residuals, "group", reference=0.0),
        bars(f"Mean absolute error by {groups.name}: {spread(errors, 'group')}", errors, "group"),
    )
    return Evidence((*residuals, *errors, *gaps), charts)


def _standardized(gap: Gap, scale: float, facet: Mapping[str, str]) -> Measurement:
    """The same gap in standard deviations of the true values."""
    name = "standardized_residual_difference"
    if scale == 0:
        return undefined(name, "all true values are the same", rows=gap.rows, facet=facet)
    found = lift_gap(gap, name, facet=facet)
    return replace(
        found,
        value=_scaled(found.value, scale),
        low=_scaled(found.low, scale),
        high=_scaled(found.high, scale),
        chance=_scaled(found.chance, scale),
        corrected=_scaled(found.corrected, scale),
        detectable=_scaled(found.detectable, scale),
    )


def _scaled(number: float | None, scale: float) -> float | None:
    return None if number is None else number / scale


def _by_group(groups: Groups, values: Floats, name: str) -> list[Measurement]:
    return [
        lift(mean_estimate(values[groups.mask(i)]), name, facet={"attribute": groups.name, "group": level})
        for i, level in enumerate(groups.levels)
    ]
