"""A small network learns in one thread, a large one in all, and the caller's threads come back."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from rai.train import Fit, fit, fit_federated, fit_private
from rai.train.settings import Federated, Private
from rai.train.threads import MOST_WORK, threads_for

ROWS = np.random.default_rng(0).normal(size=(64, 5)).astype("f"), np.arange(64) % 2


class Seeing(nn.Linear):
    """A network that notes in how many threads it learns."""

    def __init__(self) -> None:
        super().__init__(5, 1)
        self.seen = {0}

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer each row."""
        if torch.is_grad_enabled():
            self.seen.add(torch.get_num_threads())
        return super().forward(rows)

    def __deepcopy__(self, _memo: object) -> "Seeing":
        """Copies note in one place."""
        found = Seeing()
        found.load_state_dict(self.state_dict())
        found.seen = self.seen
        return found


@pytest.fixture
def two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "the caller's threads came back"
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two")
def test_a_small_network_learns_in_one_thread() -> None:
    network = Seeing()
    fit(network, ROWS, settings=Fit(epochs=1))
    assert network.seen == {0, 1}


@pytest.mark.usefixtures("two")
def test_so_do_sites_that_learn_together() -> None:
    network = Seeing()
    fit_federated(network, ROWS, clients=2, rounds=1, federated=Federated(alone=False, contributions=False))
    assert network.seen == {0, 1}


@pytest.mark.usefixtures("two")
def test_a_network_whose_steps_are_large_takes_all_threads() -> None:
    with threads_for(MOST_WORK / 8 + 1, 8, "cpu"):
        assert torch.get_num_threads() == 2
    with threads_for(MOST_WORK / 8, 8, "cpu"):
        assert torch.get_num_threads() == 1
    with threads_for(None, 8, "cpu"), threads_for(1.0, 8, "cuda"):
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two")
def test_what_stops_a_training_gives_the_threads_back() -> None:
    with pytest.raises(KeyboardInterrupt), threads_for(1.0, 1, "cpu"):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("two")
def test_private_training_of_a_small_network_takes_one_thread() -> None:
    network = nn.Linear(5, 1)
    seen = []

    class Watching:
        def step(self, _moment: object) -> None:
            seen.append(torch.get_num_threads())

    private = Private(sample_rate=0.25, steps=3, delta=1e-3, expected_batch=16, noise_multiplier=1.0)
    fit_private(network, ROWS, private=private, watch=Watching())
    assert seen == [1, 1, 1]
