"""A baseline named in the card, or handed in, is tried on the same rows; one for another question is refused."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import rai
from rai.errors import InputError
from rai.intake import Case, Choices, from_files
from rai.models.baseline import Baseline

RNG = np.random.default_rng(0)
ROWS = 300
FRAME = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "sex": RNG.choice(["f", "m"], ROWS)})
FRAME["y"] = np.where(FRAME.a + RNG.normal(size=ROWS) > 0, "yes", "no")
NUMBERS = '[[columns]]\nname = "{}"\nkind = "number"\n'
SEX = '[[columns]]\nname = "sex"\nkind = "category"\ncategories = ["f", "m"]\n'
CARD = """\
task = "{task}"
classes = {classes}
head = "logit"
threshold = {threshold}
{more}
[network]
kind = "mlp"
arguments = {{ inputs = {inputs}, outputs = 1, hidden = [] }}
[data]
test = "test.csv"
target = "y"
sensitive = ["sex"]
{columns}
"""


@dataclass(frozen=True)
class House:
    """A folder with test rows, in which models and their cards are put."""

    folder: Path

    def model(self, name: str, inputs: int, *, bias: float = 0.0) -> Path:
        """A logistic model of the first input, its weights as a state dict."""
        net = nn.Sequential(nn.Linear(inputs, 1))
        with torch.no_grad():
            net[0].weight.copy_(torch.eye(1, inputs))
            net[0].bias.fill_(bias)
        torch.save(net.state_dict(), self.folder / f"{name}.pt")
        return self.folder / f"{name}.pt"

    def card(self, name: str, *columns: str, **fields: Any) -> None:
        """A card of these columns."""
        written = "".join(SEX if each == "sex" else NUMBERS.format(each) for each in columns)
        text = CARD.format(
            inputs=len(columns) + ("sex" in columns),
            **{"task": "binary", "classes": '["no", "yes"]', "threshold": 0.5, "more": "", **fields},
            columns=written,
        )
        (self.folder / f"{name}.toml").write_text(text, encoding="utf-8")

    def case(self) -> Case:
        """The model `after` as it is taken in."""
        return from_files(self.folder / "after.pt", Choices())


@pytest.fixture
def house(tmp_path: Path) -> House:
    FRAME.to_csv(tmp_path / "test.csv", index=False)
    made = House(tmp_path)
    made.model("after", 2)
    made.card("after", "a", "b", more='baseline = "before.pt"')
    return made


def baseline(case: Case) -> Baseline:
    assert isinstance(case.subject.baseline, Baseline)
    return case.subject.baseline


def test_the_baseline_decides_as_its_own_card_says(house: House) -> None:
    file = house.model("before", 2, bias=1.0)
    house.card("before", "a", "b", threshold=0.7)
    case = house.case()
    found = baseline(case)
    assert (found.threshold, str(found.head), found.inputs) == (0.7, "logit", None)
    assert found.scores(case.subject.data.inputs)[:, 0] == pytest.approx(FRAME.a + 1.0, abs=1e-6)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    note = next(each for each in case.identity.notes if "baseline" in each)
    assert "before.pt" in note
    assert digest in note
    assert "threshold 0.7" in note


def test_the_section_compares_the_two_files(house: House) -> None:
    house.model("before", 2, bias=1.0)
    house.card("before", "a", "b")
    from rai.audits import find
    from rai.run import examine

    section = examine(find(["mitigation"])[0], house.case().subject)
    found = {each.name: each for each in section.evidence.measurements if not each.facet}
    yes = FRAME.y == "yes"
    assert found["accuracy_before"].value == pytest.approx(np.mean((FRAME.a + 1 >= 0) == yes))
    assert found["accuracy_after"].value == pytest.approx(np.mean((FRAME.a >= 0) == yes))
    assert any("before.pt" in each for each in section.evidence.caveats)


def test_a_column_needed_at_predict_is_not_handed_to_the_baseline(house: House) -> None:
    house.model("after", 4)
    house.card("after", "a", "sex", "b", more='baseline = "before.pt"\nneeded_at_predict = ["sex"]')
    house.model("before", 2)
    house.card("before", "b", "a")
    case = house.case()
    found = baseline(case)
    assert found.inputs == (3, 0)
    assert found.scores(case.subject.data.inputs)[:, 0] == pytest.approx(FRAME.b, abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "columns", "named"),
    [
        ({"classes": '["yes", "no"]'}, ("a", "b"), "key classes of the baseline is yes, no"),
        ({"more": 'positive = "no"'}, ("a", "b"), "key positive of the baseline is 'no'"),
        ({"task": "multiclass", "classes": '["no", "yes", "so"]'}, ("a", "b"), "key task"),
        ({}, ("a", "c"), "key columns of the baseline is a, c, and of the model a, b"),
        ({}, ("a",), "key columns of the baseline is a, and of the model a, b"),
        ({}, ("a", "b", "sex"), "key columns"),
    ],
)
def test_a_baseline_for_another_question_is_refused(
    house: House, fields: dict[str, str], columns: tuple[str, ...], named: str
) -> None:
    house.model("before", 2)
    house.card("before", *columns, **fields)
    with pytest.raises(InputError) as raised:
        house.case()
    assert named in str(raised.value)
    assert "before.toml" in str(raised.value)


def test_a_column_encoded_otherwise_is_refused(house: House) -> None:
    house.model("before", 2)
    house.card("before", "a", "b")
    card = house.folder / "before.toml"
    card.write_text(card.read_text() + "mean = 2.0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"key columns\.1\.mean of the baseline is 2\.0, and of the model 0\.0"):
        house.case()


def test_what_a_person_can_change_of_a_column_may_differ(house: House) -> None:
    house.model("before", 2)
    house.card("before", "a", "b")
    card = house.folder / "before.toml"
    card.write_text(card.read_text() + "immutable = true\n", encoding="utf-8")
    assert baseline(house.case()).inputs is None


@pytest.mark.parametrize("lacking", ["before.pt", "before.toml"])
def test_a_baseline_that_is_not_there_is_named(house: House, lacking: str) -> None:
    house.model("before", 2)
    house.card("before", "a", "b")
    (house.folder / lacking).unlink()
    with pytest.raises(InputError) as raised:
        house.case()
    assert lacking in str(raised.value)


def test_a_baseline_that_answers_with_nan_is_refused_at_once(house: House) -> None:
    house.model("before", 2, bias=float("nan"))
    house.card("before", "a", "b")
    with pytest.raises(InputError):
        house.case()


def told(report: rai.Report) -> dict[str, Any]:
    found = next(each for each in report.sections if each.name == "mitigation")
    assert found.evidence is not None, found.problem
    return {each.name: each for each in found.evidence.measurements if not each.facet}


def test_a_baseline_can_be_handed_in() -> None:
    def model(bias: float) -> Callable[[Any], Any]:
        return lambda X: 1 / (1 + np.exp(-(np.asarray(X)[:, 0] + bias)))

    X, y = FRAME[["a", "b"]].to_numpy(), (FRAME.y == "yes").astype(int)
    report = rai.audit(model(0.0), X, y, sensitive_features=FRAME[["sex"]], baseline=model(1.0))
    assert told(report)["accuracy_before"].value == pytest.approx(np.mean((FRAME.a + 1 >= 0) == y))
    assert told(report)["accuracy_after"].value == pytest.approx(np.mean((FRAME.a >= 0) == y))
    assert any("baseline" in each for each in report.record.identity.notes)


def test_scores_can_be_compared_without_models() -> None:
    y = (FRAME.y == "yes").astype(int)
    after, before = (1 / (1 + np.exp(-(FRAME.a + bias))) for bias in (0.0, 1.0))
    report = rai.audit_predictions(y, after, sensitive_features=FRAME[["sex"]], baseline=before)
    assert told(report)["accuracy_change"].value == pytest.approx(
        np.mean((after >= 0.5) == y) - np.mean((before >= 0.5) == y)
    )
    with pytest.raises(InputError):
        rai.audit_predictions(y, after, sensitive_features=FRAME[["sex"]], baseline=before[:10])


def test_a_report_without_mitigation_says_what_to_do_and_decides_as_before() -> None:
    y = (FRAME.y == "yes").astype(int)
    score = 1 / (1 + np.exp(-FRAME.a))
    report = rai.audit_predictions(y, score, sensitive_features=FRAME[["sex"]])
    section = next(each for each in report.sections if each.name == "mitigation")
    assert "name it as baseline in the card" in section.problem
    findings = [each for each in report.findings if each.rule.id.startswith("MIT-")]
    assert {each.verdict for each in findings} == {"unmeasured"}
    assert not any(each.rule.blocking for each in findings)
