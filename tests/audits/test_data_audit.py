"""The data audit finds what was planted in the rows, and nothing in rows where nothing was planted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from rai.audits import data
from rai.audits._auc import cross_fitted_auc
from rai.audits._lift import lift
from rai.audits._predict import auc_of_counts, boosted_chances, folds, single_aucs, single_chances
from rai.audits.data.repeats import row_keys
from rai.evidence import Evidence, Measurement

Make = Callable[..., Any]
ROWS = 4000


def coin(seed: int, share: float = 0.5, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).random(rows) < share


def named(mask: np.ndarray, yes: str = "Male", no: str = "Female") -> list[str]:
    return np.where(mask, yes, no).tolist()


@pytest.fixture(scope="module")
def clean(make_subject: Make, make_data: Make) -> Evidence:
    """Everything independent of everything: no flaw to find."""
    rng = np.random.default_rng(1)
    columns = {"income": rng.normal(size=ROWS), "years": rng.normal(size=ROWS)}
    reference = make_data(coin(9).astype(int), {"sex": named(coin(8))}, features=rng.normal(size=(ROWS, 2)))
    subject = make_subject(
        rng.random(ROWS),
        coin(2).astype(int),
        {"sex": named(coin(3))},
        features=columns,
        missing=np.stack([coin(4, 0.1), coin(5, 0.1)], axis=1),
        reference=reference,
    )
    return data.measure(subject)


@pytest.fixture(scope="module")
def flawed(make_subject: Make, make_data: Make) -> Evidence:
    """Base rates .6/.3, empty cells 20 %/5 %, a proxy, a leak, 400 repeated rows and 200 rows of the reference."""
    rng = np.random.default_rng(11)
    again = np.r_[0 : ROWS - 400, 0:400]
    man = coin(12)
    label = (rng.random(ROWS) < np.where(man, 0.6, 0.3))[again]
    proxy = np.eye(2)[(man ^ coin(13, 0.05)).astype(int)]
    columns = {"title": proxy, "paid_later": label + rng.normal(0, 0.1, ROWS), "noise": rng.normal(size=ROWS)}
    columns, man = {name: column[again] for name, column in columns.items()}, man[again]
    empty = np.zeros((ROWS, 3), dtype=bool)
    empty[:, 2] = rng.random(ROWS) < np.where(man, 0.05, 0.20)
    seen = {name: np.concatenate([column[1000:1200], column[1000:1200] + 7]) for name, column in columns.items()}
    labels = label.astype(int)
    reference = make_data(np.tile(labels[1000:1200], 2), {"sex": named(coin(8, rows=400))}, features=seen)
    chance = 0.2 + 0.3 * man + 0.01 * rng.random(ROWS)
    return data.measure(
        make_subject(chance, labels, {"sex": named(man)}, features=columns, missing=empty, reference=reference)
    )


def covers(found: Measurement, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def test_planted_base_rates_are_covered(flawed: Evidence, one: Make) -> None:
    assert covers(one(flawed, "base_rate", attribute="sex", group="Male"), 0.6)
    assert covers(one(flawed, "base_rate", attribute="sex", group="Female"), 0.3)


def test_a_planted_difference_in_empty_cells_is_covered_and_its_column_named(flawed: Evidence, one: Make) -> None:
    found = one(flawed, "missing_gap", attribute="sex", column="noise")
    assert covers(found, 0.15)
    assert found.p is not None
    assert found.p < 0.01


def test_repeated_rows_are_counted(flawed: Evidence, one: Make) -> None:
    assert one(flawed, "duplicate_share").value == 400 / ROWS
    assert one(flawed, "duplicate_conflict_share").value == 0.0


def test_rows_of_the_reference_are_counted_with_their_conflicts(flawed: Evidence, one: Make) -> None:
    assert one(flawed, "overlap_share").value == 200 / ROWS
    assert one(flawed, "overlap_conflict_share").value == 0.0
    assert covers(one(flawed, "overlap_excess"), 200 / ROWS)
    assert one(flawed, "overlap_excess").low > 0


def test_the_leaking_column_is_named(flawed: Evidence, one: Make) -> None:
    found = one(flawed, "leakage_auc", column="paid_later")
    assert found.value > 0.99


def test_the_proxy_is_found_at_the_strength_planted(flawed: Evidence, one: Make) -> None:
    found = one(flawed, "proxy_auc", attribute="sex")
    assert found.low > 0.9
    assert found.value < 0.99
    table = next(each for each in flawed.exhibits if each.title.startswith("Columns that tell sex"))
    assert table.rows[0][0] == "title"


def test_the_score_gives_the_attribute_away_even_among_equal_labels(flawed: Evidence, one: Make) -> None:
    assert one(flawed, "score_leakage_auc", attribute="sex").value == 1.0
    given_label = one(flawed, "score_leakage_auc_given_label", attribute="sex")
    assert given_label.value == 1.0
    assert given_label.low > 0.98


def test_the_clean_twin_raises_no_alarm(clean: Evidence, one: Make) -> None:
    assert covers(one(clean, "missing_gap", attribute="sex", **_column(clean, "missing_gap")), 0.0)
    assert one(clean, "missing_gap", attribute="sex", **_column(clean, "missing_gap")).p > 0.05
    assert one(clean, "duplicate_share").value == 0.0
    assert one(clean, "overlap_share").value == 0.0
    assert covers(one(clean, "overlap_excess"), 0.0)
    assert covers(one(clean, "proxy_auc", attribute="sex"), 0.5)
    assert covers(one(clean, "score_leakage_auc", attribute="sex"), 0.5)
    assert covers(one(clean, "score_leakage_auc_given_label", attribute="sex"), 0.5)
    assert covers(one(clean, "leakage_auc", **_column(clean, "leakage_auc")), 0.5)
    assert one(clean, "constant_columns").value == 0


def _column(evidence: Evidence, name: str) -> dict[str, str]:
    return {"column": next(each.facet["column"] for each in evidence.measurements if each.name == name)}


def test_a_repeated_row_with_another_label_is_a_conflict(make_subject: Make, make_data: Make, one: Make) -> None:
    columns = np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0]])
    reference = make_data([0, 1, 1], features=np.array([[3.0], [1.0], [-1.0]]))
    subject = make_subject(np.full(6, 0.4), [0, 1, 0, 1, 0, 1], features=columns, reference=reference)
    found = data.measure(subject)
    assert one(found, "duplicate_share").value == 2 / 6
    assert one(found, "duplicate_conflict_share").value == 1 / 6
    assert one(found, "overlap_share").value == 2 / 6
    assert one(found, "overlap_conflict_share").value == 1 / 6


def test_rows_that_agree_by_nature_are_no_excess(make_subject: Make, make_data: Make, one: Make) -> None:
    rng = np.random.default_rng(5)
    few = rng.integers(0, 12, size=(3000, 3)).astype(float)
    reference = make_data(rng.integers(0, 2, 2000), features=few[1000:])
    subject = make_subject(rng.random(1000), rng.integers(0, 2, 1000), features=few[:1000], reference=reference)
    found = data.measure(subject)
    assert one(found, "overlap_share").value > 0.5
    assert covers(one(found, "overlap_excess"), 0.0)


def test_a_column_that_tells_all_still_has_an_interval(make_subject: Make, one: Make) -> None:
    label = coin(1, rows=600).astype(int)
    subject = make_subject(np.full(600, 0.5), label, features={"copy": label, "noise": coin(2, rows=600)})
    found = one(data.measure(subject), "leakage_auc", column="copy")
    assert found.value == 1.0
    assert 0.98 < found.low < 1.0


def test_a_regression_leak_is_told_by_r2(make_subject: Make, one: Make) -> None:
    rng = np.random.default_rng(3)
    label = rng.uniform(0, 10, 3000)
    columns = {"echo": label + rng.normal(0, np.sqrt(label.var() / 9), 3000), "noise": rng.normal(size=3000)}
    groups = {"sex": named(coin(5, rows=3000))}
    found = data.measure(make_subject(label, label, groups, task="regression", features=columns))
    assert one(found, "leakage_r2", column="echo").value == pytest.approx(0.9, abs=0.03)
    assert one(found, "mean_label").value == pytest.approx(label.mean(), abs=1e-12)
    assert covers(one(found, "mean_label", attribute="sex", group="Male"), 5.0)


def test_several_classes_name_the_class_that_leaks(make_subject: Make, one: Make) -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 3, 1500)
    columns = {"flag": (label == 2).astype(float), "noise": rng.normal(size=1500)}
    chances = rng.dirichlet(np.ones(3), 1500)
    found = data.measure(
        make_subject(
            chances,
            label,
            {"sex": named(coin(6, rows=1500))},
            task="multiclass",
            features=columns,
            classes=("a", "b", "c"),
        )
    )
    assert one(found, "leakage_auc", column="flag", cls="c").value == 1.0
    assert covers(one(found, "base_rate", cls="a"), 1 / 3)
    assert covers(one(found, "base_rate", attribute="sex", group="Male", cls="a"), 1 / 3)
    assert covers(one(found, "score_leakage_auc", attribute="sex"), 0.5)


def test_the_attribute_itself_among_the_inputs_is_set_aside_and_said(make_subject: Make, one: Make) -> None:
    man = coin(1)
    columns = {"Sex": man.astype(float), "noise": np.random.default_rng(21).normal(size=ROWS)}
    found = data.measure(make_subject(np.full(ROWS, 0.5), coin(3).astype(int), {"sex": named(man)}, features=columns))
    assert covers(one(found, "proxy_auc", attribute="sex"), 0.5)
    assert any("given sex itself" in caveat for caveat in found.caveats)


def test_groups_of_one_to_four_rows_are_not_shown(make_subject: Make, one: Make) -> None:
    groups = {"race": ["A"] * 60 + ["B"] * 37 + ["C"] * 3}
    labels = np.tile([0, 1], 50)
    found = data.measure(make_subject(np.full(100, 0.5), labels, groups, missing=np.zeros((100, 1))))
    for name in ("group_rows", "group_share", "base_rate"):
        hidden = one(found, name, attribute="race", group="C")
        assert (hidden.value, hidden.low, hidden.high, hidden.rows, hidden.smallest) == (None, None, None, 0, None)
        assert hidden.reason == "fewer than 5 rows: suppressed"
    table = next(each for each in found.exhibits if each.title == "Groups in the test rows")
    assert ("race", "C", None) in table.rows
    assert not any("C: 3" in getattr(each, "alt", "") for each in found.exhibits)


def test_a_few_unknown_rows_are_not_shown_either(make_subject: Make, one: Make) -> None:
    few = make_subject(np.full(40, 0.5), np.tile([0, 1], 20), {"sex": ["F"] * 20 + ["M"] * 17 + [""] * 3})
    many = make_subject(np.full(40, 0.5), np.tile([0, 1], 20), {"sex": ["F"] * 20 + ["M"] * 10 + [None] * 10})
    assert one(data.measure(few), "unknown_group_share", attribute="sex").value is None
    assert one(data.measure(many), "unknown_group_share", attribute="sex").value == 0.25


def test_what_is_not_there_is_undefined_with_a_reason(make_subject: Make, one: Make) -> None:
    found = data.measure(make_subject(np.full(50, 0.5)))
    reasons = {each.name: each.reason for each in found.measurements if each.value is None}
    assert reasons["base_rate"] == reasons["leakage_auc"] == "the data holds no labels"
    assert reasons["overlap_share"] == "no reference (training) rows were given"
    assert reasons["proxy_auc"] == "the card names no sensitive column"
    assert "does not say" in reasons["missing_share"]
    assert one(found, "rows").value == 50


def test_one_class_only_is_undefined(make_subject: Make, one: Make) -> None:
    found = data.measure(make_subject(np.full(50, 0.5), np.ones(50, dtype=int)))
    assert "only one class" in one(found, "leakage_auc").reason


def test_constant_columns_are_named(make_subject: Make, one: Make) -> None:
    columns = {"still": np.zeros(50), "moving": np.arange(50.0), "both": np.tile([1.0, 0.0], (50, 1))}
    found = data.measure(make_subject(np.full(50, 0.5), np.tile([0, 1], 25), features=columns))
    assert one(found, "constant_columns").value == 2
    assert any(each.title == "Columns that never vary: 2" for each in found.exhibits)


def test_the_reference_is_set_beside_the_test_rows(make_subject: Make, make_data: Make) -> None:
    reference = make_data([1] * 10 + [0] * 30, {"sex": ["F"] * 10 + ["M"] * 30}, features=np.arange(40.0)[:, None])
    subject = make_subject(
        np.full(20, 0.5),
        [1, 0] * 10,
        {"sex": ["F", "M"] * 10},
        reference=reference,
        features=np.arange(100, 120.0)[:, None],
    )
    table = next(each for each in data.measure(subject).exhibits if "against the reference" in each.title)
    assert table.rows == (("sex", "F", 0.5, 0.25, 1.0, 1.0), ("sex", "M", 0.5, 0.75, 0.0, 0.0))


def test_names_are_declared_and_the_answer_repeats(flawed: Evidence, clean: Evidence, make_subject: Make) -> None:
    assert {each.name for each in (*flawed.measurements, *clean.measurements)} <= set(data.MEASURES)
    subject = make_subject(coin(1) * 0.9, coin(2).astype(int), {"sex": named(coin(3))})
    assert data.measure(subject) == data.measure(subject)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=60))
@settings(deadline=None, max_examples=60)
def test_auc_of_counts_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = auc_of_counts(scores.astype(float), positive.astype(int), np.ones(len(rows), dtype=int))
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_single_column_chances_are_held_out_averages() -> None:
    rng = np.random.default_rng(7)
    binned, codes = rng.integers(0, 6, 300), rng.integers(0, 3, 300)
    fold = folds(codes, rng)
    chances = single_chances(binned, codes, fold)
    for row in range(300):
        others = fold != fold[row]
        same = others & (binned == binned[row])
        for level in range(3):
            prior = np.mean(codes[others] == level)
            slow = ((codes[same] == level).sum() + 5 * prior) / (same.sum() + 5)
            assert chances[row, level] == pytest.approx(slow, abs=1e-12)
    slow_aucs = [roc_auc_score(codes == level, chances[:, level]) for level in range(3)]
    assert single_aucs(binned, codes, fold) == pytest.approx(slow_aucs, abs=1e-12)


@pytest.mark.parametrize("columns", [1, 4])
def test_cross_fitted_intervals_cover_nothing_to_find(columns: int) -> None:
    """Without the wider interval about one in six of these would miss 0.5; with it about one in sixteen or fewer."""
    missed = 0
    for seed in range(40):
        rng = np.random.default_rng([columns, seed])
        codes, noise = rng.integers(0, 2, 200), rng.normal(size=(200, columns))
        chances = boosted_chances(noise, codes, folds(codes, rng), rng, unordered=[False] * columns)
        missed += not covers(lift(cross_fitted_auc(codes == 1, chances[:, 1]), "auc"), 0.5)
    assert missed <= 4


def test_rows_are_equal_just_where_all_inputs_are() -> None:
    rng = np.random.default_rng(8)
    array = rng.integers(0, 3, size=(200, 3)) * np.where(rng.random((200, 3)) < 0.5, -1.0, 1.0)
    keys = row_keys(array)
    for first in range(200):
        for second in range(first):
            assert (keys[first] == keys[second]) == bool((array[first] == array[second]).all())
