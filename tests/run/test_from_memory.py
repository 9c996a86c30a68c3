"""Whatever a caller hands in from Python gives the right number or one clear line, never a wrong number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rai

ROWS = 300
RNG = np.random.default_rng(5)
SCORES = RNG.random(ROWS)
LABELS = (RNG.random(ROWS) < SCORES).astype(int)
DECIDED = (SCORES >= 0.5).astype(int)
RIGHT = accuracy_score(LABELS, DECIDED)
FRAME = pd.DataFrame({"a": SCORES * 10, "b": RNG.normal(size=ROWS)})
THREE = RNG.integers(0, 3, ROWS)


def measured(report: rai.Report, name: str = "accuracy") -> float | None:
    frame = report.to_frame()
    return float(frame.loc[frame["measurement"] == name, "value"].iloc[0])


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        (LABELS + 1, DECIDED + 1),
        (2 * LABELS - 1, 2 * DECIDED - 1),
        (LABELS, DECIDED.astype(bool)),
        (LABELS.astype(bool), DECIDED),
        (np.array(["no", "yes"])[LABELS], DECIDED.astype(bool)),
        (pd.Series(LABELS).map({0: "no", 1: "yes"}), pd.DataFrame({"yes": SCORES, "no": 1 - SCORES})),
        (LABELS, pd.Series(SCORES).astype("Float64")),
    ],
    ids=["1 and 2", "-1 and 1", "truth values", "truth labels", "named labels", "columns turned", "nullable"],
)
def test_binary_predictions_of_every_kind_mean_the_same(labels: Any, answers: Any) -> None:
    assert measured(rai.audit_predictions(labels, answers)) == pytest.approx(RIGHT, abs=1e-9)


@pytest.mark.parametrize("answers", [THREE.astype(float), THREE[:, None], pd.Series(THREE).astype("Int64")])
def test_numbered_decisions_among_several_classes_mean_the_same(answers: Any) -> None:
    labels = np.roll(THREE, 1)
    assert measured(rai.audit_predictions(labels, answers)) == pytest.approx(accuracy_score(labels, THREE), abs=1e-9)


def test_few_whole_numbers_can_be_values_to_predict() -> None:
    labels, answers = THREE, THREE + RNG.normal(size=ROWS)
    assert measured(rai.audit_predictions(labels, answers, head="value"), "r2") == pytest.approx(
        r2_score(labels, answers), abs=1e-9
    )
    with pytest.raises(rai.InputError, match='pass head="value"'):
        rai.audit_predictions(labels, answers)


def test_torch_predictions_may_hang_on_a_graph() -> None:
    torch = pytest.importorskip("torch")
    found = rai.audit_predictions(torch.tensor(LABELS), torch.tensor(SCORES, requires_grad=True))
    assert measured(found) == pytest.approx(RIGHT, abs=1e-9)


def test_a_pipeline_may_name_the_columns_of_a_frame_of_numbers() -> None:
    model = make_pipeline(make_column_transformer((StandardScaler(), ["a", "b"])), LogisticRegression())
    model.fit(FRAME, LABELS)
    assert measured(rai.audit(model, FRAME, LABELS)) == pytest.approx(model.score(FRAME, LABELS), abs=1e-9)


def test_a_model_is_asked_in_the_callers_precision() -> None:
    identifiers = (10**9 + np.arange(ROWS))[:, None]
    assert measured(rai.audit(lambda rows: rows[:, 0] % 2.0, identifiers, np.arange(ROWS) % 2)) == 1.0


LATE = {"nan": np.nan, "out of range": 7.0}


@pytest.mark.parametrize("late", LATE)
def test_a_bad_answer_after_the_first_rows_is_the_callers_error(late: str) -> None:
    answers = np.where(np.arange(ROWS) == ROWS - 1, LATE[late], SCORES)

    def model(rows: np.ndarray) -> np.ndarray:
        return answers[rows[:, 0].astype(int)]

    with pytest.raises(rai.InputError, match="row 300" if late == "nan" else "0 to 1"):
        rai.audit(model, np.arange(ROWS)[:, None], LABELS)


def test_a_function_that_answers_with_numbered_classes_is_refused() -> None:
    with pytest.raises(rai.InputError, match="the classes 1 and 2 themselves"):
        rai.audit(lambda rows: np.where(rows[:, 0] > 5, 2, 1), FRAME.to_numpy(), LABELS + 1)


def test_scores_that_look_like_percentages_are_doubted() -> None:
    report = rai.audit_predictions(LABELS, SCORES * 100)
    assert "percentages" in report.record.identity.head_reason


BAD: dict[str, Callable[[], object]] = {
    "too few scores": lambda: rai.audit_predictions(LABELS, SCORES[1:]),
    "scores in another order": lambda: rai.audit_predictions(
        pd.Series(LABELS), pd.Series(SCORES, index=range(ROWS, 0, -1))
    ),
    "complex scores": lambda: rai.audit_predictions(LABELS, SCORES + 0j),
    "ragged scores": lambda: rai.audit_predictions(LABELS, [[1], [1, 2]] * (ROWS // 2)),
    "one score": lambda: rai.audit_predictions(LABELS, 0.5),
    "no scores": lambda: rai.audit_predictions(LABELS, None),
    "no labels": lambda: rai.audit(lambda rows: rows[:, 0], FRAME, None),
    "positive": lambda: rai.audit_predictions(LABELS, SCORES, positive="maybe"),
    "threshold": lambda: rai.audit_predictions(LABELS, SCORES, threshold=2),
    "threshold as text": lambda: rai.audit_predictions(LABELS, SCORES, threshold="0.5"),
    "classes as text": lambda: rai.audit_predictions(LABELS, SCORES, classes="01"),
    "name": lambda: rai.audit_predictions(LABELS, SCORES, name=3),
    "bands": lambda: rai.audit_predictions(LABELS, SCORES, sensitive_features=FRAME["b"], bands=[0]),
    "bands of text": lambda: rai.audit_predictions(LABELS, SCORES, sensitive_features=FRAME["b"], bands={"b": "0"}),
    "one cut": lambda: rai.audit_predictions(LABELS, SCORES, sensitive_features=FRAME["b"], bands={"b": 0}),
    "metrics": lambda: rai.audit_predictions(LABELS, SCORES, metrics=[accuracy_score]),
    "metrics by place": lambda: rai.audit_predictions(LABELS, SCORES, metrics={"mine": "a:b"}),
    "seed": lambda: rai.audit_predictions(LABELS, SCORES, random_state=-1),
    "no seed": lambda: rai.audit_predictions(LABELS, SCORES, random_state=None),
    "reference": lambda: rai.audit(lambda rows: rows["a"] / 10, FRAME, LABELS, reference=FRAME),
}


@pytest.mark.parametrize("name", BAD)
def test_misuse_is_one_clear_line(name: str) -> None:
    with pytest.raises(rai.InputError) as caught:
        BAD[name]()
    assert "\n" not in str(caught.value)
    assert "np." not in str(caught.value)


def test_options_are_taken_as_numpy_and_truth_values_give_them() -> None:
    report = rai.audit_predictions(LABELS.astype(bool), SCORES, positive=True, random_state=np.int64(3))
    assert report.record.identity.positive == "True"
    assert report.record.identity.seed == 3
