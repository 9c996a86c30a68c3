"""The auditor itself on trial: planted flaws are found by their own rule, clean twins raise no alarm."""

import pytest

from benchmarks.planted import FLAWS, clean, failed


@pytest.mark.parametrize("name", FLAWS)
def test_a_planted_flaw_fails_its_rule_and_no_other_kind(name: str) -> None:
    plant, rule = FLAWS[name]
    for seed in range(2):
        found = failed(plant(clean(seed)).audit())
        assert rule in found
        unrelated = {"DATA-01", "DATA-02"} - {rule}
        assert not found & unrelated


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_twin_raises_no_alarm(seed: int) -> None:
    assert failed(clean(seed).audit()) == set()


def test_a_clean_twin_with_enough_rows_passes() -> None:
    assert clean(0).audit().passed
