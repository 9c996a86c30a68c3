import numpy as np
import pytest

from rai.subject import Player


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture
def singles():
    """One player for each input."""
    return lambda count: tuple(Player(f"x{each}", (each,)) for each in range(count))


@pytest.fixture
def network():
    """A fixed random network of two layers of 64 with ReLU: interactions of every order."""

    def build(inputs, seed=0):
        rng = np.random.default_rng(seed)
        first = rng.normal(size=(inputs, 64)) * 1.5 / np.sqrt(inputs)
        second, last = rng.normal(size=(64, 64)) * 1.5 / 8, rng.normal(size=64) / 8
        shift = rng.normal(size=64)
        return lambda table: np.maximum(np.maximum(table @ first + shift, 0) @ second, 0) @ last

    return build
