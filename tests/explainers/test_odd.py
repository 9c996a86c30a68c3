import itertools
import math

import numpy as np
import pytest

from rai.errors import InputError
from rai.explainers import Question, Target, odd, shapley, shapley_values
from rai.explainers.designs import available, design
from rai.explainers.odd import Kriging, OddRegression, alike, strengths, twos
from rai.explainers.sampling import relative_error
from rai.subject import Data


class Answers:
    """A model that only answers."""

    head = None
    trust = "in memory"

    def __init__(self, score):
        self.score, self.rows = score, 0

    def scores(self, inputs):
        self.rows += len(inputs)
        return self.score(inputs)[:, None]


@pytest.fixture
def question(network, singles):
    def build(inputs, rows=12, **words):
        rng = np.random.default_rng(3)
        X, other = rng.normal(size=(rows, inputs)), rng.normal(size=(1, inputs))
        data = [Data("table", each, each, None, {}, singles(inputs)) for each in (X, other)]
        return Question(Answers(network(inputs)), Target(), *data, **words)

    return build


def distance(found, truth):
    return (((found - truth) ** 2).sum(axis=1) / (truth**2).sum(axis=1)).mean()


@pytest.fixture
def triples(singles):
    """A model with a few strong interactions of three, its exact values, and its values from a sample."""
    rng = np.random.default_rng(8)
    sets, strength = rng.integers(0, 14, size=(5, 3)), rng.normal(size=5)
    rows, slopes = rng.normal(size=(20, 14)), rng.normal(size=14)

    def score(table):
        return table[:, sets].prod(axis=2) @ strength + table @ slopes

    given = (score, rows, np.zeros((1, 14)), singles(14))
    truth = shapley_values(*given, rng, evaluations=2**14)
    return truth, lambda count=560: shapley_values(*given, np.random.default_rng(0), evaluations=count)


def test_a_few_interactions_of_three_are_found(triples, monkeypatch):
    """They are shared by all rows, so rows learn from each other; the plain regression cannot see them."""
    truth, sample = triples
    with_triples = sample()
    monkeypatch.setattr(odd, "MOST_PLAYERS", 0)
    plain = sample()
    assert distance(with_triples.values, truth.values) < 0.1 * distance(plain.values, truth.values)
    assert with_triples.method != plain.method


def test_rows_alone_are_no_worse_than_the_plain_regression(triples, network, singles, monkeypatch):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(15, 12))

    def errors():
        each = [shapley_values(network(12), row[None], np.zeros((1, 12)), singles(12), np.random.default_rng(0),
                               evaluations=480).values for row in rows]  # fmt: skip
        return distance(np.concatenate(each), truth)

    truth = shapley_values(network(12), rows, np.zeros((1, 12)), singles(12), rng).values
    fitted = errors()
    monkeypatch.setattr(odd, "MOST_PLAYERS", 0)
    assert fitted < 0.8 * errors()


@pytest.fixture
def prior():
    """Strengths of six players and all their odd sets as a slow twin: members, strengths, signs of coalitions."""
    strength = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.05])
    sets = [each for size in (1, 3, 5) for each in itertools.combinations(range(6), size)]
    variance = np.array([math.prod(strength[list(each)]) for each in sets])
    share = np.array([[2 / len(each) if player in each else 0 for each in sets] for player in range(6)])

    def products(signs):
        return np.stack([signs[:, list(each)].prod(axis=1) for each in sets], axis=1)

    return strength, variance, share, products


def test_kriging_is_generalised_least_squares(prior, rng, monkeypatch):
    """Against a twin that sums over all odd sets and gives sets of one a variance that is nearly infinite."""
    monkeypatch.setattr(odd, "NUGGET", 1e-3)
    strength, variance, share, products = prior
    signs = np.concatenate([np.where(design(6, 18, rng).coalitions, 1.0, -1.0), np.ones((1, 6))])
    missed, table = rng.normal(size=(2, 19)), products(signs)
    known = (table * variance) @ table.T
    noise = 1e-3 * known[0, 0] * np.eye(19)
    free = np.where(np.arange(len(variance)) < 6, 1e6, 0)
    inverse = np.linalg.inv((table * (variance + free)) @ table.T + noise)
    weight = share * (variance + free) @ table.T @ inverse
    found = Kriging(signs, strength).shares(missed)
    np.testing.assert_allclose(found.values, missed @ weight.T, rtol=0, atol=1e-3)
    inverse, covariance = np.linalg.inv(known + noise), share * variance @ table.T
    doubt = np.linalg.inv(signs.T @ inverse @ signs)
    away = 2 * np.eye(6) - covariance @ inverse @ signs
    left = share**2 @ variance - np.diag(covariance @ inverse @ covariance.T) + np.diag(away @ doubt @ away.T)
    residual = missed - missed @ inverse @ signs @ doubt @ signs.T
    scale = np.einsum("ri,ij,rj->r", residual, inverse, residual) / (19 - 6)
    np.testing.assert_allclose(found.error, np.sqrt(np.outer(scale, left)), rtol=1e-2)


