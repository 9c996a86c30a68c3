"""A ledger handed in with a model in memory is told as one beside a file is, but for what ties it to the model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import nn

import rai
from rai import intake, run
from rai.evidence import Evidence
from rai.ledger import Epoch, Ledger, Privacy, Run, read_ledger
from rai.policy import Verdict, read_policy
from rai.train import Fit, Trained, fit
from rai.training import train

RECIPE = """\
name = "sums"
[data]
train = "rows.csv"
target = "over"
[network]
arguments = { hidden = [4] }
[fit]
epochs = 2
[search]
method = "grid"
space = { "fit.learning_rate" = [0.01, 0.1] }
"""
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(int)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), (X, Y), settings=Fit(epochs=2))


def told(report: rai.Report, name: str = "training") -> Evidence | None:
    return next(each.evidence for each in report.sections if each.name == name)


def figures(found: Evidence) -> dict[str, Any]:
    return {each.name: each for each in found.measurements}


def test_what_training_promised_is_told_of_a_model_in_memory(trained: Trained) -> None:
    found = told(rai.audit(trained.model, X, Y, ledger=trained.ledger))
    weights = 3 * 4 + 4 + 4 * 1 + 1
    held = round(0.15 * len(X))
    assert figures(found)["parameters_per_row"].value == pytest.approx(weights / (len(X) - held))
    assert "handed in with the model in memory; the ledger is not bound to a file" in found.method
    assert "very model file" not in found.method
    loss = next(each for each in found.exhibits if each.kind == "curve")
    assert loss.lines[0].y == tuple(each.loss for each in trained.ledger.epochs)


@pytest.mark.parametrize(("epsilon", "verdict"), [(3.0, Verdict.PASS), (None, Verdict.UNMEASURED)])
def test_a_promise_handed_in_is_judged(trained: Trained, epsilon: float | None, verdict: Verdict) -> None:
    privacy = epsilon and Privacy("record", epsilon, 1e-5, 1.1, 1.0, 256 / 60_000, 20_000, 10.0, "PLD")
    report = rai.audit(trained.model, X, Y, ledger=replace(trained.ledger, privacy=privacy))
    assert figures(told(report))["epsilon"].value == epsilon
    assert next(each.verdict for each in report.findings if each.rule.id == "TRAIN-01") is verdict


def test_without_a_ledger_it_is_said_that_one_can_be_passed(trained: Trained) -> None:
    report = rai.audit(trained.model, X, Y)
    assert told(report) is None
    problem = next(each.problem for each in report.sections if each.name == "training")
    assert "in Python pass ledger=" in problem
    found = {each.verdict for each in report.findings if each.rule.id.startswith("TRAIN")}
    assert found == {Verdict.UNMEASURED}


def test_predictions_may_come_with_a_ledger(trained: Trained) -> None:
    found = told(rai.audit_predictions(Y, np.clip(X[:, 0] / 8 + 0.5, 0, 1), ledger=trained.ledger))
    assert "handed in with the predictions; the ledger is not bound to a file" in found.method


def test_a_ledger_says_the_same_from_memory_and_from_its_file(tmp_path: Path) -> None:
    """All but the gap, for which only a file shows that the reference rows are those of the training."""
    rows = pd.DataFrame(X.astype(float), columns=list("abc")).assign(over=np.where(Y, "yes", "no"))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    made = train(tmp_path / "recipe.toml")
    plan = run.Plan(read_policy("default"), only=("training",))
    filed = told(run.audit_files(made.model, intake.Choices(), plan))
    subject = intake.from_files(made.model, intake.Choices()).subject
    handed = told(
        rai.audit(subject.model.scores, subject.data.inputs, subject.data.labels, ledger=read_ledger(made.ledger))
    )
    assert {**figures(filed), "generalisation_gap": None} == {**figures(handed), "generalisation_gap": None}
    assert figures(filed)["generalisation_gap"].value is not None
    assert [each for each in filed.exhibits if each not in handed.exhibits] == []
    assert len(filed.exhibits) == len(handed.exhibits)
    first, second = (each.method.split(" Figures of privacy ") for each in (filed, handed))
    assert first[1] == second[1]
    assert "it names the very model file that is audited" in first[0]
    assert "not bound to a file" in second[0]


WRONG: dict[str, Callable[[Ledger], Any]] = {
    "a path": lambda _: "ledger.json",
    "all that training gave": lambda ledger: SimpleNamespace(ledger=ledger),
    "content": vars,
    "a loss that is no number": lambda ledger: replace(ledger, epochs=(Epoch(1, float("nan")),)),
    "a negative epsilon": lambda ledger: replace(ledger, runs=(Run({}, {}, -1.0),)),
    "a text for seconds": lambda ledger: replace(ledger, seconds="long"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_ledger_is_one_clear_line(trained: Trained, name: str) -> None:
    with pytest.raises(rai.InputError, match="ledger") as caught:
        rai.audit(trained.model, X, Y, ledger=WRONG[name](trained.ledger))
    assert "\n" not in str(caught.value)
