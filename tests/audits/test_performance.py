"""The performance audit gives the numbers that scikit-learn gives, with intervals that cover what was planted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from rai.audits import performance
from rai.audits.performance.classification import sweep_counts
from rai.audits.performance.regression import residuals
from rai.evidence import Curve, Heat, Measurement

Make = Callable[..., Any]


def binary(seed: int, rows: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    chance = np.round(rng.beta(1, 2, rows), 2)
    return chance, (rng.random(rows) < chance).astype(int)


def covers(found: Measurement, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def test_binary_numbers_are_scikit_learns(make_subject: Make, one: Make) -> None:
    chance, label = binary(1)
    said = (chance >= 0.5).astype(int)
    found = performance.measure(make_subject(chance, label))
    known = {
        "accuracy": metrics.accuracy_score(label, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, said),
        "precision": metrics.precision_score(label, said),
        "recall": metrics.recall_score(label, said),
        "f1": metrics.f1_score(label, said),
        "roc_auc": metrics.roc_auc_score(label, chance),
        "average_precision": metrics.average_precision_score(label, chance),
        "log_loss": metrics.log_loss(label, np.clip(chance, 1e-15, 1 - 1e-15)),
        "accuracy_over_majority": metrics.accuracy_score(label, said) - max(label.mean(), 1 - label.mean()),
        "precision_macro": metrics.precision_score(label, said, average="macro"),
        "f1_macro": metrics.f1_score(label, said, average="macro"),
        "f1_weighted": metrics.f1_score(label, said, average="weighted"),
    }
    assert {each.name for each in found.measurements} == set(known)
    for name, value in known.items():
        assert one(found, name).value == pytest.approx(value, abs=1e-12), name
        assert covers(one(found, name), value), name


def test_the_positive_class_may_be_the_first(make_subject: Make, one: Make) -> None:
    chance, label = binary(2)
    last = performance.measure(make_subject(chance, label))
    first = performance.measure(make_subject(chance, 1 - label, classes=("yes", "no"), positive="yes"))
    for name in ("accuracy", "precision", "recall", "roc_auc", "average_precision", "log_loss", "f1"):
        assert one(first, name).value == pytest.approx(one(last, name).value, abs=1e-12), name


def test_a_planted_accuracy_is_covered(make_subject: Make, one: Make) -> None:
    """Labels flipped in 20 % of the rows: accuracy .8, recall .8, and .3 above guessing."""
    rng = np.random.default_rng(3)
    truth = rng.random(4000) < 0.5
    label = truth ^ (rng.random(4000) < 0.2)
    found = performance.measure(make_subject(np.where(truth, 0.9, 0.1), label.astype(int)))
    assert covers(one(found, "accuracy"), 0.8)
    assert covers(one(found, "recall"), 0.8)
    assert covers(one(found, "roc_auc"), 0.8)
    assert covers(one(found, "accuracy_over_majority"), 0.3)


def test_a_model_that_guesses_is_seen_to_guess(make_subject: Make, one: Make) -> None:
    rng = np.random.default_rng(4)
    label = (rng.random(3000) < 0.3).astype(int)
    found = performance.measure(make_subject(rng.random(3000), label))
    assert covers(one(found, "roc_auc"), 0.5)
    assert covers(one(found, "average_precision"), 0.3)
    assert one(found, "accuracy_over_majority").high < 0


def test_always_the_commonest_class_is_no_better_than_itself(make_subject: Make, one: Make) -> None:
    label = np.array([0] * 700 + [1] * 300)
    found = performance.measure(make_subject(np.full(1000, 0.1), label))
    assert one(found, "accuracy_over_majority").value == 0.0
    assert "no test row is predicted yes" in one(found, "precision").reason
    assert one(found, "recall").value == 0.0


def test_a_perfect_model_has_intervals_too(make_subject: Make, one: Make) -> None:
    label = np.tile([0, 1], 200)
    found = performance.measure(make_subject(np.where(label, 0.9, 0.1), label))
    assert covers(one(found, "roc_auc"), 1.0)
    assert 0.97 < one(found, "roc_auc").low < 1.0
    assert 0.97 < one(found, "accuracy").low < 1.0


def test_one_class_only_is_undefined_and_says_which(make_subject: Make, one: Make) -> None:
    found = performance.measure(make_subject(np.linspace(0, 1, 60), np.zeros(60, dtype=int)))
    for name in ("roc_auc", "average_precision", "recall", "balanced_accuracy"):
        assert one(found, name).value is None
        assert one(found, name).reason == "no test row is yes"
    assert one(found, "accuracy").value == pytest.approx(0.5)
    assert not any(isinstance(each, Curve) for each in found.exhibits)


def test_several_classes_are_scikit_learns(make_subject: Make, one: Make) -> None:
    rng = np.random.default_rng(5)
    chances = rng.dirichlet([2, 1, 1], 900)
    label = np.array([rng.choice(3, p=row) for row in chances])
    said = chances.argmax(axis=1)
    found = performance.measure(make_subject(chances, label, task="multiclass", classes=("a", "b", "c")))
    known = {
        "accuracy": metrics.accuracy_score(label, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, said),
        "precision_macro": metrics.precision_score(label, said, average="macro"),
        "f1_macro": metrics.f1_score(label, said, average="macro"),
        "f1_weighted": metrics.f1_score(label, said, average="weighted"),
        "roc_auc": metrics.roc_auc_score(label, chances, multi_class="ovr"),
        "average_precision": metrics.average_precision_score(np.eye(3)[label], chances),
        "log_loss": metrics.log_loss(label, chances),
        "accuracy_over_majority": metrics.accuracy_score(label, said) - np.bincount(label).max() / 900,
    }
    for name, value in known.items():
        assert one(found, name).value == pytest.approx(value, abs=1e-12), name
        assert covers(one(found, name), value), name
    for place, name in enumerate("abc"):
        each = metrics.precision_recall_fscore_support(label, said, labels=[place])
        for what, value in zip(("precision", "recall", "f1"), each[:3], strict=True):
            assert one(found, what, cls=name).value == pytest.approx(value[0], abs=1e-12)


def test_a_class_that_never_occurs_is_named(make_subject: Make, one: Make) -> None:
    chances = np.tile([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]], (30, 1))
    found = performance.measure(make_subject(chances, np.tile([0, 1], 30), task="multiclass", classes=("a", "b", "c")))
    assert one(found, "roc_auc").reason == "no test row is c"
    assert one(found, "balanced_accuracy").reason == "no test row is c"
    assert one(found, "precision_macro").reason == "no test row is predicted c"
    assert one(found, "f1", cls="c").reason == "no test row is c or is predicted c"
    assert one(found, "f1_weighted").value == 1.0


def test_small_cells_of_the_confusion_matrix_are_not_shown(make_subject: Make) -> None:
    label = np.array([0] * 50 + [1] * 50)
    chance = np.where(label, 0.9, 0.1)
    chance[:3], chance[-7:] = 0.9, 0.1
    heat = next(each for each in performance.measure(make_subject(chance, label)).exhibits if isinstance(each, Heat))
    assert heat.values == ((47, None), (7, 43))
    assert heat.row_labels == ("no", "yes")


def test_the_threshold_sweep_counts_like_a_loop() -> None:
    chance, label = binary(6, rows=200)
    thresholds = np.arange(1, 100) / 100
    slow = [
        [
            sum((p >= t) == said and y == actual for p, y in zip(chance, label, strict=True))
            for actual in (0, 1)
            for said in (False, True)
        ]
        for t in thresholds
    ]
    assert sweep_counts(label == 1, chance, thresholds).tolist() == slow


def test_curves_have_at_most_a_hundred_points_and_end_where_they_must(make_subject: Make) -> None:
    chance, label = binary(7)
    curves = [each for each in performance.measure(make_subject(chance, label)).exhibits if isinstance(each, Curve)]
    assert len(curves) == 3
    assert all(len(line.x) == len(line.y) <= 100 for curve in curves for line in curve.lines)
    roc = curves[0].lines[0]
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0.0, 0.0, 1.0, 1.0)


def regression(seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.normal(0, 2, 2000)
    return predicted, predicted + shift + rng.normal(0, 1, 2000)


def test_regression_numbers_are_scikit_learns(make_subject: Make, one: Make) -> None:
    predicted, label = regression(8)
    found = performance.measure(make_subject(predicted, label, task="regression"))
    known = {
        "mae": metrics.mean_absolute_error(label, predicted),
        "rmse": metrics.root_mean_squared_error(label, predicted),
        "r2": metrics.r2_score(label, predicted),
        "mean_residual": (label - predicted).mean(),
    }
    assert {each.name for each in found.measurements} == set(known)
    for name, value in known.items():
        assert one(found, name).value == pytest.approx(value, abs=1e-12)
    assert covers(one(found, "rmse"), 1.0)
    assert covers(one(found, "r2"), 0.8)
    assert covers(one(found, "mean_residual"), 0.0)


def test_a_planted_shift_is_covered(make_subject: Make, one: Make) -> None:
    predicted, label = regression(9, shift=0.5)
    found = one(performance.measure(make_subject(predicted, label, task="regression")), "mean_residual")
    assert covers(found, 0.5)
    assert found.low > 0


def test_a_label_that_never_varies_has_no_r2(make_subject: Make, one: Make) -> None:
    found = performance.measure(make_subject(np.arange(20.0), np.ones(20), task="regression"))
    assert one(found, "r2").value is None
    assert "one value" in one(found, "r2").reason


def test_the_residual_picture_hides_single_people() -> None:
    predicted, label = regression(10)
    scatter = residuals(predicted, label - predicted)
    counts = np.array(scatter.counts)
    slow = np.histogram2d(label - predicted, predicted, bins=(scatter.y_edges, scatter.x_edges))[0]
    assert not ((counts > 0) & (counts < 5)).any()
    assert (counts[slow >= 5] == slow[slow >= 5]).all()
    assert (counts[slow < 5] == 0).all()
    assert f"{int(((slow > 0) & (slow < 5)).sum())} cells of 1 to 4 rows" in scatter.alt


def test_names_are_declared_and_the_answer_repeats(make_subject: Make) -> None:
    chance, label = binary(11, rows=300)
    subject = make_subject(chance, label)
    found = performance.measure(subject)
    assert found == performance.measure(subject)
    assert {each.name for each in found.measurements} <= set(performance.MEASURES)
