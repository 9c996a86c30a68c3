from dataclasses import dataclass

import numpy as np
import pytest

from rai.errors import InputError
from rai.train.federated.attacks import dishonest, inflated, nan, sign_flip

REFERENCE = {"w": np.array([1.0, 2.0], dtype=np.float32), "steps": np.array(3)}
UPDATE = {"w": np.array([1.5, 1.0], dtype=np.float32), "steps": np.array(9)}


def test_a_flipped_sign_walks_the_other_way_so_many_times_as_far():
    found = sign_flip(UPDATE, REFERENCE, 5.0)
    assert found["w"].tolist() == [-1.5, 7.0]
    assert found["w"].dtype == np.float32
    assert found["steps"] == 9
    assert np.array_equal(sign_flip(UPDATE, REFERENCE, -1.0)["w"], UPDATE["w"])


def test_nan_fills_the_numbers_and_leaves_the_honest_update_alone():
    found = nan(UPDATE)
    assert np.isnan(found["w"]).all()
    assert found["steps"] == 9
    assert np.isfinite(UPDATE["w"]).all()


@pytest.mark.parametrize("examples", [1, 500, 1_000_000, 10**9])
def test_an_inflated_count_is_at_least_ten_times_what_is_true_and_a_million(examples):
    assert inflated(examples) >= max(10 * examples, 1_000_000)


@dataclass(frozen=True)
class Sent:
    arrays: dict[str, np.ndarray]
    examples: int


@dataclass(frozen=True)
class Asked:
    state: dict[str, np.ndarray]


def test_a_dishonest_site_learns_first_and_then_lies():
    def learner(module, rows, task):
        return Sent(UPDATE, 50)

    def lie(attack):
        return dishonest(learner, attack)(None, None, Asked(REFERENCE))

    assert lie("sign_flip").arrays["w"].tolist() == [-1.5, 7.0]
    assert lie("sign_flip").examples == 50
    assert np.isnan(lie("nan").arrays["w"]).all()
    assert lie("inflated") == Sent(UPDATE, 1_000_000)
    assert lie("both").arrays["w"].tolist() == [-1.5, 7.0]
    assert lie("both").examples == 1_000_000


def test_an_attack_nobody_knows_is_refused():
    with pytest.raises(InputError, match="one of sign_flip, nan, inflated, both"):
        dishonest(lambda *_: None, "bribe")
