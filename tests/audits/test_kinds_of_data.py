"""Planted flaws in images, sequences and texts are found and named in words of their kind; clean twins are quiet."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rai.audits import data as audit
from rai.audits.data.descriptions import described
from rai.audits.data.repeats import row_keys, whole_inputs
from rai.data import unlabelled
from rai.evidence import Evidence, Measurement
from rai.subject import Data, Subject

ROWS = 400
PAD = 6
LEXICON = ["[PAD]", *(f"w{place}" for place in range(1, 28)), "boss", "nurse"]


@dataclass(frozen=True)
class Trial:
    """Labels and groups without meaning, and a way to audit the inputs beside them."""

    labels: np.ndarray
    sex: np.ndarray
    subject: Callable[..., Subject]

    def audit(self, inputs: Data, reference: Data | None = None) -> Evidence:
        stub = self.subject(np.full(len(self.labels), 0.5), self.labels, {"sex": self.sex.tolist()})
        data = replace(inputs, labels=stub.data.labels, groups=stub.data.groups)
        known = None if reference is None else replace(reference, labels=np.zeros(reference.rows, dtype=np.int64))
        return audit.measure(replace(stub, data=data, reference=known))


@pytest.fixture(scope="module")
def trial(make_subject: Callable[..., Subject]) -> Trial:
    rng = np.random.default_rng(1)
    return Trial(rng.integers(0, 2, ROWS), rng.choice(["f", "m"], ROWS), make_subject)


def images() -> np.ndarray:
    return np.random.default_rng(2).random((ROWS, 3, 10, 12)).astype(np.float32)


def sequences() -> np.ndarray:
    rng = np.random.default_rng(3)
    made = rng.normal(size=(ROWS, 9, 2)).astype(np.float32)
    for row, length in enumerate(rng.integers(2, 10, ROWS)):
        made[row, length:] = np.nan
    return made


def texts() -> np.ndarray:
    made = np.random.default_rng(4).integers(1, 28, (ROWS, PAD + 4))
    made[:, PAD:] = 0
    return made


def taken(kind: str, rows: np.ndarray) -> Data:
    return unlabelled(rows, kind=kind, vocabulary=LEXICON if kind == "text" else None)  # type: ignore[arg-type]


MAKERS: Mapping[str, Callable[[], np.ndarray]] = {"image": images, "sequence": sequences, "text": texts}


def named(evidence: Evidence, name: str) -> Measurement:
    return next(each for each in evidence.measurements if each.name == name)


@pytest.mark.parametrize("kind", MAKERS)
def test_planted_repeats_are_counted_and_clean_rows_have_none(trial: Trial, kind: str) -> None:
    rows = MAKERS[kind]()
    assert named(trial.audit(taken(kind, rows)), "duplicate_share").value == 0
    rows[100:120] = rows[0]
    known = rows[50:75].copy()
    evidence = trial.audit(taken(kind, rows), taken(kind, known))
    assert named(evidence, "duplicate_share").value == pytest.approx(20 / ROWS)
    assert named(evidence, "overlap_share").value == pytest.approx(25 / ROWS)


def test_one_changed_value_is_no_repeat(trial: Trial) -> None:
    rows = images()
    rows[1] = rows[0]
    rows[1, 2, 9, 11] += 0.01
    assert named(trial.audit(taken("image", rows)), "duplicate_share").value == 0


def test_a_short_sequence_is_not_one_filled_with_zeros(trial: Trial) -> None:
    rows = sequences()
    rows[0, 3:], rows[1] = np.nan, rows[0]
    rows[1, 3:] = 0
    assert named(trial.audit(taken("sequence", rows)), "duplicate_share").value == 0


def test_padding_to_another_length_hides_no_shared_text(trial: Trial) -> None:
    rows = texts()
    longer = np.pad(rows[:30], ((0, 0), (0, 7)))
    for test, known in ((rows, longer), (np.pad(rows, ((0, 0), (0, 7))), rows[:30])):
        evidence = trial.audit(taken("text", test), taken("text", known))
        assert named(evidence, "overlap_share").value == pytest.approx(30 / ROWS)


@pytest.mark.parametrize("kind", MAKERS)
def test_clean_inputs_tell_neither_label_nor_group(trial: Trial, kind: str) -> None:
    evidence = trial.audit(taken(kind, MAKERS[kind]()))
    proxy, leak = named(evidence, "proxy_auc"), named(evidence, "leakage_auc")
    assert proxy.low is not None
    assert proxy.low < 0.55
    assert leak.value is not None
    assert leak.value < 0.7


def plant(kind: str, hit: np.ndarray) -> np.ndarray:
    """Rows in which whoever is hit shows it in one place."""
    rows = MAKERS[kind]()
    if kind == "image":
        rows[hit, 1, :2, 9:] += 2
    elif kind == "text":
        rows[hit, 3] = LEXICON.index("boss")
    else:
        lengths = (~np.isnan(rows[:, :, 0])).sum(axis=1)
        rows[hit, lengths[hit] - 1, 1] += 9
    return rows


PLACES = {
    "image": ("part", "row 1 of 8, column 8 of 8, green"),
    "sequence": ("summary", "feature 2 at the last step"),
    "text": ("word", "boss"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_what_gives_the_label_away_is_named(trial: Trial, kind: str) -> None:
    evidence = trial.audit(taken(kind, plant(kind, trial.labels == 1)))
    leak = named(evidence, "leakage_auc")
    key, place = PLACES[kind]
    assert leak.value is not None
    assert leak.value > 0.95
    assert list(leak.facet) == [key]
    assert leak.facet[key] == place or kind != "text"  # others tell it as well
    assert any(place in str(getattr(each, "rows", "")) for each in evidence.exhibits)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_tells_a_group_is_named(trial: Trial, kind: str) -> None:
    evidence = trial.audit(taken(kind, plant(kind, trial.sex == "m")))
    proxy = named(evidence, "proxy_auc")
    assert proxy.value is not None
    assert proxy.value > 0.95
    table = next(each for each in evidence.exhibits if "that tell sex" in each.title)
    assert PLACES[kind][1] in str(table)


@pytest.mark.parametrize("kind", MAKERS)
def test_no_word_about_columns_where_there_are_none(trial: Trial, kind: str) -> None:
    rows = plant(kind, trial.labels == 1)
    rows[..., :2] = np.where(np.isnan(rows[..., :2]), rows[..., :2], 1)
    evidence = trial.audit(taken(kind, rows))
    shown = [evidence.method, *evidence.caveats]
    shown += [f"{each.unit} {each.method} {each.reason} {' '.join(each.facet)}" for each in evidence.measurements]
    shown += [
        str(getattr(each, field, "")) for each in evidence.exhibits for field in ("title", "alt", "columns", "text")
    ]
    said = re.sub(r"row \d+( of \d+)?, column \d+|texts have no columns", "", " ".join(shown))
    assert "olumn" not in said


@pytest.mark.parametrize("kind", ["image", "sequence"])
def test_parts_that_never_vary_are_counted(trial: Trial, kind: str) -> None:
    rows = MAKERS[kind]()
    if kind == "image":
        rows[:, :, :5, :6] = 0.25
    else:
        rows[:, :, 0] = np.where(np.isnan(rows[:, :, 0]), np.nan, 0)
    still = named(trial.audit(taken(kind, rows)), "constant_columns")
    assert (still.value, still.unit) == (4, "parts")


def test_an_attribute_and_a_word_of_one_name_are_two_things(trial: Trial) -> None:
    words = ["[PAD]", *LEXICON[1:28], "sex", "nurse"]
    rows = unlabelled(plant("text", trial.sex == "m"), kind="text", vocabulary=words)
    evidence = trial.audit(rows)
    assert named(evidence, "proxy_auc").value == pytest.approx(1.0, abs=0.01)
    assert not any("given sex itself" in each for each in evidence.caveats)


def loop_summaries(row: np.ndarray) -> list[float]:
    """The slow twin: what a person would write down of one sequence."""
    real = row[~np.isnan(row[:, 0])].astype(np.float64)
    by_kind: list[Any] = [real.mean(0), real.std(0), real[0], real[-1], real.min(0), real.max(0)]
    return [*np.concatenate(by_kind), len(real)]


def test_descriptions_of_sequences_equal_a_slow_loop() -> None:
    data = taken("sequence", sequences())
    found = described(data, np.random.default_rng(0))
    np.testing.assert_allclose(found.values, [loop_summaries(row) for row in data.inputs], rtol=1e-9, atol=1e-9)
    assert len(found.names) == found.values.shape[1]


def test_descriptions_of_images_are_means_of_their_parts() -> None:
    data = taken("image", np.random.default_rng(0).random((5, 1, 16, 24)))
    found = described(data, np.random.default_rng(0))
    by_hand = data.inputs.astype(np.float64).reshape(5, 8, 2, 8, 3).mean(axis=(2, 4)).reshape(5, -1)
    np.testing.assert_allclose(found.values, by_hand, rtol=1e-9)
    assert (found.names[0], found.names[-1]) == ("row 1 of 8, column 1 of 8", "row 8 of 8, column 8 of 8")


def test_rare_words_are_not_named() -> None:
    rows = texts()
    rows[:4, 0] = LEXICON.index("boss")
    rows[:5, 1] = LEXICON.index("nurse")
    names = described(taken("text", rows), np.random.default_rng(0)).names
    assert "boss" not in names
    assert "nurse" in names


def test_descriptions_stay_small_however_large_the_inputs() -> None:
    many = np.random.default_rng(0).normal(size=(20, 3, 700)).astype(np.float32)
    assert described(unlabelled(many), np.random.default_rng(0)).values.shape == (20, 300)
    large = np.zeros((20, 3, 200, 300), dtype=np.float32)
    assert described(unlabelled(large), np.random.default_rng(0)).values.shape == (20, 192)


def test_keys_do_not_depend_on_how_many_rows_there_are() -> None:
    data = taken("image", images())
    whole = row_keys(whole_inputs(data))
    assert [row_keys(whole_inputs(data.take(np.array([place]))))[0] for place in (0, 399)] == [whole[0], whole[399]]
