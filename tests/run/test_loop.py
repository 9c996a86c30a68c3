"""The loop: sections stand alone, equal inputs give equal bytes, and an audit cut short goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import rai
from rai import intake
from rai.audits import find
from rai.errors import InputError
from rai.policy import read_policy
from rai.record import ExitCode, Section, to_json
from rai.run import Plan, try_case

CRASH = '''"""Does it crash?"""
NEEDS = ()
MEASURES = ("crash_share",)
def measure(subject):
    raise RuntimeError("planted\\nwith a second line")
'''
NEEDY = '''"""Does it need?"""
NEEDS = ("reference",)
MEASURES = ("needy_share",)
def measure(subject):
    raise AssertionError("never reached")
'''
VANDAL = '''"""Does it write where it must not?"""
NEEDS = ()
MEASURES = ()
def measure(subject):
    subject.scores[:] = 0.0
'''
LIAR = '''"""Does it measure what it never declared?"""
from rai.evidence import Evidence, Measurement
NEEDS = ()
MEASURES = ("declared",)
def measure(subject):
    return Evidence((Measurement("accuracy", 1.0, 1.0, 1.0, 10),))
'''
LENIENT = """name = "lenient"
version = "1"
source = "test"
unsure = "block"
[[rules]]
id = "A"
title = "Accuracy"
measurement = "accuracy"
at_least = 0.1
because = "a test"
"""


def section(report: rai.Report, name: str) -> Section:
    return next(each for each in report.sections if each.name == name)


def others(report: rai.Report, *left_out: str) -> list[Section]:
    return [each for each in report.sections if each.name not in left_out]


@pytest.fixture
def lenient(tmp_path: Path) -> str:
    path = tmp_path / "lenient.toml"
    path.write_text(LENIENT, encoding="utf-8")
    return str(path)


def test_a_crash_leaves_the_other_sections_unchanged(people, plug: Callable[[str, str], None], lenient: str) -> None:
    alone = people.audit(policy=lenient)
    assert alone.exit_code is ExitCode.PASS
    plug("crash", CRASH)
    report = people.audit(policy=lenient)
    assert others(report, "crash") == list(alone.sections)
    assert report.exit_code is ExitCode.CRASHED
    assert section(report, "crash").problem == "crashed: RuntimeError: planted with a second line"


def test_a_missing_need_is_said_and_its_rule_is_unmeasured(
    people, plug: Callable[[str, str], None], lenient: str
) -> None:
    alone = people.audit(policy=lenient)
    plug("needy", NEEDY)
    path = Path(lenient)
    path.write_text(
        LENIENT + LENIENT[LENIENT.index("[[rules]]") :].replace('"A"', '"B"').replace('"accuracy"', '"needy_share"'),
        encoding="utf-8",
    )
    report = people.audit(policy=lenient)
    assert others(report, "needy") == list(alone.sections)
    assert "it needs reference rows" in section(report, "needy").problem
    assert report.exit_code is ExitCode.UNSURE
    assert "reference rows" in report.findings[0].reason


def test_an_audit_cannot_change_what_another_one_reads(people, plug: Callable[[str, str], None]) -> None:
    alone = people.audit()
    plug("vandal", VANDAL)
    report = people.audit()
    assert others(report, "vandal") == list(alone.sections)
    assert section(report, "vandal").crashed


def test_a_measurement_that_was_not_declared_is_a_crash(people, plug: Callable[[str, str], None]) -> None:
    plug("liar", LIAR)
    assert "does not declare" in section(people.audit(), "liar").problem


def test_nobody_may_shadow_an_audit(people, plug: Callable[[str, str], None]) -> None:
    plug("fairness", NEEDY)
    with pytest.raises(InputError, match="two audits are named 'fairness'"):
        people.audit()


def test_an_audit_that_cannot_be_loaded_stops_the_run(people, plug: Callable[[str, str], None]) -> None:
    plug("broken", "import nothing_of_this_name")
    with pytest.raises(InputError, match="audit broken .* cannot be loaded"):
        people.audit()


def test_equal_inputs_give_equal_bytes_and_the_date_stays_out_of_the_digest(people) -> None:
    first, second = people.audit(), people.audit()
    assert first.record.digest == second.record.digest
    stripped = [json.loads(each.to_json()) for each in (first, second)]
    for each in stripped:
        del each["run"]
    assert json.dumps(stripped[0]) == json.dumps(stripped[1])


def test_the_seed_moves_intervals_but_no_value(people) -> None:
    first, second = people.audit(random_state=0), people.audit(random_state=1)
    values = [[each.value for each in report.record.measurements] for report in (first, second)]
    assert values[0] == values[1]
    assert first.record.digest != second.record.digest


def test_the_order_of_audits_never_matters(people) -> None:
    case = intake.from_predictions(
        people.labels, people.scores, sensitive_features=people.groups, options=intake.Options()
    )
    plan = Plan(read_policy("default"))
    forwards = try_case(case, find(), plan)
    backwards = try_case(case, tuple(reversed(find())), plan)
    assert {each.name: each for each in forwards.sections} == {each.name: each for each in backwards.sections}


def test_an_audit_cut_short_goes_on_where_it_stopped(people, tmp_path: Path) -> None:
    case = intake.from_predictions(
        people.labels, people.scores, sensitive_features=people.groups, options=intake.Options()
    )
    whole = try_case(case, find(), Plan(read_policy("default")))
    seen: list[str] = []

    def interrupt(step) -> None:
        if step.seconds is None:
            seen.append(step.name)
            if len(seen) == 3:
                raise KeyboardInterrupt

    plan = Plan(read_policy("default"), journal=tmp_path / "journal", watch=interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_case(case, find(), plan)
    kept = sorted((tmp_path / "journal").glob("*.json"))
    assert len(kept) == 2
    stamps = [path.stat().st_mtime_ns for path in kept]
    measured_again: list[str] = []
    audits = tuple(_counted(each, measured_again) for each in find())
    resumed = try_case(case, audits, Plan(read_policy("default"), journal=tmp_path / "journal"))
    assert resumed.record.digest == whole.record.digest
    assert not set(measured_again) & set(seen[:2])
    assert len(stamps) == 2


def _counted(audit, names: list[str]):
    from dataclasses import replace

    def measure(subject):
        names.append(audit.name)
        return audit.measure(subject)

    return replace(audit, measure=measure)


def test_a_torn_journal_entry_is_measured_again(people, tmp_path: Path) -> None:
    case = intake.from_predictions(
        people.labels, people.scores, sensitive_features=people.groups, options=intake.Options()
    )
    plan = Plan(read_policy("default"), journal=tmp_path / "journal")
    whole = try_case(case, find(), plan)
    for path in (tmp_path / "journal").glob("*.json"):
        path.write_bytes(path.read_bytes()[:50])
    assert try_case(case, find(), plan).record.digest == whole.record.digest


def test_a_journal_of_another_model_is_not_used(people, tmp_path: Path) -> None:
    plan = Plan(read_policy("default"), journal=tmp_path / "journal")
    for scores in (people.scores, 1 - people.scores):
        case = intake.from_predictions(
            people.labels, scores, sensitive_features=people.groups, options=intake.Options()
        )
        report = try_case(case, find(), plan)
    expected = rai.audit_predictions(people.labels, 1 - people.scores, sensitive_features=people.groups)
    assert report.record.digest == expected.record.digest


def test_a_journal_knows_the_owners_metrics_apart(people, tmp_path: Path) -> None:
    plan, kept = Plan(read_policy("default"), only=("custom",), journal=tmp_path / "journal"), []
    for metric in (right, wrong):
        options = intake.Options(metrics={"mine": metric})
        case = intake.from_predictions(people.labels, people.scores, sensitive_features=None, options=options)
        frame = try_case(case, find(("custom",)), plan).to_frame()
        kept.append(frame.loc[frame["measurement"] == "mine", "value"].iloc[0])
    assert kept[0] == pytest.approx(1 - kept[1])
    assert kept[0] != kept[1]


def right(truth, decided) -> float:
    return float((truth == decided).mean())


def wrong(truth, decided) -> float:
    return float((truth != decided).mean())


def test_old_evidence_under_a_new_law(people, lenient: str) -> None:
    strict, judged = people.audit(), rai.judge_again(people.audit(), read_policy(lenient))
    direct = people.audit(policy=lenient)
    assert judged.sections == strict.sections
    assert judged.findings == direct.findings
    assert judged.exit_code is ExitCode.PASS
    assert to_json(judged.record).count("lenient") >= 1
