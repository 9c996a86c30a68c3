"""A ledger beside the model is read, held against it, and refused by name when it is not that model's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import rai
from rai.files import ENDED, sha256
from rai.ledger import Epoch, Fingerprint, Ledger, Privacy, write_ledger
from rai.policy import Verdict
from rai.record import Section


@pytest.fixture
def ledger(loans: Path) -> Ledger:
    privacy = Privacy("record", 3.0, 1e-5, 1.1, 1.0, 256 / 60_000, 20_000, 10.0, "PLD")
    return Ledger(
        rai="1.0",
        made="2026-01-02 03:04 UTC",
        model=sha256(loans / "model.pt"),
        data=Fingerprint(600, "ab" * 32, "train.csv", sha256(loans / "train.csv")),
        recipe={"fit": {"epochs": 2}},
        seed=0,
        epochs=(Epoch(1, 0.6), Epoch(2, 0.5)),
        seconds=1.0,
        cpu_seconds=1.0,
        versions={},
        privacy=privacy,
    )


def audited(rai_command: Callable[..., object], loans: Path) -> tuple[Section, rai.Report]:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", "--format", "json", "-q")
    assert done.code in (0, 1, 4), done.err
    report = rai.Report.read(loans / "out" / "report.json")
    return next(each for each in report.sections if each.name == "training"), report


@pytest.mark.parametrize("name", ["ledger.json", "model.ledger.json"])
def test_a_ledger_is_read_and_judged(rai_command, loans: Path, ledger: Ledger, name: str) -> None:
    write_ledger(ledger, loans / name)
    section, report = audited(rai_command, loans)
    found = {each.name: each for each in section.evidence.measurements}
    assert found["epsilon"].value == 3.0
    assert found["generalisation_gap"].value is not None
    assert next(each.verdict for each in report.findings if each.rule.id == "TRAIN-01") is Verdict.PASS


def test_without_a_ledger_the_rules_read_unmeasured(rai_command, loans: Path) -> None:
    section, report = audited(rai_command, loans)
    assert section.evidence is None
    found = [each for each in report.findings if each.rule.id.startswith("TRAIN")]
    assert {each.verdict for each in found} == {Verdict.UNMEASURED}
    assert all("place ledger.json beside the model" in each.reason for each in found)


def refused(rai_command: Callable[..., object], loans: Path) -> str:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out")
    assert done.code == 2
    assert not (loans / "out").exists()
    lines = done.err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_one_changed_byte_stops_the_audit(rai_command, loans: Path, ledger: Ledger) -> None:
    path = loans / "ledger.json"
    write_ledger(ledger, path)
    path.write_text(path.read_text().replace('"epsilon": 3.0', '"epsilon": 1.0', 1))
    said = refused(rai_command, loans)
    assert f"{path}: its seal does not match" in said


def test_a_ledger_beside_another_model_stops_the_audit(rai_command, loans: Path, ledger: Ledger) -> None:
    write_ledger(replace(ledger, model="0" * 64), loans / "ledger.json")
    said = refused(rai_command, loans)
    assert f"{loans / 'ledger.json'}: this ledger was written for the model file with SHA-256 000000000000…" in said
    assert sha256(loans / "model.pt")[:12] in said


@pytest.mark.parametrize("missing", [[], ["model.pt"], ["model.pt", "model.toml"]], ids=str)
def test_a_training_cut_off_at_its_end_stops_the_audit(rai_command, loans: Path, missing: list[str]) -> None:
    """Whatever is in place already, one line says what to do."""
    (loans / ENDED).mkdir()
    (loans / ENDED / "model.pt").write_bytes(b"waits")
    for name in missing:
        (loans / name).unlink()
    said = refused(rai_command, loans)
    assert f"{loans / 'model.pt'}: its training ended and was cut off" in said
    assert "run rai train RECIPE --resume again" in said


def test_another_model_beside_such_files_is_audited(rai_command, loans: Path) -> None:
    (loans / ENDED).mkdir()
    (loans / ENDED / "other.pt").write_bytes(b"waits")
    audited(rai_command, loans)


def test_a_changed_ledger_is_not_taken_from_the_journal(rai_command, loans: Path, ledger: Ledger) -> None:
    """Two audits on the same model and data, between them another promise: the second report tells the second."""
    from rai.intake import Choices
    from rai.policy import read_policy
    from rai.run import Plan, audit_files

    told = []
    for epsilon in (3.0, 4.0):
        write_ledger(replace(ledger, privacy=replace(ledger.privacy, epsilon=epsilon)), loans / "ledger.json")
        plan = Plan(read_policy("default"), only=("training",), journal=loans / "journal")
        report = audit_files(loans / "model.pt", Choices(), plan)
        told += [each.value for each in report.record.measurements if each.name == "epsilon"]
    assert told == [3.0, 4.0]
