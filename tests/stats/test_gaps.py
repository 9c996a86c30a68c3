import itertools

import numpy as np
import pytest
from fairlearn import metrics as fair

from rai.errors import InputError
from rai.stats.gaps import joint_rate_gap, joint_rate_ratio, rate_gap, rate_ratio
from rai.stats.pairs import simultaneous
from rai.stats.proportions import wilson


def sampled(n, shares, rate, rng):
    trials = np.maximum(rng.multinomial(n, shares), 1)
    return rng.binomial(trials, rate), trials


def covered(n, shares, rate, rng, runs=200):
    """How often each end of the gap's and the ratio's interval is on the right side of the truth."""
    rates = np.broadcast_to(rate, np.shape(shares))
    gap, ratio = np.ptp(rates), rates.min() / rates.max()
    right = []
    for _ in range(runs):
        k, trials = sampled(n, shares, rates, rng)
        if k.sum() == 0:
            continue
        first, second = rate_gap(k, trials, rng, draws=300), rate_ratio(k, trials, rng, draws=300)
        right.append([first.low <= gap <= first.high, second.low <= ratio <= second.high])
    return np.mean(right, axis=0)


def test_without_disparity_nothing_is_found(crossed, rng):
    found = []
    for _ in range(300):
        k, trials = sampled(5000, crossed, 0.3, rng)
        gap, ratio = rate_gap(k, trials, rng, draws=300), rate_ratio(k, trials, rng, draws=300)
        found.append([gap.p <= 0.05, ratio.p <= 0.05, ratio.high < 0.8, gap.low > 0.1, gap.low > 0, ratio.value < 0.8])
    share = np.mean(found, axis=0)
    assert share[0] <= 0.07
    assert share[1] <= 0.08
    assert share[2] <= 0.02
    assert share[3] <= 0.02
    assert share[4] <= 0.05
    assert share[5] > 0.8  # the bare ratio fails the four-fifths rule by chance alone nine times in ten


@pytest.mark.parametrize(
    ("n", "shares", "rate"),
    [
        (60, [0.5, 0.5], [0.2, 0.6]),
        (60, [0.8, 0.2], [0.95, 0.7]),
        (100, [0.4, 0.3, 0.2, 0.1], [0.05, 0.1, 0.02, 0.3]),
        (2000, [0.4, 0.3, 0.2, 0.1], [0.9, 0.95, 0.99, 0.8]),
        (300, [0.9, 0.1], 0.05),
        (400, [0.2] * 5, [0.5, 0.5, 0.5, 0.5, 0.1]),
    ],
)
def test_intervals_cover_the_true_gap_and_ratio(n, shares, rate, rng):
    assert (covered(n, shares, rate, rng) >= 0.925).all()


def test_a_planted_gap_is_found(crossed, rng):
    rates = np.full(10, 0.3)
    rates[1] = 0.45
    k, trials = sampled(20_000, crossed, rates, rng)
    gap, ratio = rate_gap(k, trials, rng), rate_ratio(k, trials, rng)
    assert gap.low > 0.08
    assert gap.high > 0.15 > gap.low
    assert gap.p < 0.01
    assert ratio.high < 0.9
    assert gap.highest == 1


def test_values_are_those_of_fairlearn(rng):
    actual, predicted, sex = (rng.integers(0, 2, 900), rng.integers(0, 2, 900), rng.integers(0, 3, 900))
    trials = np.bincount(sex)
    selected = np.bincount(sex, weights=predicted)
    arguments = {"sensitive_features": sex}
    assert rate_gap(selected, trials, rng).value == pytest.approx(
        fair.demographic_parity_difference(actual, predicted, **arguments), abs=1e-12
    )
    assert rate_ratio(selected, trials, rng).value == pytest.approx(
        fair.demographic_parity_ratio(actual, predicted, **arguments), abs=1e-12
    )
    families = [
        (np.bincount(sex, weights=predicted * (actual == y)), np.bincount(sex, weights=actual == y)) for y in (0, 1)
    ]
    assert joint_rate_gap(families, rng).value == pytest.approx(
        fair.equalized_odds_difference(actual, predicted, **arguments), abs=1e-12
    )
    assert joint_rate_ratio(families, rng).value == pytest.approx(
        fair.equalized_odds_ratio(actual, predicted, **arguments), abs=1e-12
    )


def test_published_anchors(rng):
    # ProPublica's COMPAS table: false positive rates 44.85 % (805 of 1795) and 23.45 % (349 of 1488).
    compas = rate_gap([805, 349], [1795, 1488], rng)
    assert compas.value == pytest.approx(0.4485 - 0.2345, abs=1e-4)
    assert compas.low > 0.15
    # New York's Local Law 144 sample audit: selected of applicants by sex and by race.
    assert round(rate_ratio([50, 34], [92, 76], rng).value, 2) == 0.82
    table = {"Hispanic": (18, 28), "White": (15, 40), "Black": (16, 32), "Pacific": (5, 8), "Asian": (10, 24)}
    best = table["Hispanic"]
    impact = [round(rate_ratio([best[0], k], [best[1], n], rng).value, 2) for k, n in list(table.values())[1:]]
    assert impact == [0.58, 0.78, 0.97, 0.65]


