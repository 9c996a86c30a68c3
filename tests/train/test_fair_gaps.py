"""Gaps between groups, against fairlearn and by hand."""

import numpy as np
import pytest
from fairlearn import metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rai.train.fair.gaps import gap_name, measured
from rai.train.fair.job import Attribute

SEX, RACE = Attribute("sex", ("f", "m")), Attribute("race", ("a", "b", "c"))
seeds = st.integers(0, 2**32 - 1)


def names(*criteria):
    return [gap_name(each) for each in criteria]


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(40, 120))
def test_binary_gaps_are_those_of_fairlearn(seed, rows):
    rng = np.random.default_rng(seed)
    logits, targets, codes = rng.normal(size=rows), rng.integers(0, 2, rows), rng.integers(0, 3, rows)
    assume(np.bincount(codes * 2 + targets, minlength=6).min() > 0)
    found = measured("binary", logits, targets, codes[:, None], [RACE])
    words = {"y_true": targets, "y_pred": (logits >= 0).astype(int), "sensitive_features": codes}
    assert found == {"accuracy": pytest.approx((words["y_pred"] == targets).mean())} | {
        name: pytest.approx(getattr(metrics, name)(**words)) for name in list(found)[1:]
    }
    assert list(found)[1:] == names("demographic_parity", "equalized_odds", "equal_opportunity")


@settings(max_examples=4, deadline=None)
@given(seeds)
def test_the_largest_over_classes_and_attributes_counts(seed):
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(size=(300, 3)), rng.integers(0, 3, 300)
    codes = np.stack([rng.integers(0, 2, 300), rng.integers(0, 3, 300)], axis=1)
    found = measured("multiclass", logits, targets, codes, [SEX, RACE])
    for name in names("demographic_parity", "equalized_odds", "equal_opportunity"):
        each = [
            getattr(metrics, name)(targets == k, logits.argmax(axis=1) == k, sensitive_features=codes[:, j])
            for k in range(3)
            for j in range(2)
        ]
        assert found[name] == pytest.approx(max(each))


@given(seeds)
def test_two_outputs_are_as_good_as_one_logit(seed):
    rng = np.random.default_rng(seed)
    pairs, targets, codes = rng.normal(size=(50, 2)), rng.integers(0, 2, 50), rng.integers(0, 2, (50, 1))
    one = measured("binary", pairs[:, 1] - pairs[:, 0], targets, codes, [SEX])
    assert measured("multiclass", pairs, targets, codes, [SEX]) == one


def test_the_threshold_is_a_probability():
    logit = np.log(np.array([0.2, 0.3, 0.8]) / np.array([0.8, 0.7, 0.2]))
    found = measured("binary", logit, np.array([0, 1, 1]), np.array([[0], [1], [1]]), [SEX], threshold=0.25)
    assert found["accuracy"] == 1.0
    assert found["demographic_parity_difference"] == 1.0


def test_a_gap_without_rows_to_compare_is_left_out():
    """The men have no positive rows: nobody knows how many of those would be found."""
    perfect = np.array([1.0, -1.0, -1.0, -1.0])
    found = measured("binary", perfect, np.array([1, 0, 0, 0]), np.array([[0], [0], [1], [1]]), [SEX])
    assert found == {"accuracy": 1.0, "demographic_parity_difference": 0.5}


def test_unknown_rows_and_absent_levels_take_no_part():
    logits, targets = np.array([1.0, -1.0, 1.0, 1.0]), np.array([1, 0, 1, 0])
    found = measured("binary", logits, targets, np.array([[0], [0], [2], [-1]]), [RACE])
    assert found["demographic_parity_difference"] == 0.5
    assert found["accuracy"] == 0.75
    assert "equalized_odds_difference" not in found
    nobody = measured("binary", logits, targets, np.full((4, 1), -1), [RACE])
    assert nobody == {"accuracy": 0.75}


def test_regression_is_compared_by_means_in_standard_deviations():
    truth = np.array([0.0, 2.0, 4.0, 6.0])
    found = measured("regression", truth + 1, truth, np.array([[0], [0], [1], [1]]), [SEX])
    assert found == {
        "r2": pytest.approx(1 - 1 / truth.var()),
        "demographic_parity_difference": pytest.approx(4 / truth.std()),
    }
    assert measured("regression", truth, np.ones(4), np.array([[0], [0], [1], [1]]), [SEX]) == {}
