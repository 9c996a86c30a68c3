import numpy as np
import pytest
from sklearn import metrics as sk

from rai.stats.calibration import (
    brier_estimate,
    calibration_in_the_large,
    class_log_loss,
    ece,
    ece_estimate,
    equal_mass,
    folded_mean,
    log_loss_estimate,
    reliability,
)


def calibrated(n, rng, bend=lambda p: p):
    probability = rng.beta(2, 2, n)
    chance = bend(probability)
    return rng.random(n) < chance, probability, chance


def true_error(probability, chance):
    code = equal_mass(probability, 15)
    return float(np.sum(np.abs(np.bincount(code, weights=chance - probability))) / len(code))


def test_plain_error_equals_a_slow_loop(rng):
    positive, probability, _ = calibrated(150, rng)
    order = np.argsort(probability)
    slow = sum(abs(positive[part].sum() - probability[part].sum()) for part in np.array_split(order, 15)) / 150
    assert ece(positive, probability, debiased=False) == pytest.approx(slow)


def test_a_calibrated_model_shows_almost_no_error_once_noise_is_taken_off(rng):
    found = []
    for _ in range(100):
        positive, probability, _ = calibrated(1500, rng)
        estimate = ece_estimate(positive, probability, rng)
        found.append([ece(positive, probability, debiased=False), estimate.value, estimate.low == 0])
    plain, less, covers = np.mean(found, axis=0)
    assert plain > 0.03
    assert less < 0.4 * plain
    assert covers >= 0.92


@pytest.mark.parametrize(
    "bend", [lambda p: np.clip(p + 0.1, 0, 1), lambda p: p**1.5, lambda p: p + 0.05 * np.sin(8 * p)]
)
def test_a_miscalibrated_model_keeps_its_error(bend, rng):
    found = []
    for _ in range(60):
        positive, probability, chance = calibrated(1500, rng, bend)
        estimate = ece_estimate(positive, probability, rng)
        truth = true_error(probability, chance)
        found.append([estimate.low <= truth <= estimate.high, estimate.value - truth, estimate.low <= estimate.value])
    covers, off, inside = np.mean(found, axis=0)
    assert covers >= 0.92
    assert abs(off) < 0.01
    assert inside == 1


def test_folded_mean_is_the_mean_of_absolute_normals(rng):
    sample = np.abs(rng.normal([0, 1, 3], [1, 2, 0.5], (400_000, 3))).mean(axis=0)
    assert folded_mean(np.array([0.0, 1.0, 3.0]), np.array([1, 2, 0.5])) == pytest.approx(sample, abs=0.01)
    assert folded_mean(np.array([0.3]), np.array([0.0])) == pytest.approx([0.3])


def test_ties_lie_in_one_bin(rng):
    probability = rng.choice([0.1, 0.2, 0.6, 0.9], 500)
    code = equal_mass(probability, 15)
    assert [len(np.unique(code[probability == p])) for p in (0.1, 0.2, 0.6, 0.9)] == [1, 1, 1, 1]
    found = reliability(rng.random(500) < probability, probability)
    assert found.rows.sum() == 500
    assert found.mean_predicted == pytest.approx([0.1, 0.2, 0.6, 0.9])
    assert ((found.low <= found.observed) & (found.observed <= found.high)).all()
    assert np.bincount(equal_mass(rng.random(1500), 15)).tolist() == [100] * 15


def test_means_of_scores_equal_sklearn(rng):
    positive, probability, _ = calibrated(300, rng)
    probability[:2] = 0.0, 1.0
    assert brier_estimate(positive, probability).value == pytest.approx(sk.brier_score_loss(positive, probability))
    assert log_loss_estimate(positive, probability).value == pytest.approx(
        sk.log_loss(positive, probability), abs=1e-12
    )


def test_no_rows_are_undefined(rng):
    nothing = np.array([], dtype=bool), np.array([])
    assert ece(*nothing) is None
    assert len(reliability(*nothing).rows) == 0
    for found in (ece_estimate(*nothing, rng), brier_estimate(*nothing), log_loss_estimate(*nothing)):
        assert found.value is None
        assert found.reason


@pytest.mark.parametrize("rows", [60, 300])
def test_rare_events_raise_no_alarm(rows, rng):
    """Calibrated chances of about 3 %: without an event in a small group the residuals alone hardly vary."""
    missed = {"large": 0, "ece": 0, "loss": 0}
    truth = -1.0
    for _ in range(300):
        chance = 1 / (1 + np.exp(-rng.normal(-4, 1, rows)))
        happened = rng.random(rows) < chance
        large, error = calibration_in_the_large(happened, chance), ece_estimate(happened, chance, rng)
        truth = float(-(chance * np.log(chance) + (1 - chance) * np.log(1 - chance)).mean())
        loss = log_loss_estimate(happened, chance)
        missed["large"] += not large.low <= 0 <= large.high
        missed["ece"] += error.low > 0
        missed["loss"] += not loss.low <= truth <= loss.high
    assert max(missed.values()) <= 0.09 * 300


def test_two_classes_are_clipped_like_several():
    impossible = log_loss_estimate(np.array([True, False]), np.array([0.0, 0.5]))
    several = class_log_loss(np.array([1, 0]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert impossible.value == several.value == pytest.approx((-np.log(np.finfo(float).eps) + np.log(2)) / 2)
