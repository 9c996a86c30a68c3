"""How far a regression model's values lie off, and where."""

import numpy as np

from rai.audits._exhibits import floats, number, percent
from rai.audits._lift import hidden, lift, undefined
from rai.evidence import SMALLEST_CELL, Evidence, Measurement, Scatter
from rai.stats.means import mae_estimate, mean_estimate, r2_estimate, rmse_estimate
from rai.subject import Floats, Subject

METHOD = (
    "A residual is the label less the prediction. Mean errors have Student t intervals, root mean square error one on "
    "the log scale; R² is resampled. Pictured cells of 1 to 4 rows are drawn as empty."
)
EDGE = 0.005
"""Share of rows left out of the picture at each end, so that no outlying person stands alone in it."""


def regression(subject: Subject) -> Evidence:
    """Absolute, squared and signed error, explained variance, and residuals against predictions."""
    actual = np.asarray(subject.data.labels, dtype=np.float64)
    predicted = np.asarray(subject.predicted, dtype=np.float64)
    found = (
        lift(mae_estimate(actual, predicted), "mae"),
        lift(rmse_estimate(actual, predicted), "rmse"),
        _explained(subject, actual, predicted),
        lift(mean_estimate(actual - predicted), "mean_residual"),
    )
    return Evidence(found, (residuals(predicted, actual - predicted),) if len(actual) >= SMALLEST_CELL else ())


def _explained(subject: Subject, actual: Floats, predicted: Floats) -> Measurement:
    if len(actual) and np.ptp(actual) == 0:
        return undefined("r2", "the label has one value in all test rows", rows=len(actual))
    return lift(r2_estimate(actual, predicted, subject.rng("performance r2")), "r2")


def residuals(predicted: Floats, residual: Floats) -> Scatter:
    """Residuals against predictions in a grid of at most 20 by 20 cells; cells of 1 to 4 rows read 0."""
    cells = int(np.clip(np.sqrt(len(predicted) / 20), 4, 20))
    x_edges, y_edges = _edges(predicted, cells), _edges(residual, cells)
    counts = np.histogram2d(residual, predicted, bins=(y_edges, x_edges))[0].astype(np.int64)
    few = int(sum(hidden(int(count)) for count in counts.ravel()))
    outside = percent(1 - counts.sum() / len(predicted))
    typical = number(float(np.median(np.abs(residual))))
    return Scatter(
        f"Residuals against predictions: half of the predictions lie within {typical} of the label",
        f"Rows in {cells} by {cells} cells. {few} cells of 1 to 4 rows are drawn as empty; {outside} of the rows lie "
        "outside the axes.",
        x_label="predicted",
        y_label="residual (label less prediction)",
        x_edges=floats(x_edges),
        y_edges=floats(y_edges),
        counts=tuple(tuple(0 if hidden(int(count)) else int(count) for count in line) for line in counts),
    )


def _edges(values: Floats, cells: int) -> Floats:
    low, high = np.quantile(values, [EDGE, 1 - EDGE])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, cells + 1)
