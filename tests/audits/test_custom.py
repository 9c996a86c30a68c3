"""The owner's own metrics: lifted to groups as fairlearn does, with honest intervals."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import f1_score, mean_absolute_error, precision_score

from rai.audits import custom


def cost(y_true, y_pred) -> float:
    """A missed positive costs five, a false alarm one."""
    return float(np.mean(5 * ((y_true == 1) & (y_pred == 0)) + ((y_true == 0) & (y_pred == 1))))


def people(rows=1500, planted=0.0, seed=0):
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], size=rows)
    labels = (rng.random(rows) < 0.5).astype(int)
    missed = rng.random(rows) < np.where(group == "b", 0.05 + planted, 0.05)
    score = np.where(missed, 0.0, labels).astype(float)
    return score, labels, list(group)


def test_values_equal_metricframe(make_subject, one) -> None:
    score, labels, groups = people(planted=0.3)
    subject = make_subject(score, labels, {"g": groups}, metrics={"cost": cost, "f1x": f1_score})
    evidence = custom.measure(subject)
    frame = MetricFrame(
        metrics={"cost": cost, "f1x": f1_score},
        y_true=labels,
        y_pred=(score >= 0.5).astype(int),
        sensitive_features=groups,
    )
    for name in ("cost", "f1x"):
        assert one(evidence, name).value == pytest.approx(frame.overall[name], abs=1e-12)
        assert one(evidence, f"{name}_difference", attribute="g").value == pytest.approx(
            frame.difference()[name], abs=1e-12
        )
        assert one(evidence, f"{name}_ratio", attribute="g").value == pytest.approx(frame.ratio()[name], abs=1e-12)
        for group in "ab":
            found = one(evidence, f"{name}_by_group", attribute="g", group=group)
            assert found.value == pytest.approx(frame.by_group[name][group], abs=1e-12)
            assert found.low <= found.value <= found.high


def test_a_planted_gap_is_covered_and_a_clean_twin_reaches_zero(make_subject, one) -> None:
    """Missing 30 points more of group b's positives costs 5 · 0.5 · 0.3 = 0.75 more."""
    covered, alarms = 0, 0
    for seed in range(10):
        score, labels, groups = people(planted=0.3, seed=seed)
        found = one(
            custom.measure(make_subject(score, labels, {"g": groups}, metrics={"cost": cost})),
            "cost_difference",
            attribute="g",
        )
        covered += found.low <= 0.75 <= found.high
        rng = np.random.default_rng(seed)
        noisy = (rng.random(1500) < 0.5).astype(float)
        clean = one(
            custom.measure(make_subject(noisy, labels, {"g": groups}, metrics={"cost": cost})),
            "cost_difference",
            attribute="g",
        )
        alarms += clean.low > 0
    assert covered >= 9
    assert alarms <= 1


def test_where_the_metric_is_undefined_nothing_is_shown(make_subject, one) -> None:
    labels = np.array([0, 1] * 100)
    groups = ["a"] * 100 + ["b"] * 100
    score = np.where(np.arange(200) < 100, labels, 0).astype(float)
    evidence = custom.measure(make_subject(score, labels, {"g": groups}, metrics={"prec": precision_score}))
    assert one(evidence, "prec_by_group", attribute="g", group="a").value == 1.0
    found = one(evidence, "prec_by_group", attribute="g", group="b")
    assert (found.value, found.reason) == (None, "the metric is undefined on these rows")
    assert one(evidence, "prec_difference", attribute="g").value is None


def test_regression_metrics_see_the_values(make_subject, one) -> None:
    rng = np.random.default_rng(0)
    actual = rng.normal(size=400)
    predicted = actual + rng.normal(size=400)
    subject = make_subject(
        predicted,
        actual,
        {"g": list(rng.choice(["a", "b"], 400))},
        task="regression",
        metrics={"e": mean_absolute_error},
    )
    assert one(custom.measure(subject), "e").value == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-12)
