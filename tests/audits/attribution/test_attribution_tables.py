"""What drives the decisions about rows of a table: known answers, planted reasons named first, clean twins."""

import numpy as np
import pandas as pd
import pytest

from rai.audits import attribution
from rai.audits._explained import main_output, question_of, sampled_rows
from rai.audits._explained_cells import put_together
from rai.audits.attribution.reasons import explained_sample
from rai.card import Column, Head
from rai.subject import Data, Player, Subject


def test_a_linear_model_has_importance_in_closed_form(one, subject, table, normal) -> None:
    """Importance is |w| times the mean distance to the mean of the rows compared with."""
    weight = np.array([3.0, -2.0, 0.5, 0.0])
    trial = subject(lambda x: x @ weight, table(normal(2000, 4)))
    found = attribution.measure(trial)
    sample = explained_sample(trial)
    centre = sample.question.background.inputs.mean(axis=0)
    exact = np.abs(weight) * np.abs(trial.data.inputs[sample.reasons.rows] - centre).mean(axis=0)
    for place, value in enumerate(exact):
        told = one(found, "importance", feature=f"x{place}")
        assert told.value == pytest.approx(value)
        assert told.low <= value <= told.high
        assert one(found, "importance_share", feature=f"x{place}").value == pytest.approx(value / exact.sum())


def test_intervals_cover_the_importance_of_all_rows(subject, table, normal) -> None:
    """Of 40 samples of 300 rows, the 95 % interval of the first feature covers the truth in at least 35."""
    weight = np.array([2.0, 1.0, -1.0])
    data = table(normal(4000, 3))
    covered = 0
    for seed in range(40):
        trial = subject(lambda x: x @ weight, data, seed=seed)
        rows = sampled_rows(trial, 10**6, "all")
        centre = question_of(trial, rows[:1], background=25).background.inputs.mean(axis=0)
        truth = 2.0 * np.abs(data.inputs[:, 0] - centre[0]).mean()
        told = next(each for each in attribution.measure(trial).measurements if each.name == "importance")
        covered += told.low <= truth <= told.high
    assert covered >= 35


def test_one_column_that_decides_alone_has_all_of_it(one, subject, table, shares, normal) -> None:
    found = attribution.measure(subject(lambda x: np.sin(3 * x[:, 2]), table(normal(400, 6))))
    first = one(found, "dominant_share", feature="x2")
    assert first.value == pytest.approx(1.0)
    assert first.low == pytest.approx(1.0)
    assert shares(found) == pytest.approx({f"x{place}": float(place == 2) for place in range(6)})
    assert "First: x2" in [each.title for each in found.exhibits]


def test_partners_in_an_interaction_share_it(subject, table, shares, normal) -> None:
    signs = np.sign(normal(600, 5))
    found = attribution.measure(subject(lambda x: x[:, 0] * x[:, 1], table(signs)))
    told = shares(found)
    assert told["x0"] == pytest.approx(0.5, abs=0.05)
    assert told["x1"] == pytest.approx(0.5, abs=0.05)


def test_an_unused_column_of_many_has_an_interval_that_reaches_nothing(one, subject, table, shares, normal) -> None:
    """16 columns are too many for exact values; the estimator's own error is in the interval."""

    def answer(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(x[:, 0] * x[:, 1] * x[:, 2]) + x[:, 3])

    found = attribution.measure(subject(answer, table(normal(500, 16))))
    used = shares(found)
    assert set(list(used)[:4]) == {"x0", "x1", "x2", "x3"}
    unused = [
        each for each in found.measurements if each.name == "importance_share" and each.facet["feature"] in {"x7", "x8"}
    ]
    assert all(each.low == 0.0 for each in unused)


def test_a_constant_model_has_nothing_to_share_out(one, subject, table, normal) -> None:
    found = attribution.measure(subject(lambda x: np.ones(len(x)) * 0.1, table(normal(50, 3))))
    assert one(found, "dominant_share").value is None
    assert "nothing to share out" in one(found, "dominant_share").reason


