"""What predictions use is measured, what training used is read, and nobody is told what nobody knows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rai
from rai import intake
from rai.audits import energy, find
from rai.audits.energy import usage
from rai.card import Head
from rai.energy import Reading, account
from rai.errors import InputError
from rai.evidence import Evidence, Measurement
from rai.ledger import Energy, Fingerprint, Ledger
from rai.policy import Verdict, judge, read_policy
from rai.report import Report
from rai.run import Plan, try_case
from rai.subject import Subject, Trust

Make = Callable[..., Subject]
TRAINED = Reading(40.0, 15.0, 150.0, "CPU seconds × watts", {"CPU seconds": 10.0}, seconds=12.0, cpu_seconds=10.0)
FLOPS = 1.07e11


@dataclass(frozen=True)
class Busy:
    """A model that keeps one thread busy for so many seconds a row."""

    seconds: float
    head: Head = Head.PROBABILITY
    trust: Trust = "in memory"

    def scores(self, inputs: Any) -> np.ndarray:
        began = time.process_time()
        while time.process_time() < began + self.seconds * len(inputs):
            pass
        return np.full((len(inputs), 1), 0.5)

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        raise NotImplementedError


def ledger(spent: Energy | None, recipe: Mapping[str, Any] | None = None) -> Ledger:
    return Ledger("0.1", "", "", Fingerprint(800, "ab"), recipe or {}, 0, (), 12.0, 10.0, {}, energy=spent)


def measured(subject: Subject) -> dict[str, Measurement]:
    return {each.name: each for each in energy.measure(subject).measurements}


def verdicts(found: Evidence) -> dict[str, Verdict]:
    said = judge(read_policy("default"), found.measurements, {}, "binary")
    return {each.rule.id: each.verdict for each in said if each.rule.id.startswith("ENER")}


@pytest.fixture
def subject(make_subject: Make) -> Subject:
    return make_subject(np.tile([0.2, 0.8], 100), np.tile([0, 1], 100))


@pytest.mark.parametrize("seconds", [2e-5, 2e-4, 2e-3])
def test_what_a_prediction_uses_is_found_again(subject: Subject, seconds: float) -> None:
    """A row takes so many CPU seconds, hence four times as many joules; the loop stops a little late."""
    found = measured(replace(subject, model=Busy(seconds)))
    one = found["joules_per_prediction"]
    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    assert 0.99 <= one.value / (4 * seconds) <= 1.3
    assert one.low <= 1.5 * seconds * 1.3
    assert one.high >= 15 * seconds
    thousand = found["grams_per_1000_predictions"]
    assert thousand.value == pytest.approx(1000 * one.value / 3.6e6 * 475)


def test_a_model_that_takes_its_time_is_asked_once_and_has_no_interval(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "DEADLINE", 0.0)
    one = measured(replace(subject, model=Busy(2e-3)))["joules_per_prediction"]
    assert one.value == pytest.approx(8e-3, rel=0.3)
    assert (one.low, one.high) == (None, None)
    assert one.reason == "one repeat took so long that there was no second"


def test_without_a_ledger_training_is_unmeasured_and_it_says_what_to_do(subject: Subject) -> None:
    found = energy.measure(subject)
    for name in ("training_kwh", "training_grams", "training_joules_per_flop", "lifetime_grams"):
        one = next(each for each in found.measurements if each.name == name)
        assert one.value is None
        assert "train with rai train, place ledger.json beside the model, or in Python pass ledger=" in one.reason
    assert verdicts(found) == {
        "ENER-01": Verdict.PASS,
        "ENER-02": Verdict.UNMEASURED,
        "ENER-03": Verdict.UNMEASURED,
    }
    assert any("world average, assumed" in each for each in found.caveats)


def test_a_ledger_without_energy_says_what_to_add(subject: Subject) -> None:
    found = measured(replace(subject, ledger=ledger(None)))
    assert found["training_kwh"].reason == "the ledger holds no energy: train with a table [energy] in the recipe"


def test_the_ledger_speaks_for_training_and_for_the_place(subject: Subject) -> None:
    spent = account(TRAINED, country="POL", flops=FLOPS)
    told = ledger(spent, {"energy": {"predictions": 5000}})
    evidence = energy.measure(replace(subject, model=Busy(2e-4), ledger=told))
    found = {each.name: each for each in evidence.measurements}
    assert (found["training_kwh"].value, found["training_kwh"].low) == (spent.kwh, spent.low)
    assert found["training_grams"].value == spent.grams + spent.embodied_grams
    assert found["training_joules_per_flop"].value == pytest.approx(40 / FLOPS)
    one = found["grams_per_1000_predictions"].value
    assert one is not None
    assert one == pytest.approx(1000 * 8e-4 / 3.6e6 * 661.93, rel=0.3)
    whole, even = found["lifetime_grams"].value, found["break_even_predictions"].value
    assert whole is not None
    assert even is not None
    assert whole == pytest.approx(found["training_grams"].value + 5 * one)
    assert even == pytest.approx(found["training_grams"].value / one * 1000)
    assert [each.kind for each in evidence.exhibits] == ["table", "curve"]
    assert any(each.startswith("Place: Poland, 661.93 g CO2e/kWh") for each in evidence.caveats)


@pytest.mark.parametrize(
    ("factor", "rule", "verdict"),
    [(1.0, "ENER-02", "pass"), (1e7, "ENER-02", "fail"), (1.0, "ENER-03", "pass"), (1e-4, "ENER-03", "fail")],
)
def test_waste_and_a_broken_meter_fail_their_rules(subject: Subject, factor: float, rule: str, verdict: str) -> None:
    planted = replace(TRAINED, joules=40.0 * factor, low=15.0 * factor, high=150.0 * factor)
    found = energy.measure(replace(subject, ledger=ledger(account(planted, country="FRA", flops=FLOPS))))
    assert verdicts(found)[rule] == verdict
    assert any("implausible" in each for each in found.caveats) == (factor != 1.0)


def test_every_bound_holds_its_value(subject: Subject) -> None:
    told = ledger(account(TRAINED, flops=FLOPS))
    for each in measured(replace(subject, model=Busy(1e-4), ledger=told)).values():
        assert each.value is not None
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high


def test_the_making_of_the_hardware_is_charged_by_time(subject: Subject) -> None:
    """On a grid without emissions only the machine's making is left: 1,000 rows take 0.2 s or more of it."""
    spent = account(TRAINED, intensity=0.0, embodied_kg=1000.0, flops=FLOPS)
    found = measured(replace(subject, model=Busy(2e-4), ledger=ledger(spent)))
    one, rate = found["grams_per_1000_predictions"].value, spent.embodied_grams / 12.0
    assert one is not None
    assert rate > 0
    assert one >= 0.99 * 0.2 * rate
    assert found["training_grams"].value == spent.embodied_grams


