"""Label bias that was planted is found again, and what a score tells of a group is what scikit-learn measures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rai.audits.mitigation import measure
from rai.audits.mitigation.leakage import Board, parts, stratified_auc
from rai.audits.mitigation.tipping import by_base_rate, by_false_positives, by_true_positives, tippings
from rai.evidence import Measurement
from rai.stats.ranking import delong
from rai.subject import Subject

ROWS = 120_000


@pytest.mark.parametrize("rate", [0.2, 0.3])
def test_pure_label_bias_is_found_within_ten_percent(make_subject: Callable[..., Subject], rate: float) -> None:
    rng = np.random.default_rng(2)
    group = rng.random(ROWS) < 0.5
    truth = rng.random(ROWS) < 0.5
    score = 1 / (1 + np.exp(-(2.0 * (2 * truth - 1) + rng.normal(size=ROWS))))
    wrong = group & truth & (rng.random(ROWS) < rate)
    subject = make_subject(score, (truth & ~wrong).astype(int), {"g": np.where(group, "b", "a")})
    found = {each.title: each for each in tippings(subject, subject.data.groups["g"], rng)}
    for title in ("Base rate", "False-positive rate"):
        tip = found[title]
        assert (tip.group, tip.against) == ("b", "a")
        assert tip.count.value == pytest.approx(wrong.sum(), rel=0.1)
        assert tip.share.value == pytest.approx(tip.count.value / (group & ~(truth & ~wrong)).sum())


def test_the_tipping_point_is_as_unsure_as_it_says(make_subject: Callable[..., Subject]) -> None:
    rng = np.random.default_rng(4)
    hits, rows, rate = {"Base rate": 0, "False-positive rate": 0}, 3000, 0.3
    for _ in range(100):
        group, truth = rng.random((2, rows)) < 0.5
        score = 1 / (1 + np.exp(-(2.0 * (2 * truth - 1) + rng.normal(size=rows))))
        wrong = group & truth & (rng.random(rows) < rate)
        subject = make_subject(score, (truth & ~wrong).astype(int), {"g": np.where(group, "b", "a")})
        found = {each.title: each for each in tippings(subject, subject.data.groups["g"], rng)}
        for title in hits:
            hits[title] += found[title].count.low <= rate * rows / 4 <= found[title].count.high
    assert min(hits.values()) >= 89


def test_positives_that_should_be_negative_are_found_too(make_subject: Callable[..., Subject]) -> None:
    rng = np.random.default_rng(2)
    group = rng.random(ROWS) < 0.5
    truth = rng.random(ROWS) < 0.5
    score = 1 / (1 + np.exp(-(2.0 * (2 * truth - 1) + rng.normal(size=ROWS))))
    wrong = group & ~truth & (rng.random(ROWS) < 0.2)
    subject = make_subject(score, (truth | wrong).astype(int), {"g": np.where(group, "b", "a")})
    found = {each.title: each for each in tippings(subject, subject.data.groups["g"], rng)}["True-positive rate"]
    assert found.group == "b"
    assert found.count.value == pytest.approx(wrong.sum(), rel=0.1)


def test_solutions_close_the_gap_when_the_labels_are_put_right() -> None:
    own, other = np.array([60.0, 40.0, 20.0, 80.0]), np.array([150.0, 50.0, 30.0, 90.0])
    x = float(by_false_positives(own, other))
    chosen = 80 / 100
    assert (40 - chosen * x) / (100 - x) == pytest.approx(50 / 200)
    own, other = np.array([160.0, 40.0, 50.0, 50.0]), np.array([50.0, 50.0, 30.0, 70.0])
    x = float(by_true_positives(own, other))
    assert (50 - 0.2 * x) / (100 - x) == pytest.approx(70 / 100)
    x = float(by_base_rate(own, other))
    assert (100 + x) / 300 == pytest.approx(0.5)


def test_there_is_no_tipping_point_where_the_score_does_not_know_the_truth() -> None:
    own, other = np.array([60.0, 40.0, 80.0, 20.0]), np.array([150.0, 50.0, 30.0, 90.0])
    assert np.isnan(by_false_positives(own, other))  # positives are selected less often than negatives


def test_without_a_tipping_point_there_is_a_reason(make_subject: Callable[..., Subject]) -> None:
    rng = np.random.default_rng(0)
    group, labels = rng.random(2000) < 0.5, rng.integers(2, size=2000)
    score = np.where(group, 0.9, 0.1 * rng.random(2000))
    subject = make_subject(score, labels, {"g": np.where(group, "b", "a")})
    found = {each.title: each for each in tippings(subject, subject.data.groups["g"], rng)}["False-positive rate"]
    assert found.count.value is None
    assert "no number of such labels" in found.count.reason


def test_leakage_is_the_auc_of_scikit_learn(
    make_subject: Callable[..., Subject], one: Callable[..., Measurement]
) -> None:
    rng = np.random.default_rng(1)
    race = rng.choice(["a", "b", "c"], 3000)
    labels = (rng.random(3000) < np.where(race == "a", 0.6, 0.3)).astype(int)
    scores = [1 / (1 + np.exp(-(labels + shift * (race == "b") + rng.normal(size=3000)))) for shift in (1.0, 0.2)]
    made = make_subject(scores[1], labels, {"race": race})
    found = measure(replace(made, baseline=make_subject(scores[0], labels, {"race": race}).model))
    for name in "abc":
        for when, score in zip(("before", "after"), scores, strict=True):
            alone = one(found, f"attribute_auc_{when}", attribute="race", group=name)
            assert alone.value == pytest.approx(roc_auc_score(race == name, score))
            given = one(found, f"attribute_auc_given_label_{when}", attribute="race", group=name)
            strata = [roc_auc_score((race == name)[labels == y], score[labels == y]) for y in (0, 1)]
            assert given.value == pytest.approx(np.average(strata, weights=np.bincount(labels)))
            assert given.low < given.value < given.high
    assert one(found, "attribute_auc_given_label_change", attribute="race", group="b").high < 0


def test_two_groups_are_told_once(make_subject: Callable[..., Subject]) -> None:
    rng = np.random.default_rng(1)
    made = make_subject(rng.random(200), rng.integers(2, size=200), {"sex": rng.choice(["f", "m"], 200)})
    found = measure(replace(made, baseline=made.model))
    assert [each.facet["group"] for each in found.measurements if each.name == "attribute_auc_after"] == ["f"]


def test_one_stratum_is_as_unsure_as_delong_says() -> None:
    rng = np.random.default_rng(0)
    member = rng.random(400) < 0.4
    score = rng.normal(size=400) + member
    every = np.ones(400, dtype=bool)
    found, theirs = stratified_auc(parts(Board(member, np.zeros(400, dtype=int), every), score)), delong(member, score)
    assert found.value == pytest.approx(theirs.value)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=2e-3)


def test_the_change_of_an_auc_covers_the_true_one() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        member = rng.random(300) < 0.4
        shared = rng.normal(size=300)
        before, after = (shared + 0.5 * rng.normal(size=300) + shift * member for shift in (0.8, 0.8))
        board = Board(member, rng.integers(2, size=300), np.ones(300, dtype=bool))
        found = stratified_auc(parts(board, after), parts(board, before))
        hits += found.low <= 0.0 <= found.high
    assert hits >= 0.93 * 300
