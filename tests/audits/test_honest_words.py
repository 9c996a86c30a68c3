"""Titles and alt texts say what the numbers say, also where there is little or nothing to measure."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rai.audits import calibration, data, fairness, performance
from rai.audits.data.repeats import repeats
from rai.evidence import Evidence

Make = Callable[..., Any]


def titles(found: Evidence) -> str:
    return "\n".join(each.title for each in found.exhibits)


def alts(found: Evidence) -> str:
    return "\n".join(getattr(each, "alt", "") for each in found.exhibits)


def test_without_an_error_no_error_is_named(make_subject: Make) -> None:
    label = np.tile([0, 1], 100)
    assert "no row is off it" in alts(performance.measure(make_subject(np.where(label, 0.9, 0.1), label)))


def test_a_confusion_of_four_people_is_not_named(make_subject: Make) -> None:
    label = np.tile([0, 1], 100)
    chance = np.where(label, 0.9, 0.1)
    chance[:4] = 1 - chance[:4]
    told = alts(performance.measure(make_subject(chance, label)))
    assert "fewer than 5" in told
    assert "is taken for" not in told


def test_a_curve_title_reads_the_curve_at_a_threshold(make_subject: Make) -> None:
    """Scores of two values: no threshold has a recall of .5 or 10 % false alarms, so nothing is interpolated."""
    label = np.repeat([1, 1, 0, 0], [80, 20, 40, 60])
    chance = np.repeat([0.9, 0.1, 0.9, 0.1], [80, 20, 40, 60])
    told = titles(performance.measure(make_subject(chance, label)))
    assert "precision 66.7 % where half" in told
    assert "0.0 % of the positives are found at no more than 10 % false alarms" in told


def test_both_classes_stand_in_the_table(make_subject: Make) -> None:
    label, chance = np.repeat([0, 1], [60, 40]), np.repeat([0.1, 0.9, 0.1, 0.9], [50, 10, 15, 25])
    table = next(each for each in performance.measure(make_subject(chance, label)).exhibits if each.kind == "table")
    assert [line[:3] for line in table.rows] == [("no", 60, 50 / 65), ("yes", 40, 25 / 35)]
    assert table.rows[0][5] == 50 / 60
    assert table.title == "Precision, recall and F1 by class: F1 0.667 (yes) to 0.8 (no)"


def test_a_hundred_classes_have_no_matrix_and_it_is_said(make_subject: Make) -> None:
    label = np.repeat(np.arange(50), 6)
    found = performance.measure(make_subject(np.eye(50)[label], label, task="multiclass"))
    assert not any(each.kind == "heat" for each in found.exhibits)
    assert any("50 classes is not drawn" in caveat for caveat in found.caveats)
    assert len(next(each for each in found.exhibits if each.kind == "table").rows) == 40


@pytest.mark.parametrize(("chance", "seen"), [(0.1, "less often than stated"), (0.0, "no difference")])
def test_a_constant_that_never_happens(make_subject: Make, one: Make, chance: float, seen: str) -> None:
    found = calibration.measure(make_subject(np.full(400, chance), np.zeros(400, dtype=int)))
    assert seen in found.exhibits[0].title
    assert (one(found, "calibration_in_the_large").low is not None) == (chance > 0)


def test_errors_that_cancel_are_told(make_subject: Make) -> None:
    rng = np.random.default_rng(0)
    chance = np.where(rng.random(2000) < 0.5, 0.9, 0.1)
    found = calibration.measure(make_subject(chance, np.tile([0, 1], 1000)))
    assert "apart, averaged over the bins" in found.exhibits[0].title


def test_a_constant_all_wrong_is_no_agreement(make_subject: Make) -> None:
    found = calibration.measure(make_subject(np.zeros(200), np.ones(200, dtype=int)))
    assert "100.0 % apart" in found.exhibits[0].title


def test_each_groups_probabilities_are_scored(make_subject: Make, one: Make) -> None:
    rng = np.random.default_rng(1)
    chance, group = rng.random(3000), rng.choice(["a", "b"], 3000)
    label = (rng.random(3000) < np.where(group == "b", chance * 0.6, chance)).astype(int)
    found = calibration.measure(make_subject(chance, label, {"g": list(group)}))
    assert one(found, "group_ece", attribute="g", group="a").low == 0
    worse = one(found, "group_ece", attribute="g", group="b")
    assert worse.low <= 0.2 <= worse.high
    among = group == "b"
    expected = np.mean((chance[among] - label[among]) ** 2)
    assert one(found, "group_brier", attribute="g", group="b").value == pytest.approx(expected, abs=1e-12)


def test_one_group_has_no_four_fifths_table(make_subject: Make, one: Make) -> None:
    found = fairness.measure(make_subject(np.tile([0.2, 0.8], 50), np.tile([0, 1], 50), {"g": ["a"] * 100}))
    assert "Four-fifths" not in titles(found)
    reason = one(found, "demographic_parity_difference", attribute="g").reason
    assert reason == "fewer than two groups of 5 rows or more"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_groups_that_are_all_too_small_are_said_and_not_compared(make_subject: Make, task: str) -> None:
    scores = np.eye(3)[np.arange(12) % 3] if task == "multiclass" else np.linspace(0, 1, 12)
    found = fairness.measure(make_subject(scores, np.arange(12) % 2, {"g": list("abcd") * 3}, task=task))
    assert all(each.value is None for each in found.measurements)
    assert any("Left out of the gaps by g" in caveat for caveat in found.caveats)


def test_where_nobody_is_selected_nobody_is_highest(make_subject: Make) -> None:
    found = fairness.measure(make_subject(np.full(100, 0.1), np.tile([0, 1], 50), {"g": ["a", "b"] * 50}))
    assert "nobody is selected" in titles(found)
    assert "the highest selection rate" not in titles(found)
    assert "in each" in titles(found)


def test_the_largest_gap_is_named(make_subject: Make) -> None:
    chosen = np.repeat([0.9, 0.1, 0.9, 0.1], [80, 20, 50, 50])
    found = fairness.measure(make_subject(chosen, np.tile([1, 1], 100), {"g": ["a"] * 100 + ["b"] * 100}))
    assert "Gaps between groups by g: largest in Demographic parity, 30 points (a over b)" in titles(found)
    assert "on average 50.0 % (b) to 74.0 % (a)" in titles(found)


def test_residuals_have_one_sign_in_all_sections(make_subject: Make, one: Make) -> None:
    """Predicted 2 too low for everyone: label less prediction is 2, overall and in each group."""
    label = np.random.default_rng(0).normal(size=100)
    noise = np.tile([0.1, -0.1], 50)
    subject = make_subject(label - 2 + noise, label, {"g": ["a"] * 50 + ["b"] * 50}, task="regression")
    overall = one(performance.measure(subject), "mean_residual").value
    found = fairness.measure(subject)
    assert overall == pytest.approx(2)
    assert one(found, "group_mean_residual", attribute="g", group="a").value == pytest.approx(2)
    plain, scaled = (one(found, f"{name}_residual_difference", attribute="g") for name in ("mean", "standardized"))
    assert scaled.high == pytest.approx(plain.high / label.std())
    assert scaled.p == plain.p


def test_rows_without_columns_repeat_nothing(make_subject: Make, one: Make) -> None:
    found = data.measure(make_subject(np.full(60, 0.5), np.tile([0, 1], 30), features={}))
    for name in ("duplicate_share", "duplicate_conflict_share", "constant_columns", "missing_share"):
        assert one(found, name).value is None
        assert one(found, name).reason
    assert "Repeated" not in titles(found)


def test_copies_within_the_reference_are_warned_of(make_subject: Make, make_data: Make, one: Make) -> None:
    """Each training row twice, half of the test rows among them: the excess is below 0, and the report says why."""
    rows = np.random.default_rng(2).normal(size=(400, 3))
    reference = make_data(np.zeros(600, dtype=int), features=np.tile(rows[:300], (2, 1)))
    subject = make_subject(np.full(200, 0.5), np.tile([0, 1], 100), features=rows[200:], reference=reference)
    found = data.measure(subject)
    assert one(found, "overlap_share").value == 0.5
    assert one(found, "overlap_excess").value == -0.5
    assert any("100.0 % of the reference rows have a twin" in caveat for caveat in found.caveats)


@pytest.mark.parametrize(("test", "reference"), [(1000, 200), (2000, 2000)])
def test_an_exchangeable_split_of_natural_twins_is_covered(
    make_subject: Make, make_data: Make, one: Make, test: int, reference: int
) -> None:
    missed = 0
    for seed in range(60):
        rows = np.random.default_rng(seed).integers(0, 10, size=(test + reference, 4)).astype(float)
        given = make_data(np.zeros(reference, dtype=int), features=rows[test:])
        subject = make_subject(np.full(test, 0.5), None, features=rows[:test], reference=given)
        found = one(repeats(subject), "overlap_excess")
        missed += not found.low <= 0 <= found.high
    assert missed <= 8