def audited() -> Report:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 2)).astype(np.float32), np.tile([0, 1], 30)
    given = intake.from_objects(
        lambda X: 1 / (1 + np.exp(-np.asarray(X)[:, 0])),
        rows,
        labels,
        sensitive_features=None,
        options=intake.Options(),
    )
    return try_case(given, find(("energy", "performance")), Plan(read_policy("default")))


def test_measured_energy_stays_out_of_the_digest_and_is_sealed_all_the_same(tmp_path: Path) -> None:
    first, second = audited(), audited()
    assert first.record.digest == second.record.digest
    assert first.record.run.unrepeatable != second.record.run.unrepeatable
    path = first.save(tmp_path / "report.json", format="json")
    assert Report.read(path).record == first.record
    one = next(each for each in first.record.measurements if each.name == "joules_per_prediction")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(repr(one.value), "1e-12"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(InputError, match="was altered after it was written"):
        Report.read(path)


def test_evidence_that_repeats_cannot_be_called_unrepeatable_afterwards(tmp_path: Path) -> None:
    report = audited()
    path = report.save(tmp_path / "report.json", format="json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"repeatable": true', '"repeatable": false', 1), encoding="utf-8")
    with pytest.raises(InputError, match="was altered after it was written"):
        Report.read(path)


def test_predictions_alone_use_nothing_that_could_be_measured() -> None:
    report = rai.audit_predictions(np.tile([0, 1], 30), np.tile([0.2, 0.8], 30))
    section = next(each for each in report.sections if each.name == "energy")
    assert section.problem == "not measured: it needs the features; only predictions were given"
    assert report.record.run.unrepeatable == ""
