from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.train.federated.contribution import Played, shapley, values_of

TARGET = np.array([1.0, -2.0, 0.5])


def closeness(arrays):
    """A game that is not additive: how near a model is to a target."""
    return -float(np.square(arrays["w"] - TARGET).sum())


def played(seed: int, sites: list[int]) -> Played:
    rng = np.random.default_rng(seed)
    updates = {site: {"w": rng.normal(size=3), "steps": np.array(seed + site)} for site in sites}
    return Played(
        {"w": np.zeros(3), "steps": np.array(0)}, updates, {site: float(rng.integers(1, 50)) for site in sites}
    )


def by_permutations(each: Played, sites: int):
    """The obvious loop: what each site adds when sites join in every order."""
    found, orders = np.zeros(sites), list(permutations(each.updates))
    for order in orders:
        joined, before = [], closeness(each.start)
        for site in order:
            joined.append(site)
            total = sum(each.weights[k] for k in joined)
            mean = sum(each.weights[k] / total * each.updates[k]["w"] for k in joined)
            after = closeness({"w": mean})
            found[site] += (after - before) / len(orders)
            before = after
    return found


@pytest.mark.parametrize("sites", [[0], [0, 1], [0, 1, 2, 3], [5, 0, 2, 4, 1]])
def test_equals_the_mean_over_all_orders_of_joining(sites):
    each = played(7, sites)
    found = shapley([each], 6, closeness)
    assert found.values == pytest.approx(by_permutations(each, 6), abs=1e-12)
    assert found.models == 2 ** len(sites)


def test_rounds_add_up_and_who_sat_out_has_nothing_of_them():
    rounds = [played(1, [0, 1, 2]), played(2, [1, 3])]
    found = shapley(rounds, 5, closeness)
    assert found.values == pytest.approx(sum(by_permutations(each, 5) for each in rounds), abs=1e-12)
    assert found.values[4] == 0.0


@given(st.integers(0, 1_000), st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_the_values_of_a_round_sum_to_what_the_round_gained(seed, many):
    each = played(seed, list(range(many)))
    total = sum(each.weights.values())
    mean = sum(each.weights[k] / total * each.updates[k]["w"] for k in each.updates)
    found = shapley([each], many, closeness)
    assert found.values.sum() == pytest.approx(closeness({"w": mean}) - closeness(each.start), abs=1e-9)


def test_sites_alike_get_alike_and_an_update_that_changes_nothing_gets_nothing_in_an_additive_game():
    each = played(3, [0, 1, 2])
    twins = Played(each.start, {**each.updates, 3: each.updates[1]}, {**each.weights, 3: each.weights[1]})
    found = shapley([twins], 4, closeness).values
    assert found[1] == pytest.approx(found[3], abs=1e-12)
    assert abs(found[0] - found[1]) > 1e-3


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_in_an_additive_game_each_player_gets_what_it_brings(brings):
    worths = [sum(each for k, each in enumerate(brings) if bits >> k & 1) for bits in range(2 ** len(brings))]
    assert values_of(np.array(worths)) == pytest.approx(np.array(brings), abs=1e-9)


def test_the_glove_game_has_its_known_values():
    worths = [float(bits & 1 and bits & 6 > 0) for bits in range(8)]
    assert values_of(np.array(worths)) == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=1e-12)


def test_models_are_handed_over_in_the_types_that_were_sent():
    kinds = []
    each = played(0, [0, 1])
    narrow = {k: {"w": u["w"].astype(np.float32), "steps": u["steps"]} for k, u in each.updates.items()}
    start = {"w": np.zeros(3, dtype=np.float32), "steps": np.array(0)}
    shapley([Played(start, narrow, each.weights)], 2, lambda m: kinds.append((m["w"].dtype, m["steps"].dtype)) or 0.0)
    assert set(kinds) == {(np.dtype(np.float32), np.dtype(np.int64))}


def test_thirteen_sites_in_a_round_have_no_values_and_a_reason():
    found = shapley([played(0, list(range(13)))], 13, closeness)
    assert found.values is None
    assert "13 sites" in found.reason
    assert found.models == 0


def test_twelve_of_many_sites_in_a_round_have_values():
    found = shapley([played(0, list(range(0, 24, 2)))], 24, lambda arrays: float(arrays["w"][0]))
    assert found.models == 4096
    assert (found.values[1::2] == 0).all()


def test_a_value_that_is_no_number_leaves_none():
    found = shapley([played(0, [0, 1])], 2, lambda _: float("nan"))
    assert found.values is None
    assert "round 1" in found.reason


def test_no_round_no_gain():
    assert shapley([], 3, closeness).values == pytest.approx(np.zeros(3))
    empty = Played({"w": np.zeros(3)}, {}, {})
    assert shapley([empty], 3, closeness).values == pytest.approx(np.zeros(3))
