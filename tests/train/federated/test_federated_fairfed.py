import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.errors import InputError
from rai.train.federated.fairfed import Accuracies, weights

SHARES = st.lists(st.integers(1, 1_000), min_size=2, max_size=8)


def by_hand(start, far, beta):
    """The paper's equations, one site at a time."""
    mean = sum(far) / len(far)
    moved = [max(0.0, each - beta * (distance - mean)) for each, distance in zip(start, far, strict=True)]
    return [each / sum(moved) for each in moved]


def test_the_paper_by_hand_where_a_site_lacks_a_group():
    accuracies = Accuracies([0.9, 0.8, 0.6], 0.75)
    found = weights([50, 30, 20], [0.10, None, 0.30], 0.15, beta=0.5, accuracies=accuracies)
    assert found == pytest.approx(by_hand([0.5, 0.3, 0.2], [0.05, 0.05, 0.15], 0.5), abs=1e-12)
    assert found == pytest.approx([0.5 + 1 / 60, 0.3 + 1 / 60, 0.2 - 1 / 30], abs=1e-12)


def test_a_second_round_goes_on_from_the_weights_of_the_first():
    first = weights([50, 50], [0.1, 0.2], 0.1, beta=0.4)
    second = weights([50, 50], [0.1, 0.2], 0.1, beta=0.4, previous=first)
    assert first == pytest.approx([0.52, 0.48])
    assert second == pytest.approx([0.54, 0.46])


@given(SHARES)
def test_without_beta_it_is_the_average_by_rows(examples):
    gaps = np.linspace(0, 0.5, len(examples))
    assert weights(examples, list(gaps), 0.2, beta=0.0) == pytest.approx(np.array(examples) / sum(examples))


@given(SHARES, st.integers(0, 1_000), st.floats(0, 100))
@settings(deadline=None)
def test_weights_are_never_negative_and_sum_to_one(examples, seed, beta):
    rng = np.random.default_rng(seed)
    gaps = [None if rng.random() < 0.3 else float(each) for each in rng.uniform(-1, 1, len(examples))]
    overall = None if rng.random() < 0.2 else float(rng.uniform(-1, 1))
    accuracies = Accuracies(list(rng.random(len(examples))), 0.5) if rng.random() < 0.5 else None
    found = weights(examples, gaps, overall, beta=beta, accuracies=accuracies)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_site_nearest_the_gap_of_all_gains_and_the_farthest_loses():
    found = weights([10, 10, 10], [0.2, 0.3, 0.7], 0.2, beta=0.3)
    assert found[0] > found[1] > found[2]


def test_a_weight_below_nothing_is_nothing():
    assert weights([10, 10], [0.0, 1.0], 0.0, beta=5.0) == pytest.approx([1.0, 0.0])


def test_where_all_are_as_far_nothing_moves():
    assert weights([1, 3], [0.1, 0.3], 0.2, beta=9.0) == pytest.approx([0.25, 0.75])


def test_without_a_gap_over_all_accuracy_decides_for_every_site():
    found = weights([10, 10], [0.9, 0.1], None, beta=1.0, accuracies=Accuracies([0.7, 0.5], 0.7))
    assert found == pytest.approx([0.6, 0.4])


def test_a_site_of_which_nothing_is_known_keeps_its_weight():
    found = weights([20, 40, 40], [None, 0.1, 0.2], 0.1, beta=0.4)
    assert found == pytest.approx([0.2, 0.42, 0.38])
    assert weights([20, 80], [None, None], 0.3, beta=5.0) == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize("previous", [[0.5], [0.0, 0.0], [-0.1, 1.1], [np.nan, 1.0]])
def test_what_are_no_weights_is_refused(previous):
    with pytest.raises(InputError, match="2 numbers of 0 or more"):
        weights([1, 1], [0.1, 0.2], 0.1, beta=1.0, previous=previous)
