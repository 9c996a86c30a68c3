import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rai.errors import InputError
from rai.stats.estimates import Estimate
from rai.stats.proportions import clopper_pearson, proportion, wilson


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_bounds_equal_scipy_to_the_digit(pair, level):
    k, n = pair
    test = stats.binomtest(k, n)
    for mine, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = test.proportion_ci(level, method=method)
        found = mine([k], [n], level=level)
        assert found.low[0] == pytest.approx(theirs.low, abs=1e-9)
        assert found.high[0] == pytest.approx(theirs.high, abs=1e-9)


def exact_coverage(interval, n, shares):
    """Sum the chance of every outcome whose interval holds the share: no simulation."""
    k = np.arange(n + 1)
    found = interval(k, np.full(n + 1, n))
    inside = (found.low[:, None] <= shares) & (shares <= found.high[:, None])
    return (stats.binom.pmf(k[:, None], n, shares) * inside).sum(axis=0)


@pytest.mark.parametrize("n", [10, 15, 30, 75, 200, 1000])
def test_wilson_covers_95_percent_on_average_and_clopper_pearson_everywhere(n):
    shares = np.linspace(0.02, 0.98, 193)
    assert exact_coverage(wilson, n, shares).mean() >= 0.943
    assert exact_coverage(wilson, n, shares).min() >= 0.83
    assert exact_coverage(clopper_pearson, n, shares).min() >= 0.95


def test_published_wilson_interval():
    # Newcombe 1998, Statistics in Medicine 17:857, Table I: 81 of 263 and 15 of 148.
    found = wilson([81, 15, 0, 1], [263, 148, 20, 29])
    assert found.low == pytest.approx([0.2553, 0.0624, 0.0, 0.0061], abs=5e-5)
    assert found.high == pytest.approx([0.3662, 0.1605, 0.1611, 0.1718], abs=5e-5)


def test_no_rows_are_undefined_and_no_share_is_ever_nan():
    nothing = proportion(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (None, None, None)
    assert nothing.reason
    assert wilson([0], [0]).low[0] == 0
    assert wilson([0], [0]).high[0] == 1
    assert proportion(1, 4).value == 0.25


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(InputError, match="successes"):
        wilson([k], [n])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_estimate_is_never_nan(bad):
    with pytest.raises(ValueError, match="finite"):
        Estimate(bad, None, None, 3, "")
