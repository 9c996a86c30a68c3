"""What the tests of training share: small rows whose answer is known, and quick settings."""

import numpy as np
import pytest

from rai.train.settings import Fit


@pytest.fixture
def squares():
    """400 points of the plane and the class that no line can tell: whether exactly one coordinate is positive."""
    X = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    return X, ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(np.int64)


@pytest.fixture
def quick():
    return Fit(epochs=3, batch_size=50, learning_rate=0.01)
