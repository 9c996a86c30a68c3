import numpy as np
import pytest
from sklearn import metrics as sk

from rai.stats.shares import f1_estimate, joint_reach, mean_rate, over_majority


def test_values_are_scikit_learns(rng):
    actual, said = rng.integers(0, 3, 90), rng.integers(0, 3, 90)
    matrix = sk.confusion_matrix(actual, said)
    expected = sk.balanced_accuracy_score(actual, said)
    assert mean_rate(np.diag(matrix), matrix.sum(axis=1)).value == pytest.approx(expected, abs=1e-12)
    hits, either = int(matrix[1, 1]), int(((actual == 1) | (said == 1)).sum())
    found = f1_estimate(hits, either, rows=90)
    assert found.value == pytest.approx(sk.f1_score(actual == 1, said == 1), abs=1e-12)
    assert found.low < found.value < found.high
    plain = sk.accuracy_score(actual, said) - np.bincount(actual).max() / 90
    assert over_majority(matrix).value == pytest.approx(plain, abs=1e-12)


def test_one_hit_among_rare_positives_is_covered(rng):
    """Recall .02 of some 60 positives: resampling sees no variation where no positive was found."""
    positives, negatives = rng.binomial(60, 0.02, 600), rng.binomial(2000, 0.99, 600)
    found = [mean_rate([int(a), int(b)], [60, 2000]) for a, b in zip(positives, negatives, strict=True)]
    assert np.mean([each.low <= 0.505 <= each.high for each in found]) >= 0.92


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.4, 0.3, 0.3), (0.9, 0.1)])
def test_the_gain_over_guessing_is_covered_where_two_classes_are_equally_common(shares, rng):
    """A model that is right in 80 % of the rows of each class; whichever class is commonest is chance."""
    size = len(shares)
    cells = np.outer(shares, np.ones(size)) * (0.2 / (size - 1))
    np.fill_diagonal(cells, 0.8 * np.array(shares))
    drawn = rng.multinomial(200, cells.ravel(), size=600).reshape(-1, size, size)
    found = [over_majority(matrix) for matrix in drawn]
    truth = 0.8 - max(shares)
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.93
    assert np.mean([each.high < truth for each in found]) <= 0.04


def test_f1_is_covered_near_its_end(rng):
    for share in (0.05, 0.5, 0.98):
        truth = 2 * share / (1 + share)
        found = [f1_estimate(int(hits), 80, rows=500) for hits in rng.binomial(80, share, 500)]
        assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.92


def test_undefined_has_a_reason():
    assert mean_rate([1, 0], [2, 0]).value is None
    assert f1_estimate(0, 0, rows=9).reason
    assert over_majority(np.zeros((2, 2), dtype=int)).value is None
    assert joint_reach([(0.5, 0.4, 0.6), (None, None, None)]) is None
