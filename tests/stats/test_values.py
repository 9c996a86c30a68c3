import numpy as np
import pytest

from rai.stats.bootstrap import multinomial
from rai.stats.confusion import METRICS
from rai.stats.gaps import value_gap, value_ratio

ALIKE = np.array([0.5, 0.1, 0.1, 0.3])


def runs(shares, cells, n, rng, times=150):
    chances = np.asarray(shares)[:, None] * cells
    for _ in range(times):
        counts = rng.multinomial(n, chances.ravel()).reshape(chances.shape)
        yield METRICS["f1"](counts), METRICS["f1"](multinomial(counts, 500, rng)), counts.sum(axis=1)


def test_no_disparity_is_rarely_called_one(rng):
    cells = np.tile(ALIKE, (5, 1))
    found = [(value_gap(*each), value_ratio(*each)) for each in runs([0.5, 0.3, 0.1, 0.05, 0.05], cells, 3000, rng)]
    assert np.mean([gap.p <= 0.05 for gap, _ in found]) <= 0.09
    assert np.mean([gap.low > 0 for gap, _ in found]) <= 0.06
    assert np.mean([ratio.high < 1 for _, ratio in found]) <= 0.06


def test_a_true_gap_is_covered_and_found(rng):
    cells = np.array([ALIKE, [0.4, 0.2, 0.15, 0.25], ALIKE])
    values = METRICS["f1"](cells * 1e9)
    found = [(value_gap(*each), value_ratio(*each)) for each in runs([0.6, 0.3, 0.1], cells, 1500, rng)]
    assert np.mean([gap.low <= np.ptp(values) <= gap.high for gap, _ in found]) >= 0.92
    assert np.mean([r.low <= values.min() / values.max() <= r.high for _, r in found]) >= 0.92
    assert np.mean([gap.low > 0 for gap, _ in found]) > 0.8


def test_known_answer_for_two_normal_groups(rng):
    draws = rng.normal([0.8, 0.5], [0.03, 0.04], (200_000, 2))
    found = value_gap(np.array([0.8, 0.5]), draws, [100, 80])
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - 2.2414 * 0.05, abs=2e-3)
    assert found.high == pytest.approx(0.3 + 1.96 * 0.05, abs=2e-3)
    assert (found.highest, found.lowest, found.rows, found.smallest) == (0, 1, 180, 80)


def test_correction_takes_off_what_the_draws_add(rng):
    draws = rng.normal([0.55, 0.5], 0.1, (50_000, 2))
    found = value_gap(np.array([0.55, 0.5]), draws, [50, 50])
    assert found.corrected == 0  # draws of |N(0.05, 0.14²)| average 0.12, more than twice the gap
    far = value_gap(np.array([0.9, 0.5]), draws + np.array([0.35, 0.0]), [50, 50])
    assert far.corrected == pytest.approx(0.4, abs=0.005)


def test_dependent_groups_are_compared_by_their_difference(rng):
    common = rng.normal(0, 0.2, (5000, 1))
    draws = np.array([0.8, 0.7]) + common + rng.normal(0, 0.01, (5000, 2))
    assert value_gap(np.array([0.8, 0.7]), draws, [100, 80]).low > 0.05


def test_undefined_draws_are_left_out_until_they_are_too_many(rng):
    draws = rng.normal([0.8, 0.5], 0.03, (1000, 2))
    draws[:10, 0] = np.nan
    assert value_gap(np.array([0.8, 0.5]), draws, [100, 80]).low > 0
    draws[:11, 0] = np.nan
    found = value_gap(np.array([0.8, 0.5]), draws, [100, 80])
    assert found.value == pytest.approx(0.3)
    assert found.low is found.high is found.p is None
    assert "11 of 1000" in found.reason


def test_a_group_that_never_varies_gives_no_interval(rng):
    draws = np.column_stack([np.ones(500), rng.normal(0.5, 0.03, 500)])
    found = value_gap(np.array([1.0, 0.5]), draws, [3, 80], names=("tiny", "large"))
    assert found.low is None
    assert "tiny" in found.reason


@pytest.mark.parametrize("measure", [value_gap, value_ratio])
def test_undefined_values_name_their_group(measure, rng):
    found = measure(np.array([0.5, np.nan]), rng.random((100, 2)), [5, 5], names=("a", "b"))
    assert found.value is None
    assert "group b" in found.reason
    assert measure(np.array([0.5]), rng.random((100, 1)), [5]).value is None
    assert measure(np.array([]), np.empty((100, 0)), []).value is None


def test_ratios_of_zero_and_of_negative_values(rng):
    draws = rng.random((100, 2))
    assert value_ratio(np.array([0.0, 0.5]), draws, [5, 5]).value == 0
    assert value_ratio(np.array([0.0, 0.0]), draws, [5, 5]).value is None
    assert value_ratio(np.array([-0.1, 0.5]), draws, [5, 5]).value is None
