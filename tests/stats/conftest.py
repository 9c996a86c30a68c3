import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture
def crossed():
    """Shares of ten groups from two attributes; the smallest holds 1.5 % of the rows."""
    return np.outer([0.6, 0.2, 0.1, 0.07, 0.03], [0.5, 0.5]).ravel()
