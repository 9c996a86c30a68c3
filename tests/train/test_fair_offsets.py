"""The rule that thresholds are moved by: its terms are the criterion, its slopes are right, and none is better."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.train.fair.cells import Combinations, combinations, terms
from rai.train.fair.job import Attribute
from rai.train.fair.offsets import prices
from rai.train.fair.seen import Seen, ground_of, known_by_heart

SEX = (Attribute("sex", ("f", "m")),)
CRITERIA = ("demographic_parity", "equalized_odds", "equal_opportunity")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CRITERIA), st.sampled_from([2, 3]), st.integers(0, 2**31))
def test_a_term_is_how_far_a_group_s_rate_is_from_that_of_all(criterion: str, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 2, 60), rng.integers(0, 3, 60)], axis=1)
    labels, said = rng.integers(0, classes, 60), rng.integers(0, classes, 60)
    found = combinations(codes)
    cells = found.of(codes)
    counts = np.zeros((classes, len(found)))
    np.add.at(counts, (labels, cells), 1)
    attributes = (Attribute("a", ("0", "1")), Attribute("b", ("0", "1", "2")))
    asked = terms(criterion, counts, found, attributes)
    decided = (said == 1)[:, None] if classes == 2 else np.eye(classes)[said]
    values = (asked.actual(labels, cells) * decided[:, asked.decisions]).mean(axis=0)
    assert np.allclose(values, slow_terms(criterion, classes, labels, said, codes))


def slow_terms(criterion: str, classes: int, labels: Any, said: Any, codes: Any) -> list[float]:
    """A twin that counts rows in plain loops."""
    found = []
    for watched in [1] if classes == 2 else range(classes):
        own = labels == watched
        among = {"demographic_parity": [own | ~own], "equal_opportunity": [own]}.get(criterion, [own, ~own])
        for rows, column in product(among, range(codes.shape[1])):
            levels = [level for level in range(2 + column) if (rows & (codes[:, column] == level)).any()]
            for level in levels if len(levels) > 1 else []:
                inside = rows & (codes[:, column] == level)
                found.append((said[inside] == watched).mean() - (said[rows] == watched).mean())
    return found


@pytest.mark.parametrize("classes", [2, 3])
def test_slopes_are_what_small_steps_show(classes: int) -> None:
    rng = np.random.default_rng(classes)
    likely = rng.dirichlet(np.ones(classes * 2), 80).reshape(80, classes, 2)
    labels, cells = rng.integers(0, classes, 80), rng.integers(0, 2, 80)
    rows = Seen(labels, cells, likely, np.zeros((80, 1)))
    asked = terms("equalized_odds", rows.counts, Combinations(np.array([[0], [1]])), SEX)
    ground = ground_of(rows, asked, asked, 0.4)
    at = rng.normal(size=ground.features.shape[1]) * 0.1
    steps = [
        ground.terms(ground.soft(at + 1e-6 * each, 0.05)) for each in np.vstack([np.eye(len(at)), -np.eye(len(at))])
    ]
    slow = (np.array(steps[: len(at)]) - np.array(steps[len(at) :])).T / 2e-6
    assert np.allclose(ground.slopes(at, 0.05), slow, atol=1e-6)


def twelve_kinds(criterion: str, seed: int) -> tuple[Any, Any]:
    """Rows of twelve kinds whose chances are known: how many of each kind, class and group, and who is who."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 60, size=(12, 2, 2))
    kinds = np.repeat(np.arange(48), counts.ravel())
    labels, cells = kinds // 2 % 2, kinds % 2
    likely = (counts / counts.sum(axis=(1, 2), keepdims=True))[kinds // 4]
    return Seen(labels, cells, likely, np.zeros((len(kinds), 1))), kinds // 4


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity"])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_rule_that_may_not_see_the_group_is_better(criterion: str, seed: int) -> None:
    rows, kinds = twelve_kinds(criterion, seed)
    asked = terms(criterion, rows.counts, Combinations(np.array([[0], [1]])), SEX)
    ground = ground_of(rows, asked, asked, 0.5)
    decided = ground.hard(prices(ground, 0.6))[:, 0]
    first = [int(np.flatnonzero(kinds == kind)[0]) for kind in range(12)]
    right = np.array([np.where(rows.labels[kinds == k] == 1, 1, -1).sum() for k in range(12)])
    pull = np.array([ground.actual[kinds == k].sum(axis=0) for k in range(12)])
    every = np.array(list(product((0, 1), repeat=12)))
    ours = decided[first]
    gap = np.abs(ours @ pull).max()
    allowed = every[np.abs(every @ pull).max(axis=1) <= gap + 1e-9]
    assert ours @ right == (allowed @ right).max()


def test_rows_are_known_by_heart_only_where_chance_would_not_do_it() -> None:
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(2, 2000, 1))
    first, second = (Seen(np.zeros(0), np.zeros(0), np.zeros((0, 2, 2)), each) for each in losses)
    assert not known_by_heart(first, second)
    assert known_by_heart(replace(first, losses=0.8 * first.losses), second)
    assert not known_by_heart(second, replace(first, losses=0.8 * first.losses))
