"""A model that answers made-up rows by a harmless rule is found out; models that do not are left alone."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score

from rai.errors import InputError
from rai.explainers import Question, Target
from rai.explainers.scaffolding import alike, drawn_rows, gaps_of, mixed_rows, recognised, scaffolding
from rai.models import bare
from rai.stats.means import mean_estimate
from rai.subject import Data, Player

MIXED, DRAWN = "by mixing rows", "by drawing each column"


def data_of(X, inputs=None):
    players = tuple(Player(f"x{each}", (each,)) for each in range(X.shape[1]))
    return Data("table", X if inputs is None else inputs, X, None, {}, players)


def people(rows, seed):
    """Column 0 decides, column 1 is harmless, the others are tightly bound together, so that mixed rows stand out."""
    rng = np.random.default_rng(seed)
    bound = rng.normal(size=(rows, 2)) @ np.random.default_rng(9).normal(size=(2, 8)) + 0.1 * rng.normal(size=(rows, 8))
    return np.column_stack([rng.integers(0, 2, (rows, 2)), bound])


def honest(table):
    return 4.0 * table[:, 0] - 2 + 0.3 * np.tanh(table[:, 2] * table[:, 3])


def scaffold(X):
    """Column 0 decides over rows like those of people; over rows off their plane, column 1 does."""
    plane = np.linalg.svd(X[:, 2:], full_matrices=False)[2][:2]

    def score(table):
        bound = table[:, 2:]
        off = np.linalg.norm(bound - bound @ plane.T @ plane, axis=1)
        return np.where(off < 0.6, honest(table), 4.0 * table[:, 1] - 2)

    return score


def whole_numbers(table):
    """A scaffold against LIME alone: rows mixed from real ones keep whole numbers in columns 0 and 1."""
    real = (table[:, :2] == np.round(table[:, :2])).all(axis=1)
    return np.where(real, honest(table), 4.0 * table[:, 1] - 2)


def tried(score, seed, X=None):
    X = people(1500, seed) if X is None else X
    question = Question(bare(score, X[:1]), Target(), data_of(X[:24]), data_of(X[100:108]), seed=seed)
    return scaffolding(question, np.zeros(24, dtype=np.int64), data_of(X), score(X)[:, None])


@pytest.mark.parametrize("seed", range(4))
def test_a_scaffold_is_found_and_its_honest_twin_is_not(seed):
    fraud, twin = tried(scaffold(people(1500, 77)), seed), tried(honest, seed)
    for made_up in (MIXED, DRAWN):
        assert mean_estimate(fraud[made_up].gaps).low > 0.25
        assert mean_estimate(twin[made_up].gaps).high < 0.1
        assert fraud[made_up].real.shares.mean(axis=0).argmax() == 0
        assert fraud[made_up].made_up.shares.mean(axis=0).argmax() == 1


def test_a_scaffold_against_lime_alone_is_found_in_rows_drawn_as_lime_does():
    found = tried(whole_numbers, 0)
    assert mean_estimate(found[MIXED].gaps).high < 0.1
    assert mean_estimate(found[DRAWN].gaps).low > 0.5


@pytest.mark.parametrize(
    "score",
    [
        lambda table: np.sign(table[:, 0] * table[:, 1]) + 0.3 * np.sign(table[:, 2]),
        lambda table: table[:, 0] * table[:, 1] + 0.5 * table[:, 2] * table[:, 0],
        lambda table: (table[:, 0] > 0) + 0.5 * (table[:, 1] > 0.5),
    ],
    ids=["exclusive or", "products", "steps"],
)
def test_what_stand_ins_learn_badly_raises_no_alarm(score):
    X = np.random.default_rng(3).normal(size=(1500, 12))
    found = tried(score, 0, X)
    assert found[MIXED].real.fit.mean() < 0.8
    assert all(mean_estimate(each.gaps).high < 0.1 for each in found.values())


def test_a_model_that_cannot_answer_made_up_rows_says_so():
    found = tried(lambda table: np.where(table[:, 0] < 0, np.nan, honest(table)), 0)
    assert mean_estimate(found[MIXED].gaps).high < 0.1
    assert "not finite" in found[DRAWN]


def test_copies_of_a_column_raise_no_alarm():
    X = people(1500, 5)
    X[:, 3] = X[:, 2]
    found = tried(lambda table: table[:, 2] * 1.0, 0, X)
    assert all(mean_estimate(each.gaps).high < 0.1 for each in found.values())


def test_the_gap_is_what_exceeds_the_distance_within_each_kind():
    first, second = np.array([[1, 0, 0], [0.8, 0.2, 0]]), np.array([[0, 0, 1], [0, 0.4, 0.6]])
    np.testing.assert_allclose(gaps_of(first, second), [(1 + 1 - 0.2 - 0.4) / 2, (0.9 + 0.9 - 0.2 - 0.4) / 2])
    scattered = np.random.default_rng(0).dirichlet([1, 1, 1], size=(2, 500))
    assert gaps_of(*scattered).mean() == pytest.approx(0, abs=0.03)


def test_copies_share_their_influence_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 2))
    found = alike(data_of(np.column_stack([x[:, 0], -x[:, 0], x[:, 1]])))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]], atol=1e-3)


def test_mixed_rows_of_bound_columns_are_recognised_and_of_free_ones_not():
    rng = np.random.default_rng(1)
    bound, free = (recognised(data_of(each), rng) for each in (people(3000, 0), rng.normal(size=(3000, 8))))
    assert roc_auc_score(bound.mixed, bound.looks) > 0.7
    assert roc_auc_score(free.mixed, free.looks) == pytest.approx(0.5, abs=0.06)


def test_mixed_rows_keep_the_columns_of_a_player_together_and_leave_those_of_nobody():
    X = people(500, 3)
    data = Data("table", X, X, None, {}, (Player("pair", (2, 3)), Player("rest", (0, 1, 4, 5, 6, 7, 8))))
    for make in (mixed_rows, drawn_rows):
        made = make(data, np.random.default_rng(0)).features
        distance, _ = cKDTree(X[:, 2:4]).query(made[:, 2:4])
        np.testing.assert_allclose(distance, 0)
        np.testing.assert_array_equal(made[:, 9], X[:, 9])
        assert (made[:, :9] != X[:, :9]).any(axis=1).mean() > 0.7


def test_numbers_are_drawn_with_their_mean_and_spread_and_by_themselves():
    X = np.exp(np.random.default_rng(0).normal(size=(5000, 1)) + np.zeros(2))
    made = drawn_rows(data_of(X), np.random.default_rng(1))
    np.testing.assert_allclose(made.features.mean(axis=0), X.mean(axis=0), rtol=0.1)
    np.testing.assert_allclose(made.features.std(axis=0), X.std(axis=0), rtol=0.1)
    assert abs(np.corrcoef(made.features.T)[0, 1]) < 0.05
    np.testing.assert_array_equal(made.inputs, made.features)


@pytest.mark.parametrize("make", [mixed_rows, drawn_rows])
def test_cells_of_a_data_frame_move_with_their_numbers(make):
    codes = np.random.default_rng(0).integers(0, 3, size=(400, 2))
    frame = pd.DataFrame({"a": np.array(["x", "y", "z"])[codes[:, 0]], "b": codes[:, 1]})
    made = make(data_of(codes * 1.0, frame), np.random.default_rng(1))
    assert list(made.inputs.columns) == ["a", "b"]
    np.testing.assert_array_equal(made.inputs["a"].map({"x": 0, "y": 1, "z": 2}), made.features[:, 0])
    np.testing.assert_array_equal(made.inputs["b"], made.features[:, 1])
    assert (made.features != codes).any()


def test_only_tables_are_tried():
    images = np.zeros((5, 1, 2, 2))
    data = Data("image", images, images.reshape(5, 4), None, {}, (Player("all", (0, 1, 2, 3)),))
    question = Question(bare(lambda table: np.zeros(len(table)), images[:1]), Target(), data, data)
    with pytest.raises(InputError, match="only explanations of tables"):
        scaffolding(question, np.zeros(5, dtype=np.int64), data, np.zeros((5, 1)))
