from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.errors import InputError
from rai.train.federated.partition import Held, holdings, names, partition

KINDS = ["iid", "dirichlet", "pathological", "quantity"]
BINARY = (np.random.default_rng(0).random(400) < 0.3).astype(np.int64)
TEN = np.random.default_rng(1).integers(0, 10, 600)


def sizes(parts: Any) -> list[int]:
    return [len(each) for each in parts]


@given(
    st.sampled_from(KINDS),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sampled_from([0.01, 0.1, 0.5, 2.0, 100.0]),
    st.integers(1, 15),
    st.sampled_from([2, 3, 7]),
)
@settings(max_examples=150, deadline=None)
def test_each_row_goes_to_one_site_and_no_site_is_too_small(kind, clients, seed, alpha, smallest, many):
    labels = np.random.default_rng(seed).integers(0, many, 300)
    told = {"clients": clients, "seed": seed, "alpha": alpha, "classes": many, "smallest": smallest}
    parts = partition(kind, labels, **told)
    assert len(parts) == clients
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(300))
    assert min(sizes(parts)) >= smallest
    assert all((np.diff(each) > 0).all() for each in parts)
    again = partition(kind, labels, **told)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_deals_otherwise(kind):
    first, second = (partition(kind, TEN, clients=5, seed=seed, classes=4) for seed in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_even_sites_differ_by_one_row_at_most_and_hold_every_class_in_its_share():
    parts = partition("iid", BINARY, clients=7, seed=0)
    assert max(sizes(parts)) - min(sizes(parts)) <= 1
    shares = [BINARY[each].mean() for each in parts]
    assert np.abs(np.array(shares) - BINARY.mean()).max() < 0.25


def test_sizes_fall_as_the_power_of_the_place():
    parts = partition("quantity", np.zeros(1_000), clients=4, seed=0, alpha=1.0)
    assert sizes(parts) == [480, 240, 160, 120]


def test_a_few_rows_short_come_from_the_largest_site():
    parts = partition("quantity", np.zeros(100), clients=5, seed=0, alpha=3.0, smallest=10)
    assert sizes(parts) == [59, 11, 10, 10, 10]


@pytest.mark.parametrize("seed", range(20))
def test_dirichlet_works_on_a_binary_label_with_ten_sites_and_little_alpha(seed):
    parts = partition("dirichlet", BINARY, clients=10, seed=seed, alpha=0.1, smallest=10)
    assert min(sizes(parts)) >= 10
    assert sum(sizes(parts)) == len(BINARY)


def test_small_alpha_makes_sites_less_alike():
    def spread(alpha: float) -> float:
        found = [partition("dirichlet", BINARY, clients=5, seed=seed, alpha=alpha) for seed in range(10)]
        return float(np.mean([np.std([BINARY[each].mean() for each in parts]) for parts in found]))

    assert spread(0.1) > 3 * spread(50.0)


def test_dirichlet_with_vanishing_alpha_gives_whole_classes():
    parts = partition("dirichlet", TEN, clients=3, seed=0, alpha=1e-12, smallest=1)
    holders = np.array([[np.isin(label, TEN[each]) for label in range(10)] for each in parts]).sum(axis=0)
    assert (holders == 1).sum() >= 8


@given(st.integers(1, 6), st.integers(10, 20), st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_pathological_sites_hold_few_classes_and_every_class_is_held(classes, clients, seed):
    parts = partition("pathological", TEN, clients=clients, seed=seed, classes=classes, smallest=5)
    assert all(len(np.unique(TEN[each])) <= classes for each in parts)
    assert set(TEN[np.concatenate(parts)]) == set(range(10))


def test_a_column_names_sites_by_its_values():
    column = np.array(["west", "east", "north", "east", "west", "east"], dtype=object)
    parts = partition("column", np.zeros(6), clients=99, seed=0, smallest=1, column=column)
    assert names("column", 99, column) == ("east", "north", "west")
    assert [each.tolist() for each in parts] == [[1, 3, 5], [2], [0, 4]]


def test_a_column_of_numbers_is_ordered_by_size():
    column = [10, 9, 10, 100.0]
    assert names("column", 1, column) == ("9", "10", "100")
    assert [len(each) for each in partition("column", np.zeros(4), clients=1, seed=0, smallest=1, column=column)] == [
        1,
        2,
        1,
    ]


def test_names_sort_as_they_are_counted():
    called = names("iid", 12)
    assert called[0] == "site 01"
    assert list(called) == sorted(called)


def test_labels_may_be_names_or_whole_floats():
    words = np.array(["no", "yes"])[BINARY]
    parts = [partition("dirichlet", each, clients=4, seed=3) for each in (BINARY, words, BINARY.astype(np.float32))]
    for one, two, three in zip(*parts, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: partition("iid", BINARY, clients=50, seed=0), "400 rows do not give 50 sites 10 rows"),
    (lambda: partition("iid", BINARY, clients=0, seed=0), "federated.clients"),
    (lambda: partition("iid", BINARY, clients=2, seed=0, smallest=0), "federated.smallest"),
    (lambda: partition("dirichlet", BINARY, clients=2, seed=0, alpha=0.0), "federated.alpha"),
    (lambda: partition("quantity", BINARY, clients=2, seed=0, alpha=-1.0), "federated.alpha"),
    (lambda: partition("dirichlet", BINARY + 0.5, clients=2, seed=0), "labels are numbers"),
    (lambda: partition("pathological", TEN, clients=3, seed=0, classes=2), "cannot hold 10 classes"),
    (lambda: partition("pathological", BINARY, clients=3, seed=0, classes=3), "federated.classes"),
    (lambda: partition("column", BINARY, clients=2, seed=0), "which column"),
    (lambda: partition("column", BINARY, clients=2, seed=0, column=["a"]), "one value for each row"),
    (lambda: partition("column", BINARY[:3], clients=2, seed=0, column=["a", None, "b"]), "row 2 names no site"),
    (lambda: partition("column", BINARY[:2], clients=2, seed=0, column=[1.0, np.nan]), "row 2 names no site"),
    (lambda: partition("column", BINARY[:2], clients=2, seed=0, column=["a", "b"]), "site 'a' has 1 rows"),
]


@pytest.mark.parametrize(("attempt", "words"), BAD)
def test_what_cannot_be_dealt_says_why(attempt, words):
    with pytest.raises(InputError, match=words):
        attempt()


def test_no_site_can_be_filled_up_with_classes_that_it_may_not_hold():
    labels = np.array([0] * 97 + [1] * 3)
    with pytest.raises(InputError, match="no other can spare rows of its classes"):
        partition("pathological", labels, clients=4, seed=0, classes=1, smallest=10)


def test_who_holds_what_is_counted_row_by_row():
    labels = np.array([0, 1, 1, 2, 1])
    parts = (np.array([0, 1]), np.array([2, 3, 4]))
    assert holdings(parts, labels, ["a", "b", "c"], sites=["east", "west"]) == [
        Held("east", 2, {"a": 1, "b": 1, "c": 0}),
        Held("west", 3, {"a": 0, "b": 2, "c": 1}),
    ]
    assert holdings(parts, labels + 0.5) == [Held("site 1", 2), Held("site 2", 3)]
