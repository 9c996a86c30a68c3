import itertools

import numpy as np
import pytest

from rai.explainers import odd, shapley_values
from rai.explainers.designs import allotment, available, design


def relative_error(found, truth):
    """Mean over rows of squared distance, relative to the squared length of the true values."""
    return (((found.values - truth.values) ** 2).sum(axis=1) / (truth.values**2).sum(axis=1)).mean()


@pytest.fixture
def tried(network, singles):
    """A network of n inputs, explained exactly and as a function of seed and evaluations."""

    def build(inputs, rows):
        rng = np.random.default_rng(5)
        given = (network(inputs), rng.normal(size=(rows, inputs)), rng.normal(size=(1, inputs)), singles(inputs))
        truth = shapley_values(*given, rng, evaluations=2**inputs)
        return truth, lambda seed, count: shapley_values(*given, np.random.default_rng(seed), evaluations=count)

    return build


def test_additive_and_pairwise_models_are_exact(singles, rng):
    """Halved differences of pairs hide all interactions of two, so the regression has nothing left to miss."""
    slopes, pairs = rng.normal(size=20), rng.normal(size=(20, 20))
    rows, background = rng.normal(size=(12, 20)), rng.normal(size=(3, 20))
    additive = shapley_values(lambda table: np.sin(table) @ slopes, rows, background, singles(20), rng, evaluations=82)
    expected = slopes * (np.sin(rows) - np.sin(background).mean(axis=0))
    np.testing.assert_allclose(additive.values, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(additive.error, 0, atol=1e-11)
    quadratic = shapley_values(
        lambda table: ((table @ pairs) * table).sum(axis=1), rows, background[:1] * 0, singles(20), rng
    )
    np.testing.assert_allclose(quadratic.values, rows * (rows @ (pairs + pairs.T)) / 2, rtol=0, atol=1e-10)


def test_sixteen_players_with_640_evaluations_are_close(tried):
    """Measured 2.6e-3 on average over three networks; the worst single run of eighteen was 6.4e-3."""
    truth, sample = tried(16, 8)
    found = sample(0, 640)
    assert relative_error(found, truth) < 1e-2
    np.testing.assert_allclose(found.values.sum(axis=1), truth.values.sum(axis=1), rtol=0, atol=1e-10)


def test_the_error_falls_with_evaluations_and_ends_at_nothing(tried):
    truth, sample = tried(10, 20)
    errors = [np.mean([relative_error(sample(seed, count), truth) for seed in range(4)]) for count in (60, 240, 800)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    np.testing.assert_allclose(sample(0, 1024).values, truth.values, atol=1e-12)
    np.testing.assert_allclose(sample(0, 1022).error, 0, atol=0.02 * np.abs(truth.values).mean())


@pytest.mark.parametrize(("most_players", "share"), [(0, 1 / 30), (24, 1 / 5)])
def test_the_mean_over_seeds_comes_close_to_the_truth(most_players, share, tried, monkeypatch):
    """Chance alone leaves a hundredth; shrinking interactions leaves a bias, measured a tenth of the squared error."""
    monkeypatch.setattr(odd, "MOST_PLAYERS", most_players)
    truth, sample = tried(9, 10)
    runs = [sample(seed, 80) for seed in range(100)]
    mean = np.mean([each.values for each in runs], axis=0)
    one = np.mean([relative_error(each, truth) for each in runs])
    left = (((mean - truth.values) ** 2).sum(axis=1) / (truth.values**2).sum(axis=1)).mean()
    assert left < one * share


@pytest.mark.parametrize(("inputs", "evaluations"), [(8, 100), (12, 120), (12, 480)])
def test_standard_errors_are_as_large_as_the_errors(inputs, evaluations, tried):
    truth, sample = tried(inputs, 20)
    runs = [sample(seed, evaluations) for seed in range(6)]
    missed = np.array([each.values - truth.values for each in runs])
    claimed = np.array([each.error for each in runs])
    assert 0.5 < np.sqrt((claimed**2).mean() / (missed**2).mean()) < 2
    assert 0.88 < (np.abs(missed) < 1.96 * claimed).mean() < 0.99


def test_a_row_alone_and_a_row_in_company_are_answered(tried, network, singles):
    truth, sample = tried(14, 1)
    assert sample(0, 560).values.shape == (1, 14)
    assert relative_error(sample(0, 560), truth) < 2e-2


def test_the_same_stream_gives_the_same_values_and_another_does_not(tried):
    _, sample = tried(8, 3)
    first, again, other = sample(1, 60), sample(1, 60), sample(2, 60)
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(first.error, again.error)
    assert np.abs(first.values - other.values).max() > 1e-6


def test_many_players_are_answered(singles, rng):
    rows = rng.normal(size=(2, 150))
    found = shapley_values(
        lambda table: table.sum(axis=1), rows, np.zeros((1, 150)), singles(150), rng, evaluations=700
    )
    np.testing.assert_allclose(found.values, rows, rtol=0, atol=1e-10)
    assert found.note == "700 coalitions a row"


@pytest.mark.parametrize("players", [5, 6, 7, 8, 13])
def test_every_pair_is_drawn_once_at_most(players, rng):
    for pairs in (2 * players, 2 ** (players - 1) - 2):
        drawn = design(players, pairs, rng)
        assert len(drawn.coalitions) == pairs
        assert len(np.unique(drawn.both, axis=0)) == 2 * pairs
        assert ((drawn.unseen >= 0) & (drawn.unseen < 1)).all()


def test_sizes_share_the_pairs_until_they_have_no_more():
    assert sum(allotment(16, 319).values()) == 319
    assert allotment(16, 319)[1] == available(16, 1) == 16
    assert allotment(16, 319)[4] in (46, 47)
    assert allotment(16, 319)[8] in (23, 24)


def test_drawing_all_pairs_weighs_them_with_the_shapley_kernel(rng):
    drawn = design(6, 31, rng)
    for coalition, weight in zip(drawn.coalitions, drawn.weights, strict=True):
        size = int(coalition.sum())
        there = sum(1 for _ in itertools.combinations(range(6), size))
        assert weight == pytest.approx(1 / (there * size * (6 - size)))
    assert not drawn.unseen.any()


def test_each_pair_of_a_size_is_as_likely_as_another(rng):
    drawn = np.concatenate([design(8, 20, rng).coalitions for _ in range(600)])
    for size in (2, 3, 4):
        counts = np.unique(drawn[drawn.sum(axis=1) == size], axis=0, return_counts=True)[1]
        assert len(counts) == available(8, size)
        assert counts.max() < counts.mean() + 5 * np.sqrt(counts.mean())
        assert counts.min() > counts.mean() - 5 * np.sqrt(counts.mean())