def test_very_wide_tables_are_refused_with_the_number(one, subject, table) -> None:
    found = attribution.measure(subject(lambda x: x[:, 0], table(np.zeros((10, 401)))))
    assert "401 features" in one(found, "importance").reason


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_reliance_on_a_sensitive_input_is_what_was_planted(one, weight: float, subject, table, normal) -> None:
    """A half-half column of ±1 and a normal one: mean sizes 1 and √(2/π), up to the rows compared with."""
    values = normal(4000, 3)
    values[:, 1] = np.tile([-1.0, 1.0], 2000)
    codes = (values[:, 1] > 0).astype(np.int64)
    trial = subject(lambda x: 2 * x[:, 0] + weight * x[:, 1], table(values, {"sex": codes}, ("income", "Sex", "age")))
    told = one(attribution.measure(trial), "sensitive_reliance", attribute="sex")
    truth = weight / (weight + 2 * np.sqrt(2 / np.pi))
    assert told.value == pytest.approx(truth, abs=0.05)
    assert told.low <= told.value <= told.high


def test_an_attribute_that_is_no_input_has_reliance_of_exactly_nothing(one, subject, table, normal) -> None:
    codes = np.tile([0, 1], 200)
    told = one(
        attribution.measure(subject(lambda x: x[:, 0], table(normal(400, 2), {"sex": codes}))),
        "sensitive_reliance",
        attribute="sex",
    )
    assert (told.value, told.low, told.high) == (0.0, 0.0, 0.0)
    assert "no input of the model" in told.method


def test_a_planted_proxy_is_found_and_its_clean_twin_is_not(one, subject, table) -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(2, size=1500)
    proxy = codes + 0.1 * rng.normal(size=1500)
    other = rng.normal(size=(1500, 3))
    for column, planted in ((proxy, True), (rng.permutation(proxy), False)):
        values = np.column_stack([other, column])
        told = one(
            attribution.measure(subject(lambda x: x[:, 0] + 4 * x[:, 3], table(values, {"sex": codes}))),
            "proxy_reliance",
            attribute="sex",
        )
        share = 2 / (2 + np.sqrt(2 / np.pi))
        assert told.low <= told.value <= told.high
        if planted:
            assert told.value == pytest.approx(share, abs=0.05)
            assert told.p < 0.02
        else:
            assert told.p > 0.05
            assert told.corrected < 0.03


@pytest.fixture
def reasons_by_group(subject, table, normal):
    def build(seed: int, *, planted: bool) -> Subject:
        """The model reads x0 for one group and x1 for the other, or x0 for both."""
        values = normal(900, 3, seed)
        codes = np.random.default_rng(seed).integers(2, size=900)
        values[:, 2] = codes

        def answer(x: np.ndarray) -> np.ndarray:
            return np.asarray(np.where(x[:, 2] > 0.5, x[:, 1], x[:, 0]) if planted else x[:, 0] + x[:, 1])

        return subject(answer, table(values, {"sex": codes}), seed=seed)

    return build


def test_different_reasons_for_different_groups_are_found(reasons_by_group) -> None:
    found = attribution.measure(reasons_by_group(3, planted=True))
    gap = next(each for each in found.measurements if each.name == "importance_gap")
    assert gap.facet["feature"] in {"x0", "x1"}
    assert gap.low > 0.2
    assert gap.p < 0.01
    assert any("sex" in each.title and each.kind == "heat" for each in found.exhibits)


def test_the_same_reasons_for_all_raise_no_alarm(reasons_by_group) -> None:
    gaps = []
    for seed in range(14):
        found = attribution.measure(reasons_by_group(seed, planted=False))
        gaps.append(next(each for each in found.measurements if each.name == "importance_gap"))
    assert sum(each.p < 0.05 for each in gaps) <= 3
    assert sum(each.low > 0 for each in gaps) <= 2


def test_a_group_of_few_explained_rows_is_left_out_by_name(subject, table, normal) -> None:
    codes = np.repeat([0, 1, 2], [140, 145, 15])
    found = attribution.measure(subject(lambda x: x[:, 0], table(normal(300, 2), {"race": codes})))
    assert "Left out of the comparison of reasons by race, fewer than 20 explained rows: race 2." in found.caveats
    heat = next(each for each in found.exhibits if each.kind == "heat" and "by race" in each.title)
    assert heat.column_labels == ("race 0", "race 1")


def test_counts_of_one_to_four_are_withheld(subject, table, normal) -> None:
    found = attribution.measure(subject(lambda x: x[:, 0] ** 3, table(normal(300, 2))))
    heat = next(each for each in found.exhibits if each.title.startswith("How the features pull"))
    cells = [cell for row in heat.values for cell in row]
    assert None in cells
    assert all(cell is None or cell == 0 or cell >= 5 for cell in cells)


