import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from rai.stats import dealing, means
from rai.stats.means import mae_estimate, mean_estimate, mean_gap, r2_estimate, rmse_estimate


def test_mean_interval_equals_scipy(rng):
    values = rng.gamma(2, size=30)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = mean_estimate(values, level=0.9)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0, 2.0]])
def test_means_without_an_honest_interval(values):
    found = mean_estimate(np.array(values))
    assert found.value == (values[0] if values else None)
    assert found.low is found.high is None
    assert found.reason


def test_regression_errors_equal_sklearn_and_cover(rng):
    actual = rng.normal(5, 2, 400)
    predicted = actual + rng.normal(0, 1, 400)
    mae, rmse, r2 = (
        mae_estimate(actual, predicted),
        rmse_estimate(actual, predicted),
        r2_estimate(actual, predicted, rng),
    )
    assert mae.value == pytest.approx(sk.mean_absolute_error(actual, predicted), abs=1e-12)
    assert rmse.value == pytest.approx(sk.root_mean_squared_error(actual, predicted), abs=1e-12)
    assert r2.value == pytest.approx(sk.r2_score(actual, predicted), abs=1e-12)
    assert mae.low < np.sqrt(2 / np.pi) < mae.high
    assert rmse.low < 1 < rmse.high
    assert r2.low < 0.75 < r2.high


def test_r2_of_resampled_rows_is_that_of_the_rows_drawn(rng):
    actual, predicted = rng.normal(size=12), rng.normal(size=12)
    weights = rng.multinomial(12, np.full(12, 1 / 12))
    found = means._r2(actual - actual.mean(), actual - predicted)(weights[None, :])[0]
    again = np.repeat(actual, weights), np.repeat(predicted, weights)
    assert found == pytest.approx(sk.r2_score(*again))


def test_r2_is_undefined_where_the_truth_never_varies(rng):
    assert r2_estimate(np.ones(9), rng.random(9), rng).value is None


def grouped(sizes, centres, spreads, rng):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(np.array(centres)[codes], np.array(spreads)[codes]), codes


@pytest.mark.parametrize(
    ("sizes", "centres", "spreads"),
    [([60, 60], [0, 0], [1, 1]), ([100, 20, 8], [0, 0, 0], [1, 1, 1]), ([100, 30, 12], [0, 0.5, 1.5], [1, 2, 1])],
)
def test_mean_gap_covers_the_truth(sizes, centres, spreads, rng, monkeypatch):
    monkeypatch.setattr(means, "DRAWS", 300)
    found = [mean_gap(*grouped(sizes, centres, spreads, rng), len(sizes), rng) for _ in range(200)]
    truth = np.ptp(centres)
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.92
    if truth == 0:
        assert np.mean([each.p <= 0.05 for each in found]) <= 0.09
        assert np.mean([each.corrected for each in found]) < 0.9 * np.mean([each.value for each in found])


def test_two_groups_agree_with_welch(rng):
    values, codes = grouped([40, 25], [0, 3], [1, 2], rng)
    first, second = values[codes == 0], values[codes == 1]
    theirs = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    found = mean_gap(values, codes, 2, rng)
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert found.high == pytest.approx(theirs.high)
    assert 0 < found.low < theirs.low
    assert (found.highest, found.lowest, found.smallest) == (1, 0, 25)


def test_drawn_null_means_agree_with_permuted_ones(rng, monkeypatch):
    values, codes = grouped([1500, 600, 15], [0, 0, 0], [1, 1, 1], rng)
    slow = mean_gap(values, codes, 3, rng)
    monkeypatch.setattr(dealing, "MOST_PERMUTED", 100)
    fast = mean_gap(values, codes, 3, rng)
    assert fast.chance == pytest.approx(slow.chance, rel=0.06)
    assert fast.p == pytest.approx(slow.p, abs=0.05)


def test_unknown_rows_are_left_out(rng):
    values, codes = grouped([30, 30], [0, 1], [1, 1], rng)
    more = np.append(values, [1e6, -1e6]), np.append(codes, [-1, -1])
    assert mean_gap(*more, 2, rng).value == mean_gap(values, codes, 2, rng).value


def test_what_cannot_be_known_has_a_reason(rng):
    empty = mean_gap(np.array([1.0, 2.0]), np.array([0, 0]), 2, rng, names=("a", "b"))
    assert empty.value is None
    assert "group b" in empty.reason
    single = mean_gap(np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1]), 2, rng)
    assert (single.value, single.low) == (3.5, None)
    assert "single row" in single.reason
    still = mean_gap(np.ones(6), np.array([0, 1] * 3), 2, rng)
    assert (still.value, still.low) == (0, None)
    assert still.p == 1
    assert mean_gap(np.ones(3), np.zeros(3, dtype=int), 1, rng).value is None


def test_unequal_spreads_are_no_difference(rng):
    """Two groups of one mean, the smaller six times as spread: raw permuted gaps reject in half of the samples."""
    rejected = [mean_gap(*grouped([300, 30], [0, 0], [1, 6], rng), 2, rng).p <= 0.05 for _ in range(150)]
    assert np.mean(rejected) <= 0.1


def test_a_small_noisy_group_does_not_hide_what_large_ones_show(rng):
    values, codes = grouped([400, 400, 6], [0, 0.5, 0.2], [1, 1, 3], rng)
    assert mean_gap(values, codes, 3, rng).p < 0.02


def test_a_known_variance_is_kept(rng):
    still = np.full(60, -0.01)
    found = mean_estimate(still, variance=0.0099)
    assert found.low < 0 < found.high
    gap = mean_gap(np.append(still, rng.normal(size=60)), np.repeat([0, 1], 60), 2, rng, least=np.array([1.0, 0.0]))
    assert gap.low == 0


@pytest.mark.parametrize("rows", [20, 60])
def test_root_mean_squares_of_few_rows_are_covered(rows, rng):
    """Resampled percentiles cover 0.82 to 0.9 here."""
    found = [rmse_estimate(rng.normal(size=rows), np.zeros(rows)) for _ in range(600)]
    assert np.mean([each.low <= 1 <= each.high for each in found]) >= 0.905
    assert rmse_estimate(np.ones(9), np.zeros(9)).low is None
    assert rmse_estimate(np.ones(0), np.ones(0)).value is None
