"""A small task that several sites can learn together, and a network for it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from rai.subject import Data, Groups, Player
from rai.train.settings import Federated, Fit

Pair = tuple[np.ndarray, np.ndarray]
QUICK = Federated(clients=4, rounds=3, alone=False, contributions=False)
PLAIN = Fit(optimizer="sgd", learning_rate=0.1, momentum=0.0, batch_size=16, validation=0.2)


@pytest.fixture
def network() -> nn.Module:
    """A network with two outputs for six inputs, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2))


@pytest.fixture
def some() -> Callable[..., Pair]:
    """Rows that a small network can learn from; those of different seeds follow one rule."""

    def drawn(rows: int = 240, seed: int = 0) -> Pair:
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(rows, 6)).astype(np.float32)
        rule = np.array([1.0, -2.0, 1.5, 0.5, -1.0, 0.0])
        return X, (X @ rule + 0.3 * rng.normal(size=rows) > 0).astype(np.int64)

    return drawn


@pytest.fixture
def grouped(some: Callable[..., Pair]) -> Data:
    """The same rows with a sensitive attribute that says something about the label, and a site."""
    X, y = some()
    rng = np.random.default_rng(5)
    sex = np.where(rng.random(len(y)) < 0.25 + 0.5 * y, 1, 0)
    place = np.arange(len(y)) % 3
    groups = {"sex": Groups("sex", ("f", "m"), sex), "clinic": Groups("clinic", ("A", "B", "C"), place)}
    players = tuple(Player(f"x{k}", (k,)) for k in range(6))
    return Data("table", X, X, y, groups, players)


@pytest.fixture
def quick() -> Federated:
    """Four sites, three rounds, and nothing that takes long beside."""
    return QUICK


@pytest.fixture
def plain_fit() -> Fit:
    """Plain gradient descent on small batches."""
    return PLAIN
