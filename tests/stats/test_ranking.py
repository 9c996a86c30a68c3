import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from rai.stats import ranking
from rai.stats.ranking import (
    average_precision,
    delong,
    precision_recall_points,
    roc_auc_draws,
    roc_points,
)

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=25)


def slow_auc(positive, score):
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    return float(np.mean(pairs)) if pairs else None


def roc_auc(positive, score):
    weights = np.ones((1, len(positive)))
    found = ranking.area_under_roc(ranking.hits(ranking.ranked(positive, score), weights))[0] if len(positive) else None
    return found if found is not None and np.isfinite(found) else None


def columns(rows):
    return np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 7, np.array([r[2] for r in rows])


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_order(rows):
    positive, score, _ = columns(rows)
    assert roc_auc(positive, score) == pytest.approx(slow_auc(positive, score))


@given(ROWS)
def test_weights_are_repeated_rows(rows):
    positive, score, weight = columns(rows)
    again = np.repeat(positive, weight), np.repeat(score, weight)
    rows = ranking.ranked(positive, score)
    weighted = ranking.hits(rows, weight[None, rows.order])
    for many, one in ((ranking.area_under_roc, roc_auc), (ranking.mean_precision, average_precision)):
        found = many(weighted)[0]
        expected = one(*again)
        assert np.isnan(found) if expected is None else found == pytest.approx(expected)


@given(ROWS)
def test_average_precision_equals_sklearn(rows):
    positive, score, _ = columns(rows)
    if positive.any():
        assert average_precision(positive, score) == pytest.approx(
            sk.average_precision_score(positive, score), abs=1e-12
        )
    else:
        assert average_precision(positive, score) is None


def drawn(m, n, shift, rng):
    positive = np.arange(m + n) < m
    return positive, rng.standard_normal(m + n) + shift * positive


@pytest.mark.parametrize(("m", "n", "shift"), [(20, 30, 2.3), (15, 300, 2.0), (100, 200, 1.0)])
def test_delong_covers_the_truth(m, n, shift, rng):
    truth = stats.norm.cdf(shift / np.sqrt(2))
    found = [delong(*drawn(m, n, shift, rng)) for _ in range(300)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.9


def test_delong_error_equals_its_definition(rng):
    positive, score = drawn(12, 17, 0.8, rng)
    score = score.round(1)
    pairs = (score[positive][:, None] > score[~positive]) + (score[positive][:, None] == score[~positive]) / 2
    error = np.sqrt(pairs.mean(axis=1).var(ddof=1) / 12 + pairs.mean(axis=0).var(ddof=1) / 17)
    value = pairs.mean()
    parts = np.array([pairs.mean(axis=1).var(ddof=1) / 12, pairs.mean(axis=0).var(ddof=1) / 17])
    freedom = error**4 / (parts**2 / [11, 16]).sum()
    reach = stats.t.ppf(0.975, freedom) * error / (value * (1 - value))
    found = delong(positive, score)
    assert found.value == pytest.approx(value)
    assert np.log(found.high / (1 - found.high)) - np.log(value / (1 - value)) == pytest.approx(reach, rel=1e-5)


def test_resampling_agrees_with_delong(rng):
    positive, score = drawn(150, 250, 1.0, rng)
    analytic, resampled = delong(positive, score), roc_auc_draws(positive, score, rng, draws=3000)
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert low == pytest.approx(analytic.low, abs=0.01)
    assert high == pytest.approx(analytic.high, abs=0.01)


def test_binned_draws_spread_like_drawn_rows(rng, monkeypatch):
    positive, score = drawn(1500, 3000, 1.0, rng)
    exact = roc_auc_draws(positive, score, rng, draws=600)
    monkeypatch.setattr(ranking, "MOST_RESAMPLED", 100)
    binned = roc_auc_draws(positive, score, rng, draws=600)
    assert binned.std() == pytest.approx(exact.std(), rel=0.12)
    assert binned.mean() == pytest.approx(exact.mean(), abs=4 * exact.std() / np.sqrt(300))


def test_separated_classes_are_bounded_exactly(rng):
    found = delong(np.array([True] * 5 + [False] * 9), np.arange(14.0)[::-1])
    assert found.value == 1
    assert found.low == pytest.approx(0.025**0.2)
    assert found.high == 1
    upside_down = delong(np.array([False] * 5 + [True] * 9), np.arange(14.0)[::-1])
    assert (upside_down.value, upside_down.low) == (0, 0)


@pytest.mark.parametrize("positive", [[True, True], [False, False], []])
def test_one_class_is_undefined(positive, rng):
    flags, score = np.array(positive, dtype=bool), np.linspace(0, 1, len(positive))
    found = delong(flags, score)
    assert found.value is None
    assert found.reason
    assert np.isnan(roc_auc_draws(flags, score, rng, draws=4)).all()
    assert len(roc_points(flags, score).x) == 0


def test_scores_that_never_vary_have_no_interval(rng):
    found = delong(np.array([True, False] * 5), np.ones(10))
    assert (found.value, found.low) == (0.5, None)
    assert found.reason


@pytest.mark.parametrize("rows", [30, 20_000])
def test_curves_enclose_the_area_in_a_hundred_points(rows, rng):
    positive, score = drawn(rows // 3, rows, 1.0, rng)
    curve = roc_points(positive, score)
    assert len(curve.x) == len(curve.y) <= 100
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert (np.diff(curve.x) >= 0).all()
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc_auc(positive, score), abs=1e-3)
    line = precision_recall_points(positive, score)
    assert len(line.x) <= 100
    assert (np.diff(line.x) >= 0).all()
    assert line.x[-1] == 1
    assert line.y[-1] == pytest.approx(positive.mean())
