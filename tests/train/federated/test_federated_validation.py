from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rai.train.federated.validation import checked

REFERENCE = {"weight": np.zeros((2, 3), dtype=np.float32), "steps": np.array(4, dtype=np.int64)}


@dataclass(frozen=True)
class Sent:
    arrays: dict[str, Any]
    examples: Any


def honest(place: int = 0) -> Sent:
    return Sent({"weight": np.full((2, 3), 1.0 + place, dtype=np.float32), "steps": np.array(5)}, 100 + place)


def with_weight(value: Any) -> Sent:
    return Sent({**honest().arrays, "weight": value}, 100)


def holding(number: float) -> Sent:
    weight = np.ones((2, 3), dtype=np.float32)
    weight[1, 2] = number
    return with_weight(weight)


PLANTED = [
    (holding(np.nan), "'weight' holds NaN"),
    (holding(np.inf), "'weight' holds an infinite number"),
    (holding(-np.inf), "'weight' holds an infinite number"),
    (with_weight(np.ones((3, 2), dtype=np.float32)), "'weight' has shape (3, 2) instead of (2, 3)"),
    (with_weight(np.ones((2, 3), dtype=np.float64)), "'weight' holds float64 instead of float32"),
    (Sent({"weight": honest().arrays["weight"]}, 100), "'steps' is missing"),
    (Sent({**honest().arrays, "more": np.ones(1)}, 100), "'more' is not a parameter of the model"),
    (replace(honest(), examples=0), "it says that it learned from 0 rows"),
    (replace(honest(), examples=-5), "it says that it learned from -5 rows"),
    (
        replace(honest(), examples=1_000_000),
        "it says that it learned from 1,000,000 rows, and at most 500 are allowed",
    ),
    (replace(honest(), examples=float("nan")), "how many rows it learned from is no whole number"),
    (replace(honest(), examples=True), "how many rows it learned from is no whole number"),
]


@pytest.mark.parametrize(("bad", "reason"), PLANTED, ids=[reason for _, reason in PLANTED])
def test_each_planted_fault_is_excluded_with_its_reason_and_the_others_stay(bad, reason):
    found = checked([honest(0), bad, honest(2)], REFERENCE, most_examples=500)
    assert found.kept == [0, 2]
    assert found.excluded == {1: reason}


def test_the_clean_twin_keeps_all():
    found = checked([honest(place) for place in range(4)], REFERENCE, most_examples=500, sites=["a", "b", "c", "d"])
    assert found.kept == [0, 1, 2, 3]
    assert found.excluded == {}


def test_a_count_at_the_cap_is_kept_and_without_a_cap_any_is():
    assert checked([replace(honest(), examples=500)], REFERENCE, most_examples=500).kept == [0]
    assert checked([replace(honest(), examples=np.int64(10**9))], REFERENCE).kept == [0]


def test_a_site_that_answers_twice_is_used_once():
    found = checked([honest(0), honest(1), honest(2)], REFERENCE, sites=["east", "west", "east"])
    assert found.kept == [0, 1]
    assert found.excluded == {2: "the site had already answered in this round"}


def test_norms_are_measured_here_also_of_updates_that_are_left_out():
    found = checked([honest(0), replace(honest(1), examples=0), holding(np.nan)], REFERENCE)
    assert found.norms == {0: pytest.approx(np.sqrt(6.0)), 1: pytest.approx(np.sqrt(24.0))}


def test_an_update_too_long_for_a_number_is_left_out():
    reference = {"weight": np.zeros(3)}
    found = checked([Sent({"weight": np.full(3, 1e200)}, 10)], reference)
    assert found.excluded == {0: "its update is longer than a number can hold"}
    assert found.norms == {}


def test_finite_numbers_near_the_largest_float32_have_a_length():
    found = checked([with_weight(np.full((2, 3), 3e38, dtype=np.float32))], REFERENCE)
    assert found.kept == [0]
    assert found.norms[0] == pytest.approx(3e38 * np.sqrt(6), rel=1e-6)


def test_nobody_is_nobody():
    found = checked([], REFERENCE)
    assert (found.kept, found.excluded, found.norms) == ([], {}, {})
