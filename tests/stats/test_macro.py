import numpy as np
import pytest
from sklearn import metrics as sk

from rai.stats.macro import (
    auc_influence,
    average_precision_estimate,
    average_precision_influence,
    macro_average_precision,
    macro_roc_auc,
)
from rai.stats.ranking import average_precision


def scored(rows, rng, *, digits=1):
    actual = rng.integers(0, 3, rows)
    score = rng.normal(size=(rows, 3)).round(digits)
    score[np.arange(rows), actual] += 1
    return actual, np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)


def test_values_are_scikit_learns(rng):
    actual, chances = scored(120, rng)
    theirs = sk.roc_auc_score(actual, chances, multi_class="ovr")
    assert macro_roc_auc(actual, chances).value == pytest.approx(theirs, abs=1e-12)
    theirs = sk.average_precision_score(np.eye(3)[actual], chances)
    assert macro_average_precision(actual, chances).value == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("digits", [1, 6])
def test_influence_is_the_derivative_by_a_rows_weight(digits, rng):
    actual, chances = scored(40, rng, digits=digits)
    positive, score = actual == 0, chances[:, 0].round(2 if digits == 1 else 9)
    found = average_precision_influence(positive, score)
    assert found[:-1].sum() == pytest.approx(0, abs=1e-12)
    for row in range(40):
        weights = np.ones(40)
        weights[row] += 1e-6
        moved = sk.average_precision_score(positive, score, sample_weight=weights)
        assert found[row] == pytest.approx((moved - found[-1]) / 1e-6, abs=1e-6)


def test_auc_influences_give_delongs_variance(rng):
    actual, chances = scored(60, rng)
    positive = actual == 0
    found = auc_influence(positive, chances[:, 0])
    pairs = np.array([[(a > b) + (a == b) / 2 for b in chances[~positive, 0]] for a in chances[positive, 0]])
    rows, columns = pairs.shape
    slow = pairs.mean(axis=1).var(ddof=1) / rows + pairs.mean(axis=0).var(ddof=1) / columns
    assert (found[:-1] ** 2).sum() == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("rows", [60, 400])
def test_intervals_cover(rows, rng):
    truth = [each(*scored(60_000, rng, digits=6)).value for each in (macro_roc_auc, macro_average_precision)]
    drawn = [scored(rows, rng, digits=6) for _ in range(250)]
    for each, value in zip((macro_roc_auc, macro_average_precision), truth, strict=True):
        found = [each(*one) for one in drawn]
        assert np.mean([one.low <= value <= one.high for one in found]) >= 0.91


def test_average_precision_of_a_dozen_positives_is_covered(rng):
    """Resampling the rows covers 86 % here: the draws repeat the few positives at hand."""

    def rare(rows):
        score = rng.normal(-3.5, 1, rows)
        return rng.random(rows) < 1 / (1 + np.exp(-score)), score

    truth = average_precision(*rare(800_000))
    drawn = [each for each in (rare(300) for _ in range(300)) if each[0].sum() >= 5]
    found = [average_precision_estimate(*each) for each in drawn]
    assert np.mean([one.low is not None and one.low <= truth <= one.high for one in found]) >= 0.91


def test_separated_classes_are_bounded_exactly():
    found = macro_roc_auc(np.repeat([0, 1, 2], 5), np.repeat(np.eye(3), 5, axis=0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025**0.2)


def test_what_cannot_be_known_has_a_reason(rng):
    assert macro_roc_auc(np.array([0, 1]), np.ones((2, 3))).value is None
    assert average_precision_estimate(np.ones(4, dtype=bool), np.arange(4.0)).value is None
    single = average_precision_estimate(np.array([True, False, False]), np.array([0.1, 0.2, 0.0]))
    assert (single.low, bool(single.reason)) == (None, True)
