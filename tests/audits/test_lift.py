"""Whatever rests on one to four people leaves no number behind."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rai.audits._lift import hidden, large_enough, lift, lift_gap, shown
from rai.stats.estimates import Estimate, Gap
from rai.subject import Groups

LIKELY = Estimate(0.25, 0.1, 0.5, 40, "Wilson")


def gap(rows: int, smallest: int) -> Gap:
    return Gap(
        value=0.2,
        low=0.1,
        high=0.3,
        rows=rows,
        smallest=smallest,
        p=0.01,
        chance=0.05,
        corrected=0.15,
        detectable=0.1,
        highest=0,
        lowest=1,
        method="pairs",
    )


@pytest.mark.parametrize(("count", "printed"), [(0, 0), (1, None), (4, None), (5, 5), (6, 6)])
def test_counts_of_one_to_four_are_not_printed(count: int, printed: int | None) -> None:
    assert shown(count) == printed
    assert hidden(count) == (printed is None)


def test_an_estimate_keeps_all_it_says() -> None:
    found = lift(LIKELY, "recall", facet={"attribute": "sex", "group": "F"}, unit="share", smallest=9)
    assert (found.value, found.low, found.high, found.rows, found.smallest) == (0.25, 0.1, 0.5, 40, 9)
    assert (found.name, found.unit, found.method) == ("recall", "share", "Wilson")


def test_a_gap_keeps_all_it_says() -> None:
    found = asdict(lift_gap(gap(400, 40), "recall_gap", facet={"attribute": "sex"}))
    given_gap = asdict(gap(400, 40))
    for key in ("value", "low", "high", "rows", "smallest", "p", "chance", "corrected", "detectable", "method"):
        assert found[key] == given_gap[key]


@pytest.mark.parametrize("few", [1, 2, 3, 4])
def test_numbers_on_few_rows_are_taken_out_whole(few: int) -> None:
    made = (
        lift(Estimate(0.5, 0.1, 0.9, few, "Wilson"), "recall"),
        lift(LIKELY, "recall", smallest=few),
        lift_gap(gap(400, few), "recall_gap", facet={"attribute": "race"}),
    )
    for found in made:
        numbers = [value for value in asdict(found).values() if isinstance(value, int | float)]
        assert numbers == [0]
        assert found.reason == "fewer than 5 rows: suppressed"


@given(st.lists(st.integers(-1, 6), max_size=60), st.integers(1, 8))
def test_only_large_groups_stay_and_rows_keep_their_group(codes: list[int], least: int) -> None:
    groups = Groups("race", tuple("ABCDEFG"), np.array(codes, dtype=np.int64))
    kept = large_enough(groups, least=least)
    large = {name for place, name in enumerate(groups.levels) if codes.count(place) >= least}
    assert set(kept.levels) == large
    for before, after in zip(codes, kept.codes.tolist(), strict=True):
        name = groups.levels[before] if before >= 0 else None
        assert (kept.levels[after] if after >= 0 else None) == (name if name in large else None)


def test_rows_set_aside_do_not_count_towards_a_group() -> None:
    groups = Groups("sex", ("F", "M"), np.array([0] * 6 + [1] * 6))
    among = np.array([True] * 4 + [False] * 2 + [True] * 6)
    assert large_enough(groups, among=among).levels == ("M",)
