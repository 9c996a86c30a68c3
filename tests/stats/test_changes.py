"""Changes between two models on the same rows: against slow loops, and covered as often as promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from rai.stats.changes import gap_change, matched_difference, matched_draws, mcnemar, welch_difference

OVER_SIGNS = stats.norm.ppf(1 - 0.025 / 2)
"""Two groups make two ordered pairs, over which a bound holds at once."""


def counted(group: np.ndarray, before: np.ndarray, after: np.ndarray, groups: int) -> np.ndarray:
    """Counts (groups, 2, 2, 2) of rows that are all of one true class."""
    counts = np.zeros((groups, 2, 2, 2), dtype=np.int64)
    np.add.at(counts, (group, np.zeros(len(group), dtype=int), before.astype(int), after.astype(int)), 1)
    return counts


def selection(counts: np.ndarray) -> np.ndarray:
    """Selection rates before and after, shape (..., 2, 1, groups)."""
    rows = counts.sum(axis=(-3, -2, -1))
    before, after = counts[..., 1, :].sum(axis=(-2, -1)) / rows, counts[..., 1].sum(axis=(-2, -1)) / rows
    return np.stack([before, after], axis=-2)[..., None, :]


def people(rng: np.random.Generator, before: list[float], after: list[float], rows: int) -> np.ndarray:
    """Rows of groups whose decisions by the two models go together."""
    group = rng.integers(len(before), size=rows)
    first = rng.normal(size=rows)
    second = 0.8 * first + 0.6 * rng.normal(size=rows)
    chosen = [z < special.ndtri(np.array(rates)[group]) for z, rates in ((first, before), (second, after))]
    return counted(group, chosen[0], chosen[1], len(before))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0.30, 0.13], [0.22, 0.22]),  # a gap that is closed: plain bootstrap quantiles cover it 87 times in 100
        ([0.30, 0.13], [0.28, 0.20]),
        ([0.20, 0.20], [0.20, 0.20]),
        ([0.30, 0.13, 0.2, 0.25], [0.22, 0.22, 0.22, 0.22]),
    ],
)
def test_the_interval_of_a_change_covers_the_true_one(before: list[float], after: list[float]) -> None:
    rng = np.random.default_rng(5)
    true, hits = float(np.ptp(after) - np.ptp(before)), 0
    for _ in range(300):
        counts = people(rng, before, after, 900)
        drawn = selection(matched_draws(counts, 300, rng))
        found = gap_change(selection(counts), drawn, 900)
        hits += found.low <= true <= found.high
    assert hits >= 0.93 * 300


def test_a_change_between_two_groups_is_as_unsure_as_a_slow_paired_bootstrap_says() -> None:
    rng = np.random.default_rng(1)
    rows = 1200
    group, first = rng.integers(2, size=rows), rng.normal(size=rows)
    second = 0.8 * first + 0.6 * rng.normal(size=rows)
    before, after = first < np.array([0.6, -0.6])[group], second < np.array([0.3, -0.3])[group]
    counts = counted(group, before, after, 2)
    found = gap_change(selection(counts), selection(matched_draws(counts, 4000, rng)), rows)

    def change(picked: np.ndarray) -> float:
        gaps = [
            abs(chosen[picked][group[picked] == 0].mean() - chosen[picked][group[picked] == 1].mean())
            for chosen in (before, after)
        ]
        return float(gaps[1] - gaps[0])

    slow = [change(rng.integers(rows, size=rows)) for _ in range(1500)]
    assert found.value == pytest.approx(change(np.arange(rows)))
    assert (found.high - found.value) / OVER_SIGNS == pytest.approx(np.std(slow), rel=0.1)
    assert (found.value - found.low) / OVER_SIGNS == pytest.approx(np.std(slow), rel=0.1)


def test_rows_that_both_models_share_make_the_change_surer() -> None:
    rng = np.random.default_rng(2)
    group, first = rng.integers(2, size=2000), rng.normal(size=2000)
    matched = [first < np.array(cuts)[group] for cuts in ([0.6, -0.6], [0.5, -0.5])]
    apart = [matched[0], rng.permutation(first) < np.array([0.5, -0.5])[group]]
    widths = []
    for before, after in (matched, apart):
        counts = counted(group, before, after, 2)
        found = gap_change(selection(counts), selection(matched_draws(counts, 800, rng)), 2000)
        widths.append(found.high - found.low)
    assert widths[0] < 0.6 * widths[1]


def test_of_several_families_the_worst_counts() -> None:
    values = np.array([[[0.5, 0.4], [0.2, 0.5]], [[0.5, 0.3], [0.4, 0.5]]])
    drawn = values + 0.001 * np.random.default_rng(0).normal(size=(500, 2, 2, 2))
    found = gap_change(values, drawn, 100)
    assert found.value == pytest.approx(0.2 - 0.3)
    assert -0.11 < found.low < -0.1 < found.high < -0.09


def test_draws_that_leave_a_group_undefined_leave_no_interval() -> None:
    drawn = np.full((100, 2, 1, 2), 0.5)
    drawn[:5] = np.nan
    found = gap_change(np.array([[[0.5, 0.4]], [[0.5, 0.5]]]), drawn, 10)
    assert (found.low, found.high) == (None, None)
    assert "5 of 100" in found.reason


def test_draws_keep_an_absent_group_absent_and_the_rows_as_many() -> None:
    counts = np.zeros((2, 2, 2, 2), dtype=np.int64)
    counts[0, 0, 1, 0] = 40
    drawn = matched_draws(counts, 50, np.random.default_rng(0))
    assert drawn.shape == (50, 2, 2, 2, 2)
    assert (drawn.sum(axis=(1, 2, 3, 4)) == 40).all()
    assert not drawn[:, 1].any()


@given(gained=st.integers(0, 30), lost=st.integers(0, 30), still=st.integers(0, 100))
def test_a_matched_difference_mirrors_itself_and_holds_its_value(gained: int, lost: int, still: int) -> None:
    rows = gained + lost + still
    found, back = matched_difference(gained, lost, rows), matched_difference(lost, gained, rows)
    if rows == 0:
        assert found.value is None
        return
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert found.low < found.high


def test_a_matched_difference_covers_the_true_one() -> None:
    rng = np.random.default_rng(0)
    for rows, up, down in ((30, 0.02, 0.1), (200, 0.05, 0.05), (1000, 0.01, 0.03)):
        moved = rng.multinomial(rows, [up, down, 1 - up - down], size=1000)
        found = [matched_difference(int(a), int(b), rows) for a, b, _ in moved]
        assert np.mean([each.low <= up - down <= each.high for each in found]) >= 0.93


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(8, 1) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(3, 3) == pytest.approx(1.0)


def test_welch_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    after, before = rng.normal(1, 1, 8), rng.normal(0, 3, 12)
    found = welch_difference(after, before)
    bounds = stats.ttest_ind(after, before, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert found.value == pytest.approx(after.mean() - before.mean())


def test_runs_that_do_not_differ_leave_no_interval() -> None:
    assert "single run" in welch_difference(np.ones(1), np.ones(5)).reason
    assert "same value" in welch_difference(np.ones(5), np.zeros(5)).reason
    assert welch_difference(np.ones(0), np.zeros(5)).value is None
