import numpy as np
import pytest
from scipy import stats

from rai.stats import bootstrap
from rai.stats.bootstrap import bootstrap_counts, bootstrap_rows, draws_for, jackknife, multinomial, row_weights
from rai.stats.confusion import METRICS, binary_counts

CELLS = np.array([40, 12, 9, 21])


def as_rows(cells):
    """One row a count: actual and predicted."""
    kinds = np.repeat(np.arange(4), cells)
    return kinds >= 2, kinds % 2 == 1


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "mcc", "precision"])
def test_counts_bootstrap_is_the_row_bootstrap_in_distribution(name, rng):
    metric = METRICS[name]
    actual, predicted = as_rows(CELLS)
    picks = rng.integers(len(actual), size=(4000, len(actual)))
    slow = metric(np.stack([binary_counts(actual[i], predicted[i]) for i in picks]))
    fast = metric(multinomial(CELLS, 4000, rng))
    assert fast.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / np.sqrt(2000))
    assert fast.std() == pytest.approx(slow.std(), rel=0.08)
    assert stats.ks_2samp(slow, fast).pvalue > 1e-3


def test_groups_are_drawn_over_all_cells_at_once(rng):
    counts = np.array([[5, 3, 0, 2], [50, 30, 7, 3]])
    drawn = multinomial(counts, 500, rng)
    assert drawn.shape == (500, 2, 4)
    assert (drawn.sum(axis=(1, 2)) == counts.sum()).all()
    assert drawn.sum(axis=2).std(axis=0).min() > 1  # group sizes vary, as in a row bootstrap
    assert (drawn[:, 0, 2] == 0).all()
    assert multinomial(np.zeros(4, dtype=int), 3, rng).sum() == 0


def test_jackknife_of_cells_is_leave_one_out_of_rows():
    actual, predicted = as_rows(CELLS)
    rows = np.arange(len(actual))
    slow = [float(METRICS["f1"](binary_counts(actual[rows != i], predicted[rows != i]))) for i in rows]
    found = jackknife(CELLS, METRICS["f1"])
    assert np.repeat(found.values, found.weights) == pytest.approx(slow)


def test_bca_bounds_equal_scipy(rng):
    actual, predicted = as_rows(CELLS)

    def statistic(picked, axis):
        i = picked.astype(int)
        return METRICS["f1"](
            np.stack([(np.take(2 * actual + predicted, i) == c).sum(axis=axis) for c in range(4)], axis=-1)
        )

    theirs = stats.bootstrap(
        (np.arange(len(actual)),), statistic, n_resamples=20000, method="BCa", rng=rng
    ).confidence_interval
    mine = bootstrap_counts(CELLS, METRICS["f1"], rng, draws=20000)
    assert "BCa" in mine.method
    assert mine.low == pytest.approx(theirs.low, abs=0.008)
    assert mine.high == pytest.approx(theirs.high, abs=0.008)


def test_intervals_cover_the_truth(rng):
    chances = np.array([0.5, 0.1, 0.12, 0.28])
    truth = METRICS["f1"](chances * 1e6)
    found = [bootstrap_counts(rng.multinomial(150, chances), METRICS["f1"], rng, draws=400) for _ in range(300)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.91


def test_too_many_undefined_draws_leave_the_value_without_interval(rng):
    found = bootstrap_counts(np.array([30, 2, 1, 1]), METRICS["recall"], rng)
    assert found.value == 0.5
    assert found.low is None
    assert "leave it undefined" in found.reason


@pytest.mark.parametrize(("cells", "value"), [([0, 0, 0, 0], None), ([9, 1, 0, 0], None), ([9, 0, 0, 5], 1.0)])
def test_what_cannot_be_known_has_a_reason(cells, value, rng):
    found = bootstrap_counts(np.array(cells), METRICS["recall"], rng)
    assert found.value == value
    assert found.low is None
    assert found.high is None
    assert found.reason


def test_row_bootstrap_of_a_mean_has_the_textbook_width(rng):
    values = rng.exponential(size=400)
    found = bootstrap_rows(lambda weights: weights @ values / 400, 400, rng)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_strata_keep_their_sizes(rng):
    strata = np.array([0] * 3 + [4] * 9 + [2])
    for weights in row_weights(13, 50, rng, strata):
        assert (weights[:, strata == 0].sum(axis=1) == 3).all()
        assert (weights[:, strata == 4].sum(axis=1) == 9).all()
        assert (weights[:, strata == 2] == 1).all()


def test_pieces_stay_small_and_every_draw_is_made(rng, monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 8 * 100 * 7)
    pieces = list(row_weights(100, 30, rng))
    assert [len(each) for each in pieces] == [7, 7, 7, 7, 2]
    assert all((each.sum(axis=1) == 100).all() for each in pieces)


def test_fewer_draws_for_more_rows():
    counts = [draws_for(rows) for rows in (1, 10_000, 50_000, 10**7)]
    assert counts == [2000, 2000, 400, 200]


def test_no_rows_and_undefined_statistics(rng):
    assert bootstrap_rows(lambda w: w.sum(axis=1), 0, rng).value is None
    assert bootstrap_rows(lambda w: np.full(len(w), np.nan), 5, rng).value is None
