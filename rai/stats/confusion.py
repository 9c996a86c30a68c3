"""Confusion matrices as counts, and every metric that is a function of them. Cells: tn, fp, fn, tp."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rai.stats.arrays import Bools, Floats, Ints

CELLS = ("tn", "fp", "fn", "tp")
Cells = Floats | Ints
Metric = Callable[[Cells], Floats]


def binary_counts(actual: Bools, predicted: Bools, codes: Ints | None = None, groups: int = 0) -> Ints:
    """Count true negatives, false positives, false negatives and true positives, shape (4,).

    With `codes` (positions 0..groups-1, negative where unknown) the shape is (groups, 4); unknown rows are left out.
    """
    cell = 2 * np.asarray(actual, dtype=np.intp) + np.asarray(predicted, dtype=np.intp)
    if codes is None:
        return np.bincount(cell, minlength=4)
    known = np.asarray(codes) >= 0
    flat = 4 * np.asarray(codes)[known].astype(np.intp) + cell[known]
    return np.bincount(flat, minlength=4 * groups).reshape(groups, 4)


def quotient(above: Cells, below: Cells) -> Floats:
    """Divide element by element; NaN where the lower number is 0, for a share of nothing is undefined."""
    known = np.asarray(below) != 0
    return np.asarray(np.where(known, np.asarray(above), np.nan) / np.where(known, below, 1))


def accuracy(cells: Cells) -> Floats:
    """Share of rows predicted right."""
    return quotient(cells[..., 0] + cells[..., 3], cells.sum(axis=-1))


def true_positive_rate(cells: Cells) -> Floats:
    """Share of the actual positives that are predicted positive: the recall."""
    return quotient(cells[..., 3], cells[..., 2] + cells[..., 3])


def false_positive_rate(cells: Cells) -> Floats:
    """Share of the actual negatives that are predicted positive."""
    return quotient(cells[..., 1], cells[..., 0] + cells[..., 1])


def false_negative_rate(cells: Cells) -> Floats:
    """Share of the actual positives that are predicted negative."""
    return quotient(cells[..., 2], cells[..., 2] + cells[..., 3])


def true_negative_rate(cells: Cells) -> Floats:
    """Share of the actual negatives that are predicted negative: the specificity."""
    return quotient(cells[..., 0], cells[..., 0] + cells[..., 1])


def precision(cells: Cells) -> Floats:
    """Share of the predicted positives that are actual positives."""
    return quotient(cells[..., 3], cells[..., 1] + cells[..., 3])


def negative_predictive_value(cells: Cells) -> Floats:
    """Share of the predicted negatives that are actual negatives."""
    return quotient(cells[..., 0], cells[..., 0] + cells[..., 2])


def balanced_accuracy(cells: Cells) -> Floats:
    """Mean of the shares predicted right among actual positives and among actual negatives."""
    return (true_positive_rate(cells) + true_negative_rate(cells)) / 2


def f1(cells: Cells) -> Floats:
    """Harmonic mean of precision and recall; undefined where nothing is positive, neither actual nor predicted."""
    return quotient(2 * cells[..., 3], 2 * cells[..., 3] + cells[..., 1] + cells[..., 2])


def selection_rate(cells: Cells) -> Floats:
    """Share of rows predicted positive."""
    return quotient(cells[..., 1] + cells[..., 3], cells.sum(axis=-1))


def base_rate(cells: Cells) -> Floats:
    """Share of rows that are actual positives."""
    return quotient(cells[..., 2] + cells[..., 3], cells.sum(axis=-1))


def mcc(cells: Cells) -> Floats:
    """Matthews correlation of predicted and actual; undefined where either never varies."""
    tn, fp, fn, tp = (cells[..., i].astype(np.float64) for i in range(4))
    spread = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return quotient(tp * tn - fp * fn, spread)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "precision": precision,
        "recall": true_positive_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
        "true_negative_rate": true_negative_rate,
        "negative_predictive_value": negative_predictive_value,
        "f1": f1,
        "selection_rate": selection_rate,
        "base_rate": base_rate,
        "mcc": mcc,
    }
)
"""Every metric by name: a function of cells (..., 4) that gives (...), NaN where 0/0."""


def confusion_matrix(actual: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts (classes, classes) of class positions: rows actual, columns predicted."""
    flat = np.asarray(actual, dtype=np.intp) * classes + np.asarray(predicted, dtype=np.intp)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def class_f1(cells: Cells) -> Floats:
    """F1 of each class, (..., classes), from flattened matrices (..., classes²); NaN if never there nor predicted."""
    square = _square(cells)
    return quotient(2 * _hits(cells), square.sum(axis=-1) + square.sum(axis=-2))


def macro_f1(cells: Cells) -> Floats:
    """Mean F1 over classes; NaN if any class neither occurs nor is predicted."""
    return np.asarray(class_f1(cells).mean(axis=-1))


def _square(cells: Cells) -> Cells:
    classes = math.isqrt(cells.shape[-1])
    return cells.reshape(*cells.shape[:-1], classes, classes)


def _hits(cells: Cells) -> Cells:
    return np.asarray(np.diagonal(_square(cells), axis1=-2, axis2=-1))