@pytest.mark.parametrize(("rate", "rows"), [(0.1, 3210), (0.3, 856), (0.5, 385)])
def test_rows_that_just_show_the_four_fifths_rule(rate, rows, rng):
    k = [round(rate * rows)] * 2
    assert rate_ratio(k, [rows] * 2, rng).detectable == pytest.approx(0.8, abs=0.002)
    assert rate_gap(k, [rows] * 2, rng).detectable == pytest.approx(0.2 * rate, abs=0.001)


def test_a_detectable_gap_is_detected_four_times_in_five(rng):
    trials = np.array([300, 1200])
    size = rate_gap([90, 360], trials, rng).detectable
    found = [rate_gap(rng.binomial(trials, [0.3 - size, 0.3]), trials, rng, draws=400).p <= 0.05 for _ in range(300)]
    assert 0.72 <= np.mean(found) <= 0.9


def test_permutation_p_equals_full_enumeration(rng):
    k, n = np.array([1, 4, 2]), np.array([4, 5, 3])
    labels = np.repeat([0, 1, 2], n)
    spans = []
    for chosen in itertools.combinations(range(12), 7):
        rates = np.bincount(labels[list(chosen)], minlength=3) / n
        spans.append(np.ptp(rates))
    exact = np.mean(np.array(spans) >= np.ptp(k / n) - 1e-12)
    found = rate_gap(k, n, rng, draws=20_000)
    assert found.p == pytest.approx(exact, abs=0.015)
    assert found.chance == pytest.approx(np.mean(spans), abs=0.01)


def test_correction_takes_bias_off(crossed, rng):
    found = [rate_gap(*sampled(5000, crossed, 0.3, rng), rng, draws=200) for _ in range(200)]
    raw, corrected, chance = (np.mean([getattr(g, name) for g in found]) for name in ("value", "corrected", "chance"))
    assert raw == pytest.approx(0.106, abs=0.01)  # all of it chance
    assert chance == pytest.approx(raw, abs=0.01)
    assert corrected < 0.75 * raw


def test_critical_value_of_one_pair_and_of_many(rng):
    two = simultaneous(np.ones((1, 2)), rng, draws=200_000, level=0.95)
    assert two == pytest.approx(2.2414, abs=0.02)  # normal quantile at 0.9875
    ten = simultaneous(np.ones((1, 10)), rng, draws=50_000, level=0.95)
    assert ten == pytest.approx(4.745 / np.sqrt(2), abs=0.04)  # studentised range, 10 means, 0.975


def test_joint_bounds_reach_at_least_as_far_as_single_ones(rng):
    first, second = ([40, 25], [100, 100]), ([30, 28], [90, 95])
    joint, single = joint_rate_gap([first, second], rng), rate_gap(*first, rng)
    assert joint.value == single.value
    assert joint.low <= single.low + 0.01
    assert joint.high >= single.high
    assert (joint.highest, joint.lowest) == (0, 1)
    assert joint.p >= single.p


def test_every_interval_holds_its_value(rng):
    for _ in range(200):
        n = rng.integers(1, 30, 4)
        k = rng.integers(0, n + 1)
        found = [rate_gap(k, n, rng, draws=50)] + ([rate_ratio(k, n, rng, draws=50)] if k.sum() else [])
        for each in found:
            assert 0 <= each.low <= each.value <= each.high <= 1
            assert 0 < each.p <= 1


def test_upper_bound_of_two_groups_is_newcombes_published_one(rng):
    # Newcombe 1998, Statistics in Medicine 17:873, Table II (a), method 10: 56 of 70 against 48 of 80.
    found = rate_gap([56, 48], [70, 80], rng)
    assert found.high == pytest.approx(0.3339, abs=5e-5)
    assert 0 < found.low < 0.0524


def test_a_group_is_no_rival_of_itself(rng):
    small, large = wilson([1], [2]), wilson([500], [1000])
    expected = max(np.hypot(small.high[0] - 0.5, 0.5 - large.low[0]), np.hypot(large.high[0] - 0.5, 0.5 - small.low[0]))
    assert rate_gap([1, 500], [2, 1000], rng).high == pytest.approx(expected)


def test_few_rows_at_the_edge_claim_nothing(rng):
    assert rate_gap([2, 0], [2, 2], rng).low == 0  # a raw gap of 1
    certain = rate_ratio([3, 3], [3, 3], rng)
    assert certain.value == 1
    assert certain.low < 0.5


@pytest.mark.parametrize(
    ("k", "n", "word"), [([0, 3], [0, 9], "women"), ([3], [9], "two"), ([], [], "two"), ([0, 0], [5, 5], "success")]
)
def test_undefined_says_why(k, n, word, rng):
    found = rate_ratio(k, n, rng, names=("women", "men"))
    assert found.value is found.low is found.high is found.p is None
    assert word in found.reason


def test_a_perfect_predictor_with_an_empty_group_has_no_gap_instead_of_one(rng):
    families = [([0, 0], [50, 5]), ([40, 0], [40, 0])]
    found = joint_rate_gap(families, rng)
    assert found.value is None
    assert "group 1" in found.reason


@pytest.mark.parametrize("families", [[], [([1], [2]), ([1, 1], [2, 2])]])
def test_families_must_count_the_same_groups(families, rng):
    with pytest.raises(InputError, match="same groups"):
        joint_rate_gap(families, rng)
