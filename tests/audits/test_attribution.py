"""What drives the decisions: known answers, planted reasons named first, and clean twins without alarm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rai.audits import attribution
from rai.audits._explained import main_output, question_of, sampled_rows
from rai.audits._explained_cells import put_together
from rai.audits.attribution.reasons import explained_sample
from rai.card import Card, Column, Head
from rai.evidence import Evidence
from rai.subject import Data, Groups, Player, Subject, Vocabulary


@dataclass(frozen=True)
class Live:
    """A model that is a function of its inputs."""

    answer: Callable[[Any], np.ndarray]
    head: Head = Head.LOGIT
    trust: str = "in memory"

    def scores(self, inputs: Any) -> np.ndarray:
        found = np.asarray(self.answer(inputs), dtype=np.float64)
        return found.reshape(len(found), -1)

    def inside(self, procedure: Any, inputs: Any, **arguments: Any) -> Any:
        raise NotImplementedError


def subject(answer: Any, data: Data, *, head: Head = Head.LOGIT, seed: int = 0, **card: Any) -> Subject:
    regression = head is Head.VALUE
    classes = card.pop("classes", () if regression else ("no", "yes"))
    task = "regression" if regression else "binary" if len(classes) == 2 else "multiclass"
    return Subject("planted", Live(answer, head), data, Card(task, classes=classes, **card), None, seed)


def by_place(rows: int, width: int) -> tuple[Player, ...]:
    return tuple(Player(f"x{place}", (place,)) for place in range(width))


def table(values: np.ndarray, groups: dict[str, np.ndarray] | None = None, names: tuple[str, ...] = ()) -> Data:
    players = tuple(Player(names[place] if names else f"x{place}", (place,)) for place in range(values.shape[1]))
    found = {
        name: Groups(name, tuple(f"{name} {level}" for level in range(int(codes.max()) + 1)), codes)
        for name, codes in (groups or {}).items()
    }
    return Data("table", values, values, None, found, players)


def shares(found: Evidence, key: str = "feature") -> dict[str, float]:
    told = [each for each in found.measurements if each.name == "importance_share" and key in each.facet]
    return {each.facet[key]: float(each.value or 0.0) for each in told}


def normal(rows: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width))


def test_a_linear_model_has_importance_in_closed_form(one) -> None:
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


def test_intervals_cover_the_importance_of_all_rows() -> None:
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


def test_one_column_that_decides_alone_has_all_of_it(one) -> None:
    found = attribution.measure(subject(lambda x: np.sin(3 * x[:, 2]), table(normal(400, 6))))
    first = one(found, "dominant_share", feature="x2")
    assert first.value == pytest.approx(1.0)
    assert first.low == pytest.approx(1.0)
    assert shares(found) == pytest.approx({f"x{place}": float(place == 2) for place in range(6)})
    assert "First: x2" in [each.title for each in found.exhibits]


def test_partners_in_an_interaction_share_it() -> None:
    signs = np.sign(normal(600, 5))
    found = attribution.measure(subject(lambda x: x[:, 0] * x[:, 1], table(signs)))
    told = shares(found)
    assert told["x0"] == pytest.approx(0.5, abs=0.05)
    assert told["x1"] == pytest.approx(0.5, abs=0.05)


def test_an_unused_column_of_many_has_an_interval_that_reaches_nothing(one) -> None:
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


def test_a_constant_model_has_nothing_to_share_out(one) -> None:
    found = attribution.measure(subject(lambda x: np.ones(len(x)) * 0.1, table(normal(50, 3))))
    assert one(found, "dominant_share").value is None
    assert "nothing to share out" in one(found, "dominant_share").reason


def test_very_wide_tables_are_refused_with_the_number(one) -> None:
    found = attribution.measure(subject(lambda x: x[:, 0], table(np.zeros((10, 401)))))
    assert "401 features" in one(found, "importance").reason


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_reliance_on_a_sensitive_input_is_what_was_planted(one, weight: float) -> None:
    """A half-half column of ±1 and a normal one: mean sizes 1 and √(2/π), up to the rows compared with."""
    values = normal(4000, 3)
    values[:, 1] = np.tile([-1.0, 1.0], 2000)
    codes = (values[:, 1] > 0).astype(np.int64)
    trial = subject(lambda x: 2 * x[:, 0] + weight * x[:, 1], table(values, {"sex": codes}, ("income", "Sex", "age")))
    told = one(attribution.measure(trial), "sensitive_reliance", attribute="sex")
    truth = weight / (weight + 2 * np.sqrt(2 / np.pi))
    assert told.value == pytest.approx(truth, abs=0.05)
    assert told.low <= told.value <= told.high


def test_an_attribute_that_is_no_input_has_reliance_of_exactly_nothing(one) -> None:
    codes = np.tile([0, 1], 200)
    told = one(
        attribution.measure(subject(lambda x: x[:, 0], table(normal(400, 2), {"sex": codes}))),
        "sensitive_reliance",
        attribute="sex",
    )
    assert (told.value, told.low, told.high) == (0.0, 0.0, 0.0)
    assert "no input of the model" in told.method


def test_a_planted_proxy_is_found_and_its_clean_twin_is_not(one) -> None:
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


def reasons_by_group(seed: int, *, planted: bool) -> Subject:
    """The model reads x0 for one group and x1 for the other, or x0 for both."""
    values = normal(900, 3, seed)
    codes = np.random.default_rng(seed).integers(2, size=900)
    values[:, 2] = codes

    def answer(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(x[:, 2] > 0.5, x[:, 1], x[:, 0]) if planted else x[:, 0] + x[:, 1])

    return subject(answer, table(values, {"sex": codes}), seed=seed)


def test_different_reasons_for_different_groups_are_found() -> None:
    found = attribution.measure(reasons_by_group(3, planted=True))
    gap = next(each for each in found.measurements if each.name == "importance_gap")
    assert gap.facet["feature"] in {"x0", "x1"}
    assert gap.low > 0.2
    assert gap.p < 0.01
    assert any("sex" in each.title and each.kind == "heat" for each in found.exhibits)


def test_the_same_reasons_for_all_raise_no_alarm() -> None:
    gaps = []
    for seed in range(14):
        found = attribution.measure(reasons_by_group(seed, planted=False))
        gaps.append(next(each for each in found.measurements if each.name == "importance_gap"))
    assert sum(each.p < 0.05 for each in gaps) <= 3
    assert sum(each.low > 0 for each in gaps) <= 2


def test_a_group_of_few_explained_rows_is_left_out_by_name() -> None:
    codes = np.repeat([0, 1, 2], [140, 145, 15])
    found = attribution.measure(subject(lambda x: x[:, 0], table(normal(300, 2), {"race": codes})))
    assert "Left out of the comparison of reasons by race, fewer than 20 explained rows: race 2." in found.caveats
    heat = next(each for each in found.exhibits if each.kind == "heat" and "by race" in each.title)
    assert heat.column_labels == ("race 0", "race 1")


def test_counts_of_one_to_four_are_withheld() -> None:
    found = attribution.measure(subject(lambda x: x[:, 0] ** 3, table(normal(300, 2))))
    heat = next(each for each in found.exhibits if each.title.startswith("How the features pull"))
    cells = [cell for row in heat.values for cell in row]
    assert None in cells
    assert all(cell is None or cell == 0 or cell >= 5 for cell in cells)


def test_of_several_classes_each_row_s_predicted_one_is_explained() -> None:
    values = normal(300, 4)
    trial = subject(lambda x: x[:, :3], table(values), head=Head.LOGITS, classes=("a", "b", "c"))
    sample = explained_sample(trial)
    predicted = trial.predicted[sample.reasons.rows]
    assert sample.attribution.values[:, 3] == pytest.approx(0.0)
    for row, (values_of, cls) in enumerate(zip(sample.attribution.values, predicted, strict=True)):
        assert np.flatnonzero(np.abs(values_of) > 1e-9).tolist() == [cls], row
    again = main_output(trial, sample.attribution, sample.reasons.rows)
    assert again is sample.attribution


def test_the_same_seed_gives_the_same_evidence() -> None:
    trial = reasons_by_group(1, planted=True)
    assert attribution.measure(trial) == attribution.measure(reasons_by_group(1, planted=True))


def test_a_typical_row_is_made_of_many() -> None:
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


def test_words_in_a_frame_that_few_share_are_not_told() -> None:
    rows = 60
    frame = pd.DataFrame({"note": [f"person {place}" for place in range(rows)], "x": normal(rows, 1)[:, 0]})
    codes = np.column_stack([np.arange(float(rows)), frame["x"]])
    data = Data("table", frame, codes, None, {}, (Player("note", (0,)), Player("x", (1,))))
    found = attribution.measure(subject(lambda each: each["x"].to_numpy() * 3, data))
    assert "person" not in str(found.exhibits)
    assert any(row[1] == "varies" for each in found.exhibits if each.kind == "table" for row in each.rows)


def images(rows: int = 120, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    labels = np.tile([0, 1], rows // 2)
    pictures = rng.normal(size=(rows, 1, side, side)).astype(np.float32)
    pictures[labels == 1, 0, :4, 4:] += 3.0
    return pictures, labels


def grid(side: int, parts: int, channels: int = 1) -> tuple[Player, ...]:
    wide = side // parts
    cells = np.arange(channels * side * side).reshape(channels, side, side)
    return tuple(
        Player(
            f"row {r + 1}, column {c + 1}",
            tuple(cells[:, r * wide : (r + 1) * wide, c * wide : (c + 1) * wide].ravel().tolist()),
        )
        for r in range(parts)
        for c in range(parts)
    )


def test_a_planted_corner_of_an_image_is_named_and_shown(one) -> None:
    pictures, labels = images()
    data = Data("image", pictures, pictures.reshape(len(pictures), -1), labels, {}, grid(8, 2))
    found = attribution.measure(subject(lambda x: 4 * x[:, 0, :4, 4:].mean(axis=(1, 2)) - 6, data))
    assert one(found, "dominant_share", feature="row 1, column 2").value == pytest.approx(1.0)
    shown = [each for each in found.exhibits if each.kind == "overlay"]
    assert [each.title.split(" (")[0] for each in shown] == ["Images taken for no", "Images taken for yes"]
    for each, sign in zip(shown, (-1, 1), strict=True):
        values, picture = np.array(each.values), np.array(each.picture)
        assert values.shape == (2, 2)
        assert np.sign(values[0, 1]) == sign
        assert np.abs(values[[0, 1, 1], [0, 0, 1]]) == pytest.approx(0.0, abs=1e-6)
        assert picture.shape == (8, 8)
        assert (picture.min(), picture.max()) == (0, 255)


def test_no_picture_is_made_of_fewer_than_five_images() -> None:
    pictures, labels = images(60)
    labels[:3] = 1 - labels[:3]
    data = Data("image", pictures, pictures.reshape(len(pictures), -1), labels, {}, grid(8, 2))
    found = attribution.measure(subject(lambda x: 4 * x[:, 0, :4, 4:].mean(axis=(1, 2)) - 6, data))
    assert not any("Wrong decisions" in each.title for each in found.exhibits)


def test_a_leaking_time_step_is_named(one) -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(200, 12, 2)).astype(np.float32)
    players = tuple(
        Player(f"{name}, steps {3 * part + 1} to {3 * part + 3}", tuple((3 * part + k) * 2 + place for k in range(3)))
        for place, name in enumerate(("load", "heart, rate"))
        for part in range(4)
    )
    data = Data("sequence", values, values.reshape(200, -1), None, {}, players)

    def answer(x: np.ndarray) -> np.ndarray:
        return np.asarray(3 * x[:, 10, 1] + 0.2 * x[:, 2, 0])

    found = attribution.measure(subject(answer, data))
    assert one(found, "dominant_share", feature="heart, rate, steps 10 to 12").value > 0.8
    assert next(iter(shares(found, "series"))) == "heart, rate"
    by_time = shares(found, "time")
    assert max(by_time, key=by_time.__getitem__) == "steps 10 to 12"
    assert sum(by_time.values()) == pytest.approx(1.0)
    heat = next(each for each in found.exhibits if each.title.startswith("Where in time"))
    assert heat.row_labels == ("load", "heart, rate")
    assert heat.values[1][3] == max(cell for row in heat.values for cell in row)


def test_a_sensitive_series_is_found_by_its_name(one) -> None:
    values = normal(120, 8).reshape(120, 4, 2)
    players = tuple(
        Player(f"{name}, steps {s + 1} to {s + 1}", (s * 2 + i,))
        for i, name in enumerate(("sex", "load"))
        for s in range(4)
    )
    codes = np.tile([0, 1], 60)
    groups = {"sex": Groups("sex", ("F", "M"), codes)}
    data = Data("sequence", values, values.reshape(120, -1), None, groups, players)
    found = attribution.measure(subject(lambda x: x[:, :, 0].sum(axis=1) + x[:, :, 1].sum(axis=1), data))
    told = one(found, "sensitive_reliance", attribute="sex")
    assert told.value == pytest.approx(0.5, abs=0.06)
    assert one(found, "proxy_reliance", attribute="sex").value is None


def texts() -> tuple[Data, Vocabulary]:
    names = ("[PAD]", "[MASK]", "[CLS]", "the", "film", "good", "bad", "she", "rare")
    words = Vocabulary(names, pad=0, mask=1, special=(2,))
    rng = np.random.default_rng(9)
    tokens = rng.integers(3, 8, size=(150, 6))
    tokens[:, 0] = 2
    tokens[:3, 1] = 8
    tokens[::3, 4:] = 0
    players = tuple(Player(f"token {place + 1}", (place,)) for place in range(6))
    return Data("text", tokens, tokens.astype(np.float32), None, {}, players, vocabulary=words), words


def test_a_planted_word_is_named_and_rare_ones_never(one) -> None:
    data, words = texts()
    worth = np.zeros(len(words.names))
    worth[[5, 6, 7]] = [0.5, -0.5, -3.0]
    found = attribution.measure(subject(lambda x: worth[x.astype(int)].sum(axis=1), data))
    told = one(found, "importance", feature="she")
    assert told.value == pytest.approx(3.0)
    assert told.rows == int((data.inputs == 7).any(axis=1).sum())
    assert one(found, "dominant_share", feature="she").value > 0.5
    assert "rare" not in str(found.exhibits)
    assert "[CLS]" not in str(found.measurements)
    strip = next(each for each in found.exhibits if each.kind == "tokens")
    signed = dict(zip(strip.tokens, strip.values, strict=True))
    assert signed == pytest.approx({"the": 0.0, "film": 0.0, "good": 0.5, "bad": -0.5, "she": -3.0}, abs=1e-9)


def test_rows_to_compare_with_are_reference_rows(make_data) -> None:
    base = subject(lambda x: x[:, 0], table(normal(50, 2)))
    reference = table(np.full((80, 2), 7.0))
    trial = Subject("planted", base.model, base.data, base.card, reference)
    assert (question_of(trial, np.arange(3)).background.inputs == 7.0).all()
    assert question_of(base, np.arange(3), background=11).background.rows == 11
    assert (sampled_rows(base, 20, "a") == sampled_rows(base, 20, "a")).all()
    assert len(np.unique(sampled_rows(base, 20, "b"))) == 20
