"""Group AUCs: equal to scikit-learn's, a planted gap is covered, a clean twin reaches 0."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rai.audits import fairness


def people(rows, weaker, seed):
    """The score of group b is blurred `weaker` times as much."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], size=rows)
    labels = rng.integers(0, 2, size=rows)
    raw = 1.5 * labels + rng.normal(size=rows) * np.where(group == "b", weaker, 1.0)
    return 1 / (1 + np.exp(-raw + 0.75)), labels, group


def test_group_aucs_equal_scikit_learn(make_subject, one) -> None:
    score, labels, group = people(800, 1.5, 0)
    evidence = fairness.measure(make_subject(score, labels, {"g": list(group)}))
    wanted = {each: roc_auc_score(labels[group == each], score[group == each]) for each in "ab"}
    for each, value in wanted.items():
        assert one(evidence, "group_roc_auc", attribute="g", group=each).value == pytest.approx(value, abs=1e-12)
    found = one(evidence, "roc_auc_difference", attribute="g")
    assert found.value == pytest.approx(abs(wanted["a"] - wanted["b"]), abs=1e-12)


def test_a_planted_gap_is_covered_and_a_clean_twin_reaches_zero(make_subject, one) -> None:
    from scipy.stats import norm

    planted = norm.cdf(1.5 / np.sqrt(2)) - norm.cdf(1.5 / np.sqrt(2) / 2)
    covered = alarms = 0
    for seed in range(20):
        for weaker in (2.0, 1.0):
            score, labels, group = people(1500, weaker, seed)
            found = one(
                fairness.measure(make_subject(score, labels, {"g": list(group)})), "roc_auc_difference", attribute="g"
            )
            covered += weaker == 2.0 and found.low <= planted <= found.high
            alarms += weaker == 1.0 and found.low > 0
    assert covered >= 18
    assert alarms <= 2


def test_a_group_of_one_class_is_named(make_subject, one) -> None:
    score, labels, group = people(400, 1.0, 0)
    labels[group == "b"] = 0
    evidence = fairness.measure(make_subject(score, labels, {"g": list(group)}))
    found = one(evidence, "roc_auc_difference", attribute="g")
    assert found.value is None
    assert "group b" in found.reason
