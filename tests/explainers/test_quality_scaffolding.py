"""A model that answers made-up rows by a harmless rule is found out; models that do not are left alone."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from rai.errors import InputError
from rai.explainers import Question, Target
from rai.explainers.scaffolding import alike, gaps_of, mixed_rows, recognised, scaffolding
from rai.models import bare
from rai.stats.means import mean_estimate
from rai.stats.ranking import roc_auc
from rai.subject import Data, Player


def data_of(X):
    return Data("table", X, X, None, {}, tuple(Player(f"x{each}", (each,)) for each in range(X.shape[1])))


def people(rows, seed):
    """Column 0 decides, column 1 is harmless, the others are tightly bound together, so that mixed rows stand out."""
    rng = np.random.default_rng(seed)
    bound = rng.normal(size=(rows, 2)) @ np.random.default_rng(9).normal(size=(2, 8)) + 0.1 * rng.normal(size=(rows, 8))
    return np.column_stack([rng.integers(0, 2, (rows, 2)), bound])


def honest(X):
    return 4.0 * X[:, 0] - 2 + 0.3 * np.tanh(X[:, 2] * X[:, 3])


def scaffold(X):
    """Column 0 decides over rows like those of people; over rows off their plane, column 1 does."""
    plane = np.linalg.svd(X[:, 2:], full_matrices=False)[2][:2]

    def score(table):
        bound = table[:, 2:]
        off = np.linalg.norm(bound - bound @ plane.T @ plane, axis=1)
        return np.where(off < 0.6, honest(table), 4.0 * table[:, 1] - 2)

    return score


def tried(score, seed):
    X = people(1500, seed)
    question = Question(bare(score, X[:1]), Target(), data_of(X[:24]), data_of(X[100:108]), seed=seed)
    return scaffolding(question, np.zeros(24, dtype=np.int64), data_of(X), score(X)[:, None])


@pytest.mark.parametrize("seed", range(4))
def test_a_scaffold_is_found_and_its_honest_twin_is_not(seed):
    fraud, twin = tried(scaffold(people(1500, 77)), seed), tried(honest, seed)
    hidden, plain = mean_estimate(fraud.gaps), mean_estimate(twin.gaps)
    assert hidden.low > 0.25
    assert plain.high < 0.1
    assert fraud.stand_ins.mean(axis=0).argmax() == 0
    assert fraud.model.argmax() == 1


def test_copies_of_a_column_raise_no_alarm():
    X = people(1500, 5)
    X[:, 3] = X[:, 2]
    question = Question(bare(lambda Z: Z[:, 2], X[:1]), Target(), data_of(X[:24]), data_of(X[100:108]))
    found = scaffolding(question, np.zeros(24, dtype=np.int64), data_of(X), X[:, 2:3])
    assert mean_estimate(found.gaps).high < 0.1


def test_the_gap_is_what_exceeds_the_distance_among_stand_ins():
    theirs = np.array([[1, 0, 0], [0.8, 0.2, 0], [0.8, 0, 0.2]])
    np.testing.assert_allclose(gaps_of(np.array([0, 0, 1.0]), theirs), [1 - 0.2, 1 - 0.2, 0.8 - 0.2])
    assert gaps_of(theirs.mean(axis=0), theirs).mean() < 0


def test_copies_share_their_influence_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 2))
    found = alike(data_of(np.column_stack([x[:, 0], -x[:, 0], x[:, 1]])))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]], atol=1e-3)


def test_mixed_rows_of_bound_columns_are_recognised_and_of_free_ones_not():
    rng = np.random.default_rng(1)
    bound, free = (recognised(data_of(each), rng) for each in (people(3000, 0), rng.normal(size=(3000, 8))))
    assert roc_auc(bound.mixed, bound.looks) > 0.7
    assert roc_auc(free.mixed, free.looks) == pytest.approx(0.5, abs=0.06)


def test_mixed_rows_keep_the_columns_of_a_player_together():
    X = people(500, 3)
    data = Data("table", X, X, None, {}, (Player("pair", (2, 3)), Player("rest", (0, 1, 4, 5, 6, 7, 8, 9))))
    mixed = mixed_rows(data, np.random.default_rng(0))
    distance, _ = cKDTree(X[:, 2:4]).query(mixed[:, 2:4])
    np.testing.assert_allclose(distance, 0)
    assert (mixed != X).any()


def test_only_tables_are_tried():
    images = np.zeros((5, 1, 2, 2))
    data = Data("image", images, images.reshape(5, 4), None, {}, (Player("all", (0, 1, 2, 3)),))
    question = Question(bare(lambda table: np.zeros(len(table)), images[:1]), Target(), data, data)
    with pytest.raises(InputError, match="only explanations of tables"):
        scaffolding(question, np.zeros(5, dtype=np.int64), data, np.zeros((5, 1)))