def test_of_several_classes_each_row_s_predicted_one_is_explained(subject, table, normal) -> None:
    values = normal(300, 4)
    trial = subject(lambda x: x[:, :3], table(values), head=Head.LOGITS, classes=("a", "b", "c"))
    sample = explained_sample(trial)
    predicted = trial.predicted[sample.reasons.rows]
    assert sample.attribution.values[:, 3] == pytest.approx(0.0)
    for row, (values_of, cls) in enumerate(zip(sample.attribution.values, predicted, strict=True)):
        assert np.flatnonzero(np.abs(values_of) > 1e-9).tolist() == [cls], row
    again = main_output(trial, sample.attribution, sample.reasons.rows)
    assert again is sample.attribution


def test_the_same_seed_gives_the_same_evidence(reasons_by_group) -> None:
    trial = reasons_by_group(1, planted=True)
    assert attribution.measure(trial) == attribution.measure(reasons_by_group(1, planted=True))


def test_a_typical_row_is_made_of_many(subject) -> None:
    """Two clusters decided differently: each table shows its cluster's middle, in the card's units and words."""
    rng = np.random.default_rng(8)
    side = np.repeat([0, 1], 200)
    age = np.where(side, 60.0, 30.0) + rng.normal(size=400)
    hot = np.eye(2)[np.where(side, 1, 0)]
    columns = (
        Column("age", "number", mean=40.0, scale=10.0),
        Column("job", "category", categories=("cook", "judge")),
    )
    values = np.column_stack([(age - 40) / 10, hot])
    data = Data("table", values, values, side, {}, (Player("age", (0,)), Player("job", (1, 2))))
    trial = subject(lambda x: 5 * x[:, 0] + x[:, 2] - 2, data, columns=columns)
    tables = [each for each in attribution.measure(trial).exhibits if each.kind == "table"]
    assert ["rightly predicted no" in each.title for each in tables] == [True, False]
    for shown, middle, job in zip(tables, (30.0, 60.0), ("cook", "judge"), strict=True):
        cells = {row[0]: row[1:] for row in shown.rows}
        assert float(cells["age"][0]) == pytest.approx(middle, abs=1.0)
        assert cells["job"][0] == job
        assert "of 25 alike rows" in shown.alt


def test_made_up_rows_take_each_column_from_its_own_row() -> None:
    values = np.arange(12.0).reshape(4, 3)
    data = Data("table", values, values, None, {}, (Player("a", (0, 1)), Player("b", (2,))))
    assert put_together(data, np.array([[1, 3], [0, 2]])).tolist() == [[3.0, 4.0, 11.0], [0.0, 1.0, 8.0]]
    frame = pd.DataFrame({"a": list("wxyz"), "b": range(4)})
    framed = Data("table", frame, values[:, :2], None, {}, (Player("a", (0,)), Player("b", (1,))))
    assert put_together(framed, np.array([[1, 3]])).to_numpy().tolist() == [["x", 3]]


def test_words_in_a_frame_that_few_share_are_not_told(subject, normal) -> None:
    rows = 60
    frame = pd.DataFrame({"note": [f"person {place}" for place in range(rows)], "x": normal(rows, 1)[:, 0]})
    codes = np.column_stack([np.arange(float(rows)), frame["x"]])
    data = Data("table", frame, codes, None, {}, (Player("note", (0,)), Player("x", (1,))))
    found = attribution.measure(subject(lambda each: each["x"].to_numpy() * 3, data))
    assert "person" not in str(found.exhibits)
    assert any(row[1] == "varies" for each in found.exhibits if each.kind == "table" for row in each.rows)


def test_rows_to_compare_with_are_reference_rows(make_data, subject, table, normal) -> None:
    base = subject(lambda x: x[:, 0], table(normal(50, 2)))
    reference = table(np.full((80, 2), 7.0))
    trial = Subject("planted", base.model, base.data, base.card, reference)
    assert (question_of(trial, np.arange(3)).background.inputs == 7.0).all()
    assert question_of(base, np.arange(3), background=11).background.rows == 11
    assert (sampled_rows(base, 20, "a") == sampled_rows(base, 20, "a")).all()
    assert len(np.unique(sampled_rows(base, 20, "b"))) == 20
