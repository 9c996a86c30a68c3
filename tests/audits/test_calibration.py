"""The calibration audit covers planted miscalibration and stays calm where chances are true."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from rai.audits import calibration
from rai.evidence import Curve, Measurement

Make = Callable[..., Any]
ROWS = 5000


def drawn(seed: int, shift: float = 0.0, group_shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Stated chances in [.2, .7] whose truth lies `shift` higher, and `group_shift` higher still for women."""
    rng = np.random.default_rng(seed)
    chance, woman = rng.uniform(0.2, 0.7, ROWS), rng.random(ROWS) < 0.4
    label = (rng.random(ROWS) < chance + shift + group_shift * woman).astype(int)
    return chance, label, np.where(woman, "Female", "Male").tolist()


def covers(found: Measurement, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def test_a_planted_shift_is_covered(make_subject: Make, one: Make) -> None:
    chance, label, _ = drawn(1, shift=0.1)
    found = calibration.measure(make_subject(chance, label))
    assert covers(one(found, "calibration_in_the_large"), 0.1)
    assert covers(one(found, "ece"), 0.1)
    assert one(found, "ece").low > 0.05
    assert "more often" in found.exhibits[0].title


def test_a_planted_gap_between_groups_is_covered(make_subject: Make, one: Make) -> None:
    chance, label, sex = drawn(2, group_shift=0.15)
    found = calibration.measure(make_subject(chance, label, {"sex": sex}))
    gap = one(found, "calibration_gap", attribute="sex")
    assert covers(gap, 0.15)
    assert gap.low > 0
    assert gap.p < 0.01
    assert covers(one(found, "calibration_in_the_large", attribute="sex", group="Female"), 0.15)
    assert covers(one(found, "calibration_in_the_large", attribute="sex", group="Male"), 0.0)


def test_true_chances_raise_no_alarm(make_subject: Make, one: Make) -> None:
    chance, label, sex = drawn(3)
    found = calibration.measure(make_subject(chance, label, {"sex": sex}))
    assert covers(one(found, "ece"), 0.0)
    assert covers(one(found, "calibration_in_the_large"), 0.0)
    assert covers(one(found, "calibration_gap", attribute="sex"), 0.0)
    assert one(found, "calibration_gap", attribute="sex").p > 0.05


def test_the_brier_score_is_scikit_learns(make_subject: Make, one: Make) -> None:
    chance, label, _ = drawn(4)
    found = one(calibration.measure(make_subject(chance, label)), "brier")
    assert found.value == pytest.approx(brier_score_loss(label, chance), abs=1e-12)


def test_several_classes_are_judged_by_their_top_label_and_it_is_said(make_subject: Make, one: Make) -> None:
    """The model states .8 for its class and is right in 60 % of the rows."""
    rng = np.random.default_rng(5)
    said, right = rng.integers(0, 3, ROWS), rng.random(ROWS) < 0.6
    label = np.where(right, said, (said + rng.integers(1, 3, ROWS)) % 3)
    chances = np.full((ROWS, 3), 0.1) + 0.7 * np.eye(3)[said]
    found = calibration.measure(make_subject(chances, label, task="multiclass", classes=("a", "b", "c")))
    assert covers(one(found, "calibration_in_the_large"), -0.2)
    assert covers(one(found, "ece"), 0.2)
    assert one(found, "brier").value == pytest.approx(((chances - np.eye(3)[label]) ** 2).sum(axis=1).mean(), abs=1e-12)
    assert any("several classes" in caveat for caveat in found.caveats)


def test_the_positive_class_may_be_the_first(make_subject: Make, one: Make) -> None:
    chance, label, _ = drawn(6, shift=0.1)
    first = calibration.measure(make_subject(chance, 1 - label, classes=("yes", "no"), positive="yes"))
    assert covers(one(first, "calibration_in_the_large"), 0.1)


def test_small_groups_get_no_curve_and_are_named(make_subject: Make, one: Make) -> None:
    chance, label, _ = drawn(7)
    groups = {"race": ["A"] * 4900 + ["B"] * 97 + ["C"] * 3}
    found = calibration.measure(make_subject(chance, label, groups))
    curve = next(each for each in found.exhibits if isinstance(each, Curve) and "race" in each.title)
    assert [line.name for line in curve.lines] == ["A"]
    assert any("B, C" in caveat for caveat in found.caveats)
    assert one(found, "calibration_in_the_large", attribute="race", group="C").value is None
    gap = one(found, "calibration_gap", attribute="race")
    assert (gap.rows, gap.smallest) == (4997, 97)


def test_bands_hold_their_line(make_subject: Make) -> None:
    chance, label, sex = drawn(8)
    found = calibration.measure(make_subject(chance, label, {"sex": sex}))
    lines = [line for each in found.exhibits if isinstance(each, Curve) for line in each.lines]
    assert len(lines) == 3
    for line in lines:
        assert len(line.x) == len(line.y) == len(line.low) == len(line.high) == 15
        assert all(low <= y <= high for low, y, high in zip(line.low, line.y, line.high, strict=True))


def test_one_group_only_leaves_the_gap_undefined(make_subject: Make, one: Make) -> None:
    chance, label, _ = drawn(9)
    found = calibration.measure(make_subject(chance, label, {"sex": ["F"] * (ROWS - 4) + ["M"] * 4}))
    gap = one(found, "calibration_gap", attribute="sex")
    assert gap.value is None
    assert gap.reason == "fewer than two groups of 5 rows or more"


def test_labels_all_alike_still_have_a_calibration(make_subject: Make, one: Make) -> None:
    chance, _, _ = drawn(10)
    found = calibration.measure(make_subject(chance, np.ones(ROWS, dtype=int)))
    assert one(found, "calibration_in_the_large").value == pytest.approx(1 - chance.mean(), abs=1e-12)


def test_names_are_declared_and_the_answer_repeats(make_subject: Make) -> None:
    chance, label, sex = drawn(11)
    subject = make_subject(chance, label, {"sex": sex})
    found = calibration.measure(subject)
    assert found == calibration.measure(subject)
    assert {each.name for each in found.measurements} <= set(calibration.MEASURES)


def test_the_calibration_ratio_covers_a_planted_one_and_reaches_1_without(make_subject, one) -> None:
    """Group b has 30 % fewer events than stated, group a as many as stated: the ratio is 0.7."""
    covered = clean = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chance, group = rng.uniform(0.1, 0.9, 3000), rng.choice(["a", "b"], 3000)
        for planted in (0.7, 1.0):
            labels = (rng.random(3000) < chance * np.where(group == "b", planted, 1.0)).astype(int)
            subject = make_subject(chance, labels, {"g": list(group)})
            found = one(calibration.measure(subject), "calibration_ratio", attribute="g")
            if planted == 0.7:
                covered += found.low <= planted <= found.high
            else:
                clean += found.high >= 1.0
    assert covered >= 18
    assert clean >= 18


def test_the_calibration_ratio_is_that_of_plain_sums(make_subject, one) -> None:
    rng = np.random.default_rng(0)
    chance, group = rng.uniform(0.1, 0.9, 500), rng.choice(["a", "b", "c"], 500)
    labels = (rng.random(500) < chance).astype(int)
    found = one(
        calibration.measure(make_subject(chance, labels, {"g": list(group)})), "calibration_ratio", attribute="g"
    )
    ratios = [labels[group == each].sum() / chance[group == each].sum() for each in "abc"]
    assert found.value == pytest.approx(min(ratios) / max(ratios), abs=1e-12)
