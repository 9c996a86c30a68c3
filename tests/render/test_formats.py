import io
import re
import subprocess
import sys
from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest
from rich.console import Console

from rai.evidence import Evidence, Measurement
from rai.policy import Finding, Rule, Verdict
from rai.record import Record, Section
from rai.render import render, summary
from rai.render.verdicts import worst_sections_first


def cases(record: Record) -> list[Element]:
    return list(fromstring(render(record, "junit").split("\n", 1)[1]))  # noqa: S314 - our own text


def judged(record: Record, verdict: Verdict, *, blocking: bool, unsure: str) -> Record:
    rule = Rule("R-1", "Rule", "roc_auc", "because", at_least=0.5, blocking=blocking)
    finding = Finding(rule, verdict, Measurement("roc_auc", 0.6, 0.4, 0.8, 90), "so")
    return replace(record, findings=(finding,), policy=replace(record.policy, unsure=unsure))


@pytest.mark.parametrize(
    ("verdict", "blocking", "unsure", "outcome"),
    [
        (Verdict.PASS, True, "block", None),
        (Verdict.PASS, False, "warn", None),
        (Verdict.FAIL, True, "block", ("failure", "fail")),
        (Verdict.FAIL, True, "warn", ("failure", "fail")),
        (Verdict.FAIL, False, "block", ("skipped", None)),
        (Verdict.UNSURE, True, "block", ("failure", "unsure")),
        (Verdict.UNMEASURED, True, "block", ("failure", "unsure")),
        (Verdict.UNSURE, True, "warn", ("skipped", None)),
        (Verdict.UNMEASURED, True, "warn", ("skipped", None)),
        (Verdict.UNSURE, False, "block", ("skipped", None)),
    ],
)
def test_junit_turns_each_verdict_into_its_outcome(
    record: Record,
    verdict: Verdict,
    blocking: bool,  # noqa: FBT001
    unsure: str,
    outcome: tuple[str, str | None] | None,
) -> None:
    made = judged(record, verdict, blocking=blocking, unsure=unsure)
    (case,) = cases(made)
    assert [(each.tag, each.get("type")) for each in case] == ([outcome] if outcome else [])
    assert (made.exit_code != 0) >= (outcome is not None and outcome[0] == "failure")


def test_junit_counts_what_it_holds_and_gives_a_crashed_audit_an_error(record: Record) -> None:
    crashed = Section("gone", "Gone?", (), None, "crashed: ValueError: no", crashed=True)
    made = replace(record, sections=(*record.sections, crashed))
    suite = fromstring(render(made, "junit").split("\n", 1)[1])  # noqa: S314 - our own text
    assert suite.get("tests") == str(len(record.findings) + 1) == str(len(suite))
    for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(plural) == str(len(suite.findall(f"*/{tag}")))
    (error,) = suite.findall("*/error")
    assert "ValueError: no" in (error.get("message") or "")


def tables(text: str) -> list[list[str]]:
    """The lines of each Markdown table."""
    blocks = [block.split("\n") for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


def test_markdown_has_a_checks_table_and_one_for_each_audit_that_measured(record: Record) -> None:
    found = tables(render(record, "md"))
    measured = [each for each in worst_sections_first(record).sections if each.evidence]
    assert len(found) == 1 + len(measured)
    assert len(found[0]) == 2 + len(record.findings)
    assert [len(table) - 2 for table in found[1:]] == [len(each.evidence.measurements) for each in measured]


def test_markdown_stays_below_60_kb_and_says_what_it_left_out(record: Record) -> None:
    many = tuple(Measurement(f"m{i}", 0.5, 0.4, 0.6, 9, {"group": "g" * 200}) for i in range(5000))
    made = replace(record, sections=(Section("s", "S?", (), Evidence(many)),), findings=record.findings * 100)
    drawn = render(made, "md")
    assert len(drawn.encode()) <= 60_000
    assert re.search(r"4,\d\d\d more rows in report.json", drawn)
    assert re.search(r"1,\d\d\d more rows in report.json", drawn)


def test_markdown_is_cut_when_nothing_else_helps(record: Record) -> None:
    sections = tuple(Section("s", "ü" * 400, (), None, "p" * 400) for _ in range(400))
    drawn = render(replace(record, sections=sections), "md")
    assert len(drawn.encode()) <= 60_000
    assert drawn.endswith("…\n")


def shown(record: Record, *, encoding: str = "utf-8", width: int = 140, color: bool = False) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None)
    summary(record, console)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_the_terminal_shows_every_check_with_glyph_and_word(record: Record) -> None:
    text = shown(record)
    for finding in record.findings:
        assert finding.rule.id in text
    for mark in ("✓ Pass", "✗ Fail", "? Unsure", "– Not measured"):
        assert mark in text
    assert "0.356    0.327 to 0.387  at least 0.8" in text
    assert text.rstrip().endswith("✗ Fail: exit code 1, because a deciding check failed")


def test_a_requirement_of_two_bounds_leaves_room_for_the_names_of_the_checks(record: Record) -> None:
    first = record.findings[0]
    wide = replace(first, rule=replace(first.rule, at_least=0.0000007, at_most=0.0010203))
    text = shown(replace(record, findings=(wide, *record.findings[1:])), width=80)
    for finding in record.findings:
        assert finding.rule.id in text


def test_a_terminal_without_unicode_gets_ascii(record: Record) -> None:
    text = shown(record, encoding="ascii")
    assert "x Fail" in text
    assert "- Not measured" in text


def test_color_adds_nothing_that_words_do_not_say(record: Record) -> None:
    colored = re.sub("\x1b\\[[0-9;]*m", "", shown(record, color=True))
    assert colored == shown(record)


def test_a_terminal_that_carries_code_says_so(record: Record) -> None:
    made = replace(record, identity=replace(record.identity, trust="carries code"))
    assert "carries code" in shown(made)
    assert "carries code" not in shown(record)


def test_naming_the_formats_imports_no_template_engine() -> None:
    code = "import sys, rai.render; assert not {'jinja2', 'rich', 'markupsafe'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)