def test_interactions_of_two_are_read_from_halved_sums(rng, monkeypatch):
    monkeypatch.setattr(odd, "RIDGE", 1e-9)
    drawn = design(7, 60, rng)
    signs = np.where(drawn.coalitions, 1.0, -1.0)
    found = twos(drawn, (3 + 2 * signs[:, 1] * signs[:, 4] - signs[:, 0] * signs[:, 6])[None])[0]
    expected = np.zeros((7, 7))
    expected[[1, 4], [4, 1]], expected[[0, 6], [6, 0]] = 2, -1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_strengths_are_the_factors_of_squared_interactions(rng, monkeypatch):
    monkeypatch.setattr(odd, "TEMPER", 1)
    monkeypatch.setattr(odd, "FLOOR", 0)
    truth = rng.random((3, 8)) + 0.1
    pairs = np.sqrt(truth[:, :, None] * truth[:, None]) * (1 - np.eye(8))
    found = strengths(pairs)
    np.testing.assert_allclose(found / found.max(axis=1, keepdims=True), truth / truth.max(axis=1, keepdims=True), 1e-3)
    assert np.isfinite(strengths(np.zeros((1, 8, 8)))).all()


def test_rows_alike_are_kept_together(rng):
    centres = np.repeat(np.eye(4) * 10, 5, axis=0)
    parts = list(alike(centres + rng.normal(size=(20, 4)), 5))
    assert sorted(np.concatenate(parts)) == list(range(20))
    assert all(len({int(row) // 5 for row in part}) == 1 for part in parts)


def test_products_of_three_are_shared_out(rng):
    """A game that is one product of three signs owes two thirds to each of its members."""
    drawn = design(7, 63, rng)
    signs = np.where(drawn.both, 1.0, -1.0)
    found = OddRegression(drawn).shares(signs[:, [1, 2, 5]].prod(axis=1)[None], np.array([2.0]))
    np.testing.assert_allclose(found.values[0], np.isin(np.arange(7), [1, 2, 5]) * 2 / 3, atol=2e-2)


@pytest.mark.parametrize("players", [5, 6, 9])
def test_a_design_grows_without_drawing_a_pair_twice(players, rng):
    drawn = design(players, 2 * players, rng)
    grown = design(players, 3 * players, rng, drawn.coalitions)
    np.testing.assert_array_equal(grown.coalitions[: 2 * players], drawn.coalitions)
    most = sum(available(players, size) for size in range(1, players // 2 + 1))
    assert len(grown.coalitions) >= min(3 * players, most) - 1
    assert len(np.unique(grown.both, axis=0)) == len(grown.both)


def test_grown_designs_have_the_chances_of_those_drawn_at_once(rng):
    """Whether a pair was drawn in the first or the second go, every pair of a size is as likely as another."""
    drawn = [design(8, 24, rng, design(8, 12, rng).coalitions).coalitions for _ in range(500)]
    every = np.concatenate(drawn)
    for size in (2, 3, 4):
        counts = np.unique(every[every.sum(axis=1) == size], axis=0, return_counts=True)[1]
        assert len(counts) == available(8, size)
        assert np.abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


def test_more_precision_costs_more_and_is_reached(question):
    costs, reached = [], []
    for precision in (0.2, 0.05, 0.02):
        asked = question(12, options={"precision": precision})
        found = shapley.explain(asked)
        costs.append(asked.model.rows)
        reached.append(relative_error(found))
        assert reached[-1] <= precision
        assert f"{reached[-1]:.2g} of the mean" in found.note
    assert costs[0] < costs[1] < costs[2]


def test_the_budget_ends_the_search_for_precision(question):
    asked = question(14, options={"precision": 1e-6}, budget=300)
    found = shapley.explain(asked)
    assert found.rows_scored <= 12 * (300 + 2) + 2
    assert "the budget ended before the 1e-06 asked for" in found.note


def test_without_a_limit_precision_ends_in_the_exact_values(question):
    found = shapley.explain(question(8, options={"precision": 1e-9}))
    np.testing.assert_allclose(found.values, shapley.explain(question(8)).values, atol=1e-5)
    assert "no sampling error" in shapley.explain(question(8)).note


@pytest.mark.parametrize("options", [{"precision": -1}, {"precision": "high"}, {"precison": 0.1}])
def test_options_that_mean_nothing_are_refused(options, question):
    with pytest.raises(InputError, match="precision"):
        shapley.explain(question(5, options=options))


def test_several_outputs_are_each_fitted_on_their_own_scale(network, singles):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(8, 10))

    def both(table):
        return np.stack([network(10)(table), 1e6 * network(10, seed=1)(table)], axis=1)

    found = shapley_values(both, rows, rows[:1] * 0, singles(10), np.random.default_rng(1), evaluations=400)
    truth = shapley_values(both, rows, rows[:1] * 0, singles(10), rng)
    for output in (0, 1):
        assert distance(found.values[..., output], truth.values[..., output]) < 5e-3
    np.testing.assert_allclose(found.values.sum(axis=1), truth.values.sum(axis=1), rtol=1e-9)


def test_by_default_many_rows_with_many_background_rows_are_sampled(singles, monkeypatch):
    monkeypatch.setattr(shapley, "MOST_SCORED", 10_000)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 10))
    few = shapley_values(lambda table: table.sum(axis=1), rows, rows[:1], singles(10), rng)
    many = shapley_values(lambda table: table.sum(axis=1), rows, rows[:3], singles(10), rng)
    assert few.method == "exact Shapley values"
    assert many.note == "400 of 1,024 coalitions a row"


def test_a_covariance_that_rounding_made_indefinite_is_still_factored():
    covariance = np.full((6, 6), 1.0, dtype=np.float32)
    covariance[0, 5] = covariance[5, 0] = 1.02
    factor = np.tril(odd._factored(covariance, 5e-4))
    rebuilt = factor @ factor.T
    assert np.allclose(rebuilt - np.diag(np.diag(rebuilt)), covariance - np.eye(6), atol=1e-5)
    assert 1.0 < rebuilt[0, 0] < 1.1
