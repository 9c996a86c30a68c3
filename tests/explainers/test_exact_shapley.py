import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.explainers import shapley_values
from rai.subject import Player

MODELS = {
    "product": lambda table: table.prod(axis=1),
    "pair": lambda table: table[:, 0] * table[:, -1] + 2 * table[:, -1],
    "kink": lambda table: np.maximum(table.sum(axis=1), table[:, 0]),
    "wave": lambda table: np.sin(table @ np.arange(1, table.shape[1] + 1)),
}
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40)


def one_each(count):
    return tuple(Player(f"x{each}", (each,)) for each in range(count))


def worth(score, row, background, known):
    """The mean score with the known inputs of the row, one background row at a time."""
    return np.mean([score(np.where(known, row, other)[None])[0] for other in background])


def in_every_order(score, row, background, players):
    """Shapley values by their definition: the mean gain of a player over all orders of arrival."""
    gains = np.zeros(len(players))
    for order in itertools.permutations(range(len(players))):
        known = np.zeros(len(row), dtype=bool)
        before = worth(score, row, background, known)
        for player in order:
            known[list(players[player].inputs)] = True
            after = worth(score, row, background, known)
            gains[player] += after - before
            before = after
    return gains / math.factorial(len(players))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("players", "backdrop"), [(1, 1), (2, 3), (4, 3), (5, 1)])
def test_it_is_the_mean_gain_over_all_orders(name, players, backdrop, rng):
    rows, background = rng.normal(size=(2, players)), rng.normal(size=(backdrop, players))
    found = shapley_values(MODELS[name], rows, background, one_each(players), rng)
    for row, values in zip(rows, found.values, strict=True):
        expected = in_every_order(MODELS[name], row, background, one_each(players))
        np.testing.assert_allclose(values, expected, atol=1e-12)
    assert found.method == "exact Shapley values"
    assert not found.error.any()


def test_it_is_the_mean_gain_over_all_orders_of_six_network_inputs(network, singles, rng):
    row, background = rng.normal(size=(1, 6)), rng.normal(size=(1, 6))
    found = shapley_values(network(6), row, background, singles(6), rng)
    np.testing.assert_allclose(found.values[0], in_every_order(network(6), row[0], background, singles(6)), atol=1e-12)


@few
@given(seeds, st.integers(1, 7), st.integers(1, 4))
def test_values_and_base_add_up_to_the_score(seed, players, backdrop):
    rng = np.random.default_rng(seed)
    rows, background = rng.normal(size=(3, players)), rng.normal(size=(backdrop, players))
    found = shapley_values(MODELS["wave"], rows, background, one_each(players), rng)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), MODELS["wave"](rows), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.base, MODELS["wave"](background).mean(), rtol=0, atol=1e-10)


@few
@given(seeds)
def test_interchangeable_players_get_the_same(seed):
    rng = np.random.default_rng(seed)
    rows, background = rng.normal(size=(2, 5)), rng.normal(size=(3, 5))
    rows[:, 3], background[:, 3] = rows[:, 1], background[:, 1]
    found = shapley_values(lambda table: np.exp(table[:, 1] * table[:, 3] / 9) + table[:, 0] ** 2, rows, background,
                    one_each(5), rng)  # fmt: skip
    np.testing.assert_allclose(found.values[:, 1], found.values[:, 3], rtol=0, atol=1e-12)


@few
@given(seeds)
def test_a_player_that_changes_nothing_gets_nothing(seed):
    rng = np.random.default_rng(seed)
    found = shapley_values(lambda table: np.sin(table[:, 0] * table[:, 2]), rng.normal(size=(2, 4)),
                    rng.normal(size=(3, 4)), one_each(4), rng)  # fmt: skip
    np.testing.assert_allclose(found.values[:, [1, 3]], 0, rtol=0, atol=1e-15)


@few
@given(seeds)
def test_values_of_a_sum_of_models_are_the_sums_of_their_values(seed):
    rng = np.random.default_rng(seed)
    rows, background = rng.normal(size=(2, 5)), rng.normal(size=(3, 5))

    def values(score):
        return shapley_values(score, rows, background, one_each(5), rng).values

    both = values(lambda table: 2 * MODELS["wave"](table) - MODELS["kink"](table))
    np.testing.assert_allclose(both, 2 * values(MODELS["wave"]) - values(MODELS["kink"]), rtol=0, atol=1e-12)


@few
@given(seeds, st.integers(1, 8))
def test_a_linear_model_moves_by_its_distance_from_the_background_mean(seed, players):
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=players)
    rows, background = rng.normal(size=(3, players)), rng.normal(size=(4, players))
    found = shapley_values(lambda table: table @ slopes + 7, rows, background, one_each(players), rng)
    np.testing.assert_allclose(found.values, slopes * (rows - background.mean(axis=0)), rtol=0, atol=1e-12)


def test_the_inputs_of_one_feature_move_together(rng):
    """A one-hot category is never half present, so the model sees only rows that could exist."""
    players = (Player("age", (0,)), Player("job", (3, 1, 2)))
    jobs = np.eye(3)
    rows = np.column_stack([rng.normal(size=4), jobs[[0, 1, 2, 0]]])
    background = np.column_stack([rng.normal(size=3), jobs[[2, 2, 1]]])

    def score(table):
        assert (table[:, 1:].sum(axis=1) == 1).all()
        return table[:, 0] * table[:, 1] + table[:, 3]

    found = shapley_values(score, rows, background, players, rng)
    assert found.players == ("age", "job")
    for row, values in zip(rows, found.values, strict=True):
        np.testing.assert_allclose(values, in_every_order(score, row, background, players), atol=1e-12)


def test_inputs_without_a_player_stay_as_they_are_in_the_row(rng):
    rows, background = rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
    found = shapley_values(MODELS["product"], rows, background, (Player("b", (1,)),), rng)
    expected = rows[:, 0] * rows[:, 2] * background[:, 1].mean()
    np.testing.assert_allclose(found.base, expected)
    np.testing.assert_allclose(found.base + found.values[:, 0], MODELS["product"](rows))


def test_a_copied_feature_shares_the_credit(rng):
    column = rng.normal(size=(3, 1))
    found = shapley_values(lambda table: np.maximum(table[:, 0], table[:, 1]), np.hstack([column, column]) + 5,
                    np.zeros((1, 2)), one_each(2), rng)  # fmt: skip
    np.testing.assert_allclose(found.values, np.hstack([column, column]) / 2 + 2.5)


def test_fourteen_players_are_exact_when_all_coalitions_are_paid_for(singles, rng):
    rows = rng.normal(size=(2, 14))
    found = shapley_values(MODELS["product"], rows, np.zeros((1, 14)), singles(14), rng, evaluations=2**14)
    np.testing.assert_allclose(found.values, np.repeat(rows.prod(axis=1)[:, None] / 14, 14, axis=1), atol=1e-12)
    assert found.method == "exact Shapley values"
