"""Small rows, a small network and a small promise for a private training."""

import numpy as np
import pytest
import torch
from torch import nn

from rai.subject import Data, Groups
from rai.train.settings import Fit, Private

SGD = Fit(optimizer="sgd", learning_rate=0.5, momentum=0.0)
PROMISE = Private(0.2, 10, 1e-5, 20.0, noise_multiplier=2.0, gradients="book_keeping")


def drawn_rows(count=100, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


def line():
    torch.manual_seed(5)
    return nn.Linear(3, 3)


def grouped_rows(levels, codes):
    X, y = drawn_rows(len(codes))
    house = Groups("house", levels, np.asarray(codes))
    return Data("table", X, X, y, {"house": house}, ())


class Listening:
    def __init__(self, stop=None):
        self.heard = []
        self.stop = stop

    def step(self, moment):
        self.heard.append(moment)
        if moment.step == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def sgd():
    """Settings whose steps are easily followed by hand."""
    return SGD


@pytest.fixture
def promised():
    """Ten steps with noise."""
    return PROMISE


@pytest.fixture
def rows():
    """Draw so many rows, three classes."""
    return drawn_rows


@pytest.fixture
def network():
    """Make the same network each time."""
    return line


@pytest.fixture
def grouped():
    """Rows whose houses are given."""
    return grouped_rows


@pytest.fixture
def listening():
    """Something that keeps what it hears of a training, and presses Ctrl-C at the step given."""
    return Listening
