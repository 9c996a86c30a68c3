"""Explanations under cross-examination: known answers, slow twins, planted frauds and their clean twins."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from rai.errors import InputError
from rai.explainers import Attribution, Question, Target, method, quality
from rai.explainers.deletion import Controls, Fall, controls, extreme, fall, falls
from rai.explainers.quality_boards import boards
from rai.explainers.randomisation import randomisation, randomised
from rai.models import bare
from rai.subject import Data, Player, Vocabulary


def data_of(X):
    return Data("table", X, X, None, {}, tuple(Player(f"x{each}", (each,)) for each in range(X.shape[1])))


def ask(score, X, background, **words):
    return Question(bare(score, X[:1]), Target(), data_of(X), data_of(background), **words)


@pytest.fixture
def linear(rng):
    """A linear model of some columns, with its question and exact values."""

    def build(columns, rows=20):
        X, background, weight = (
            rng.normal(size=(rows, columns)),
            rng.normal(size=(4, columns)),
            rng.normal(size=columns),
        )
        question = ask(lambda table: table @ weight, X, background)
        return question, weight * (X - background.mean(axis=0)), np.zeros(rows, dtype=np.int64)

    return build


@pytest.mark.parametrize("columns", [2, 6, 12, 40])
def test_of_an_additive_model_the_values_give_the_best_order_and_their_reverse_the_worst(linear, rng, columns):
    question, values, outputs = linear(columns)
    played = list(boards(question, outputs))
    held = controls(played, len(values), rng)
    np.testing.assert_allclose(held.gain(fall(played, values)), 1, atol=1e-9)
    np.testing.assert_allclose(held.gain(fall(played, -values)), -1, atol=1e-9)


def test_a_shuffled_order_gains_nothing_on_average(linear, rng):
    question, values, outputs = linear(12, rows=400)
    played = list(boards(question, outputs))
    gains = controls(played, 400, rng).gain(fall(played, rng.permuted(values, axis=1)))
    assert abs(gains.mean()) < 4 * gains.std() / 20


def test_the_fall_is_that_of_a_slow_loop(network, rng):
    X, background = rng.normal(size=(5, 6)), rng.normal(size=(3, 6))
    score, values = network(6), rng.normal(size=(5, 6))
    question = ask(score, X, background)
    found = fall(list(boards(question, np.zeros(5, dtype=np.int64))), values)
    for row in range(5):
        heights, mixed = [], np.repeat(X[row : row + 1], 3, axis=0)
        heights.append(score(mixed).mean())
        for player in sorted(range(6), key=lambda each: -values[row, each]):
            mixed[:, player] = background[:, player]
            heights.append(score(mixed).mean())
        area = sum((a + b) / 2 for a, b in pairwise(heights)) / 6
        assert found.areas[row] == pytest.approx(area)
        assert found.curves[row, 10] == pytest.approx(heights[3])


def test_the_best_of_all_orders_is_found(network, rng):
    question = ask(network(5), rng.normal(size=(3, 5)), rng.normal(size=(2, 5)))
    (board,) = boards(question, np.zeros(3, dtype=np.int64))
    every = np.array([falls(board, np.tile(order, (3, 1))).areas for order in permutations(range(5))])
    np.testing.assert_allclose(extreme(board, lowest=True).areas, every.min(axis=0))
    np.testing.assert_allclose(extreme(board, lowest=False).areas, every.max(axis=0))


def test_the_search_is_at_least_as_good_as_hundreds_of_random_orders(network, rng):
    question = ask(network(12), rng.normal(size=(4, 12)), rng.normal(size=(2, 12)))
    (board,) = boards(question, np.zeros(4, dtype=np.int64))
    drawn = np.array([falls(board, rng.random((4, 12)).argsort(axis=1)).areas for _ in range(300)])
    assert (extreme(board, lowest=True).areas <= drawn.min(axis=0)).all()
    assert (extreme(board, lowest=False).areas >= drawn.max(axis=0)).all()


def test_where_nothing_moves_the_score_no_gain_is_told(rng):
    X = rng.normal(size=(6, 4))
    question = ask(lambda table: np.full(len(table), 2.0), X, X)
    played = list(boards(question, np.zeros(6, dtype=np.int64)))
    assert np.isnan(controls(played, 6, rng).gain(fall(played, X))).all()
    assert np.isnan(quality.infidelity(quality.probes(played, rng), X)).all()


def test_each_row_is_judged_by_its_own_output(rng):
    X, background, weights = rng.normal(size=(6, 5)), rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    question = ask(lambda table: table @ weights, X, background)
    outputs = np.array([0, 1, 0, 1, 1, 0])
    values = (X - background.mean(axis=0)) * weights[:, outputs].T
    played = list(boards(question, outputs))
    np.testing.assert_allclose(controls(played, 6, rng).gain(fall(played, values)), 1, atol=1e-9)
    np.testing.assert_allclose(quality.infidelity(quality.probes(played, rng), values), 0, atol=1e-9)


def test_texts_of_several_lengths_are_judged_without_their_padding(rng):
    weight = rng.normal(size=9)
    weight[[0, 1]] = 0
    tokens = np.array([[2, 3, 4, 0, 0], [5, 6, 7, 8, 2], [0, 0, 0, 0, 0]])
    words = Vocabulary(tuple("pm234567x"), pad=0, mask=1)
    players = tuple(Player(f"token {each + 1}", (each,)) for each in range(5))
    data = Data("text", tokens, tokens.astype(float), None, {}, players, vocabulary=words)

    def score(table):
        return weight[np.asarray(table, dtype=np.int64)].sum(axis=1)

    question = Question(bare(score, tokens[:1]), Target(), data, data)
    played = list(boards(question, np.zeros(3, dtype=np.int64)))
    gains = controls(played, 3, rng).gain(fall(played, weight[tokens]))
    np.testing.assert_allclose(gains[:2], 1, atol=1e-9)
    assert np.isnan(gains[2])
    with pytest.raises(InputError, match="tokens cannot be changed a little"):
        quality.nudge(question, rng)


def test_infidelity_knows_truth_scale_sign_and_silence(linear, rng):
    question, values, outputs = linear(8)
    probes = quality.probes(list(boards(question, outputs)), rng)
    np.testing.assert_allclose(quality.infidelity(probes, values), 0, atol=1e-9)
    np.testing.assert_allclose(quality.infidelity(probes, 7 * values), 0, atol=1e-9)
    np.testing.assert_allclose(quality.infidelity(probes, -values), 1)
    np.testing.assert_allclose(quality.infidelity(probes, 0 * values), 1)


def test_infidelity_is_that_of_a_slow_loop(network, rng):
    X, background, score = rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), network(4)
    question, values = ask(score, X, background), rng.normal(size=(3, 4))
    (probe,) = quality.probes(list(boards(question, np.zeros(3, dtype=np.int64))), rng, 9)
    for row, found in enumerate(quality.infidelity((probe,), values)):
        told, lost = [], []
        for members in probe.sets:
            mixed = np.where(members, background, X[row])
            lost.append(score(X[row : row + 1])[0] - score(mixed).mean())
            told.append(values[row, members].sum())
        factor = max(0, np.dot(told, lost) / np.dot(told, told))
        assert found == pytest.approx(np.sum((factor * np.array(told) - lost) ** 2) / np.sum(np.square(lost)))


def test_explanations_without_chance_are_stable_and_without_error(linear):
    question, values, _ = linear(10)
    np.testing.assert_allclose(quality.jaccard(values, values), 1)
    np.testing.assert_allclose(quality.kendall(values, values), 1)
    np.testing.assert_allclose(quality.similarity(values, -values), 1)
    np.testing.assert_allclose(quality.run_error(values, values), 0)
    true = quality.exact_values(question, np.zeros(20, dtype=np.int64))
    np.testing.assert_allclose(quality.distance(values, true), 0, atol=1e-9)
    assert (quality.distance(-values, true) > 1).all()


def test_jaccard_counts_the_top_five():
    first = np.arange(12.0)[None]
    second = np.where(np.arange(12) == 11, 0, np.arange(12.0))[None]
    assert quality.jaccard(first, second)[0] == 4 / 6
    assert quality.top_of(6) == 3


def test_the_error_of_one_run_is_recovered(rng):
    true, noise = rng.normal(size=(50, 400)), 0.1
    runs = [true + rng.normal(size=true.shape) * noise for _ in range(2)]
    assert quality.run_error(*runs).mean() == pytest.approx(noise / np.abs(true).mean(), rel=0.05)


def test_sensitivity_of_a_linear_model_is_at_most_the_nudge_it_was_given(linear):
    question, values, outputs = linear(5)
    found = quality.max_sensitivity(question, method("shapley"), outputs, values)
    spread = question.background.inputs.std(axis=0)
    weight = values / (question.data.inputs - question.background.inputs.mean(axis=0))
    most = np.linalg.norm(0.02 * spread * weight, axis=1) / np.linalg.norm(values, axis=1)
    assert (found > 0).all()
    assert (found <= most + 1e-12).all()


def test_categories_are_not_nudged(rng):
    X = np.column_stack([rng.normal(size=8), np.tile([0.0, 1.0], 4)])
    moved = quality.nudge(ask(lambda table: table[:, 0], X, X), rng).inputs
    assert (moved[:, 0] != X[:, 0]).all()
    np.testing.assert_array_equal(moved[:, 1], X[:, 1])


@pytest.fixture
def net():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))


def edges(question):
    """A fraud: what looks like an explanation reads the inputs alone."""
    values = np.asarray(question.data.inputs, dtype=float) * np.arange(1, 9)
    zero = np.zeros(len(values))
    return Attribution(values, zero, values.sum(axis=1), zero[:, None] * values, (), "edges", 0)


def test_an_explanation_of_the_input_alone_survives_a_model_that_forgot(net, rng):
    X = rng.normal(size=(12, 8)).astype(np.float32)
    question, outputs = ask(net, X, X[:4]), np.zeros(12, dtype=np.int64)
    before = {name: each.clone() for name, each in net.state_dict().items()}
    fraud = randomisation(question, edges, outputs, edges(question).values)
    honest = randomisation(question, method("shapley"), outputs, method("shapley")(question).values)
    np.testing.assert_allclose(fraud, 1)
    assert honest.mean() < 0.6
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())


def test_another_model_is_drawn_and_drawn_again_alike(net, rng):
    X = rng.normal(size=(5, 8)).astype(np.float32)
    model = bare(net, X[:1])
    first, again = randomised(model, 1).scores(X), randomised(model, 1).scores(X)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, model.scores(X))


def test_of_a_black_box_no_parameter_can_be_drawn(rng):
    with pytest.raises(InputError, match="only its answers can be seen"):
        randomised(bare(lambda table: table[:, 0], np.ones((1, 2))), 0)


def test_agreement_is_symmetric_and_undefined_where_a_method_says_nothing(rng):
    values = rng.normal(size=(6, 5))
    found = quality.agreement({"a": values, "b": -values, "c": np.zeros((6, 5))})
    np.testing.assert_allclose(found[:2, :2], 1)
    assert np.isnan(found[2, :2]).all()
    assert found[2, 2] == 1


def test_better_than_the_best_found_counts_as_best(rng):
    areas = np.array([0.0])
    held = [Fall(areas + each, np.ones((1, 21))) for each in (0.2, 1.0, 0.6)]
    gain = quality_gain(held, Fall(areas, np.ones((1, 21))))
    assert gain == pytest.approx(1.2)


def quality_gain(held, found):
    return Controls(*held).gain(found)[0]
