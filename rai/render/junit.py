"""The verdicts as JUnit XML, for continuous integration: one test case a check, one for each audit that crashed."""

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rai.policy import Finding, Verdict
from rai.record import Record, Section
from rai.render.verdicts import MARKS, worst_first
from rai.render.words import estimate, interval, sentence, titled, visible

ILLEGAL = re.compile("[\ufffe\uffff]")


def junit(record: Record) -> str:
    """Draw the checks as JUnit XML.

    A deciding check that failed is a failure; one that is unsure or not measured is a failure of type "unsure" where
    the policy blocks on doubt and skipped where it does not. What does not decide never fails.
    """
    suite = Element("testsuite", name=legal(f"rai audit of {record.identity.name}"))
    for finding in worst_first(record):
        _case(suite, record, finding)
    for section in record.sections:
        if section.crashed:
            _crash(suite, section)
    suite.set("tests", str(len(suite)))
    for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"*/{kind}"))))
    indent(suite, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suite, encoding="unicode")}\n'


def legal(text: str) -> str:
    """The text with every character that XML 1.0 forbids shown as `?`."""
    return ILLEGAL.sub("?", visible(text))


def _case(suite: Element, record: Record, finding: Finding) -> None:
    name = legal(f"{finding.rule.id} {titled(finding)}")
    case = SubElement(suite, "testcase", classname=legal(f"rai.{_home(record, finding)}"), name=name)
    kind, type_ = outcome(finding, blocks=record.policy.unsure == "block")
    if kind:
        attributes = {"message": legal(f"{MARKS[finding.verdict].word}: {finding.reason}")} | (
            {"type": type_} if type_ else {}
        )
        SubElement(case, kind, attributes).text = legal(_details(finding))


def outcome(finding: Finding, *, blocks: bool) -> tuple[str, str]:
    """The element a finding becomes and its type; both empty for a pass."""
    if finding.verdict is Verdict.PASS:
        return "", ""
    if not finding.rule.blocking:
        return "skipped", ""
    if finding.verdict is Verdict.FAIL:
        return "failure", "fail"
    return ("failure", "unsure") if blocks else ("skipped", "")


def _home(record: Record, finding: Finding) -> str:
    return next((each.name for each in record.sections if finding.rule.measurement in each.measures), "policy")


def _details(finding: Finding) -> str:
    found, rule = finding.measurement, finding.rule
    told = [f"asked: {rule.requirement}", f"estimate: {estimate(found, rule)}", f"interval: {interval(found, rule)}"]
    return "\n".join([*told, f"why the bound stands: {sentence(rule.because)}"])


def _crash(suite: Element, section: Section) -> None:
    case = SubElement(suite, "testcase", classname=legal(f"rai.{section.name}"), name=legal(section.question))
    SubElement(case, "error", message=legal(section.problem), type="crashed")
