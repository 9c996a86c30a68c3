import numpy as np
import pytest
from fairlearn import metrics as fair
from sklearn import metrics as sk

from rai.stats import confusion
from rai.stats.confusion import METRICS, binary_counts, confusion_matrix

THEIRS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "true_positive_rate": fair.true_positive_rate,
    "false_positive_rate": fair.false_positive_rate,
    "false_negative_rate": fair.false_negative_rate,
    "true_negative_rate": fair.true_negative_rate,
    "negative_predictive_value": lambda y, p: sk.precision_score(~y, ~p),
    "f1": sk.f1_score,
    "selection_rate": fair.selection_rate,
    "base_rate": lambda y, p: y.mean(),
    "mcc": sk.matthews_corrcoef,
}

NEITHER = {"balanced_accuracy", "mcc"}
NO_POSITIVES = {"recall", "true_positive_rate", "false_negative_rate"} | NEITHER


@pytest.fixture
def rows(rng):
    actual = rng.random(400) < 0.4
    return actual, np.where(rng.random(400) < 0.7, actual, ~actual), rng.integers(-1, 5, 400)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_equals_sklearn_or_fairlearn_in_every_group(name, rows):
    actual, predicted, codes = rows
    found = METRICS[name](binary_counts(actual, predicted, codes, 5))
    for group in range(5):
        own = codes == group
        assert found[group] == pytest.approx(THEIRS[name](actual[own], predicted[own]), abs=1e-12)
    assert METRICS[name](binary_counts(actual, predicted)) == pytest.approx(THEIRS[name](actual, predicted), abs=1e-12)


def test_all_metrics_are_held_against_a_rival():
    assert set(METRICS) == set(THEIRS)


@pytest.mark.parametrize("name", METRICS)
def test_a_share_of_nothing_is_nan_and_never_zero(name):
    assert np.isnan(METRICS[name](np.zeros(4, dtype=int)))


@pytest.mark.parametrize(
    ("cells", "unknown"),
    [
        ([5, 1, 0, 0], NO_POSITIVES),
        (
            [5, 0, 0, 0],
            {"precision", "recall", "true_positive_rate", "false_negative_rate", "balanced_accuracy", "f1", "mcc"},
        ),
        (
            [0, 0, 0, 5],
            {"false_positive_rate", "true_negative_rate", "negative_predictive_value", "balanced_accuracy", "mcc"},
        ),
    ],
)
def test_exactly_the_metrics_without_a_denominator_are_undefined(cells, unknown):
    assert {name for name, metric in METRICS.items() if np.isnan(metric(np.array(cells)))} == unknown


def test_counts_keep_their_order_and_leave_unknown_groups_out():
    actual = np.array([0, 0, 1, 1, 1], dtype=bool)
    predicted = np.array([0, 1, 0, 1, 1], dtype=bool)
    assert binary_counts(actual, predicted).tolist() == [1, 1, 1, 2]
    assert binary_counts(actual, predicted, np.array([1, -1, 1, 1, -1]), 3).tolist() == [[0] * 4, [1, 0, 1, 1], [0] * 4]


def test_multiclass_metrics_equal_sklearn(rng):
    actual, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    matrix = confusion_matrix(actual, predicted, 4)
    assert (matrix == sk.confusion_matrix(actual, predicted)).all()
    cells = matrix.ravel()
    theirs = sk.precision_recall_fscore_support(actual, predicted)
    assert confusion.class_f1(cells) == pytest.approx(theirs[2], abs=1e-12)
    assert confusion.macro_f1(cells) == pytest.approx(sk.f1_score(actual, predicted, average="macro"), abs=1e-12)


def test_a_class_that_is_never_there_nor_predicted_has_no_f1():
    cells = confusion_matrix(np.array([0, 1]), np.array([0, 1]), 3).ravel()
    assert np.isnan(confusion.class_f1(cells)).tolist() == [False, False, True]


def test_stacks_of_matrices_go_through_at_once(rng):
    stack = rng.integers(1, 9, (6, 9))
    each = [float(confusion.macro_f1(one)) for one in stack]
    assert confusion.macro_f1(stack) == pytest.approx(each)
