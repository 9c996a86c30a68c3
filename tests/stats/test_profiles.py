"""Profiles of shares: known values, an obvious twin, and alarms at the rate they promise."""

import numpy as np
import pytest

from rai.stats.profiles import profile_gap, share_profiles


def planted(seed: int, tilt: float, rows: int = 240) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(3, size=rows)
    parts = rng.exponential(size=(rows, 4)) * [1.0, 2.0, 3.0, 4.0]
    parts[codes == 0, 1] *= 1 + tilt
    return parts, codes


def test_shares_are_those_of_the_obvious_loop() -> None:
    parts, codes = planted(1, 0.5)
    total = parts.sum(axis=1) + 1.0
    found = share_profiles(parts, total, codes, 3, np.random.default_rng(0))
    for group in range(3):
        mine = codes == group
        for entry in range(4):
            assert found.values[group, entry] == pytest.approx(sum(parts[mine, entry]) / sum(total[mine]))
    assert found.rows.tolist() == np.bincount(codes).tolist()


def test_a_planted_difference_is_found_where_it_is() -> None:
    parts, codes = planted(2, 2.0)
    found = profile_gap(share_profiles(parts, parts.sum(axis=1), codes, 3, np.random.default_rng(0)))
    assert (found.entry, found.gap.highest) == (1, 0)
    true = 6 / 14 - 2 / 10
    assert found.gap.low is not None
    assert found.gap.high is not None
    assert 0 < found.gap.low <= true <= found.gap.high
    assert found.gap.p is not None
    assert found.gap.p < 0.01


def test_one_profile_for_all_raises_alarms_at_their_rate() -> None:
    """40 clean samples: p below 5 % in about 2 of them, an interval without 0 in at most a few."""
    gaps = []
    for seed in range(40):
        parts, codes = planted(100 + seed, 0.0, 120)
        gaps.append(profile_gap(share_profiles(parts, parts.sum(axis=1), codes, 3, np.random.default_rng(seed))).gap)
    assert sum(each.p < 0.05 for each in gaps) <= 6
    assert sum(each.low > 0 for each in gaps) <= 5
    assert np.mean([each.p for each in gaps]) == pytest.approx(0.5, abs=0.15)
    assert np.mean([each.value - each.chance for each in gaps]) == pytest.approx(0.0, abs=0.01)


def test_one_group_has_no_gap() -> None:
    parts = np.ones((10, 2))
    found = profile_gap(share_profiles(parts, parts.sum(axis=1), np.zeros(10, dtype=int), 1, np.random.default_rng(0)))
    assert found.gap.value is None
    assert "a gap needs two" in found.gap.reason
