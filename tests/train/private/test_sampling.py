import numpy as np
import pytest
import torch
from scipy import stats

from rai.errors import InputError
from rai.subject import Groups
from rai.train.batches import Rows
from rai.train.private.sampling import poisson, secret, sizes_of, units_of

ALPHA = 1e-6


def rows(codes=(0, 1, 0, 2), levels=("a", "b", "c")):
    count = len(codes)
    groups = {"house": Groups("house", levels, np.asarray(codes))}
    return Rows(torch.zeros(count, 2), torch.zeros(count), "binary", groups)


def test_every_unit_is_drawn_by_a_coin_of_its_own():
    rng, draws, count, rate = secret(), 4000, 20, 0.3
    drawn = np.zeros((draws, count))
    for each in drawn:
        each[poisson(count, rate, rng)] = 1
    assert stats.binomtest(int(drawn.sum()), draws * count, rate).pvalue > ALPHA
    # the size of a batch is binomial, not fixed: its variance is that of independent coins
    expected = count * rate * (1 - rate)
    ratio = drawn.sum(axis=1).var(ddof=1) / expected * (draws - 1)
    assert ALPHA < stats.chi2.cdf(ratio, draws - 1) < 1 - ALPHA
    together = int((drawn[:, 0] * drawn[:, 1]).sum())
    assert stats.binomtest(together, draws, rate**2).pvalue > ALPHA


def test_how_many_units_there_are_changes_no_other_units_coin():
    for count in (100, 101):
        rng = np.random.default_rng(0)
        first = poisson(count, 0.2, rng)
        assert torch.equal(first[first < 100], poisson(100, 0.2, np.random.default_rng(0)))


def test_an_empty_draw_is_a_draw():
    assert len(poisson(5, 1e-12, secret())) == 0
    assert len(poisson(0, 0.5, secret())) == 0
    assert len(poisson(7, 1.0, secret())) == 7


def test_seeds_that_anyone_can_set_do_not_repeat_the_coins():
    def again():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the very seed that must not matter
        return secret().random(4)

    assert not np.array_equal(again(), again())


def test_units_are_rows_or_whole_groups():
    assert units_of(rows(), "record").count == 4
    found = units_of(rows(), "group:house")
    assert found.count == 3
    assert [each.tolist() for each in found.members] == [[0, 2], [1], [3]]


@pytest.mark.parametrize("unit", ["group:street", "person", "group:"])
def test_a_unit_that_is_none_is_refused(unit):
    with pytest.raises(InputError, match="private.unit"):
        units_of(rows(), unit)


def test_rows_of_an_unknown_group_are_refused():
    with pytest.raises(InputError, match="house is unknown for some rows"):
        units_of(rows(codes=(0, -1, 1, 2)), "group:house")


def test_a_batch_is_cut_into_parts_that_memory_holds():
    assert sizes_of(10, 4) == [4, 4, 2]
    assert sizes_of(8, 4) == [4, 4]
    assert sizes_of(3, 4) == [3]
