import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rai.stats.significance import fisher, flip_changes, holm, two_proportion_z


def test_fisher_by_enumeration_of_all_tables():
    k1, n1, k2, n2 = 3, 12, 9, 11
    tables = stats.hypergeom.pmf(np.arange(13), n1 + n2, k1 + k2, n1)
    seen = stats.hypergeom.pmf(k1, n1 + n2, k1 + k2, n1)
    assert fisher(k1, n1, k2, n2) == pytest.approx(tables[tables <= seen * (1 + 1e-9)].sum())


def test_z_squared_is_the_chi_square_statistic_and_has_a_sign():
    chi = stats.chi2_contingency([[50, 42], [34, 42]], correction=False).statistic
    assert two_proportion_z(50, 92, 34, 76) ** 2 == pytest.approx(chi)
    assert two_proportion_z(50, 92, 34, 76) > 0 > two_proportion_z(34, 76, 50, 92)


@pytest.mark.parametrize("counts", [(0, 5, 0, 9), (5, 5, 9, 9), (0, 0, 1, 2)])
def test_z_is_undefined_without_variation(counts):
    assert two_proportion_z(*counts) is None


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_flip_moves_one_selection_and_looks(n1, n2, data):
    k1, k2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))

    def below(a, b):
        return min(a * n2, b * n1) * 5 < 4 * max(a * n2, b * n1)

    moved = [(k1 + s, k2 - s) for s in (-1, 1) if 0 <= k1 + s <= n1 and 0 <= k2 - s <= n2 and k1 + k2 > 0]
    # Ratios of exactly 4/5 depend on rounding; leave them to floating point.
    if any(5 * min(a * n2, b * n1) == 4 * max(a * n2, b * n1) for a, b in [(k1, k2), *moved]):
        return
    assert flip_changes(k1, n1, k2, n2) == any(below(a, b) != below(k1, k2) for a, b in moved)


def test_flip_of_small_and_large_numbers():
    assert flip_changes(6, 10, 4, 10)  # 0.67; one person more makes it 1
    assert not flip_changes(600, 1000, 400, 1000)
    assert not flip_changes(0, 10, 0, 10)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_correction_against_its_definition(p):
    values = np.array(p)
    m = len(p)
    slow = [min(1.0, max((m - r) * v for r, v in enumerate(sorted(p)) if v <= one)) for one in p]
    # Equal p-values share the largest multiplier reached by their run.
    order = np.argsort(values, kind="stable")
    slow_sorted = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(m, 0, -1)))
    assert holm(p)[order] == pytest.approx(slow_sorted)
    assert (holm(p) <= np.array(slow) + 1e-12).all()


def test_no_questions_need_no_correction():
    assert holm([]).shape == (0,)


def test_holm_known_answer():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
