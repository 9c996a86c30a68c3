"""The verdict and the checks in a terminal: glyph, word and colour, never colour alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rai.errors import plain
from rai.policy import Finding, Verdict
from rai.record import Record
from rai.render import verdicts
from rai.render.verdicts import MARKS
from rai.render.words import estimate, figure, interval, sentence, smallest, titled

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.UNSURE: "bold yellow",
    Verdict.UNMEASURED: "bold",
}
COLUMNS = ("Estimate", "95 % interval", "Requirement", "Smallest n")
WIDTHS = (75, 90)
"""How wide a terminal must be for the requirement, and for the smallest number of rows, to be shown too."""
NUMBER: Mapping[str, Any] = MappingProxyType({"justify": "right", "no_wrap": True})
REQUIREMENT: Mapping[str, Any] = MappingProxyType({"max_width": 14})
"""A requirement with two bounds is wrapped: in one line it would leave no room for the checks' names."""
MOST_ROWS = 60
"""Checks listed at most; report.json and report.html hold all."""


def summary(record: Record, console: Console) -> None:
    """Print the checks, worst first, then the verdict, what could be shown, and the exit code."""
    found = verdicts.worst_first(record)
    if found:
        console.print(_table(found[:MOST_ROWS], console))
    if len(found) > MOST_ROWS:
        console.print(said(f"and {len(found) - MOST_ROWS} more checks in the report", console))
    for line in _closing(record):
        console.print(said(line, console))
    console.print(_verdict(record, console))


def said(text: object, console: Console, style: str = "") -> Text:
    """Text of any origin as this terminal can show it: no markup, no control characters, no sign it lacks."""
    return Text(plain(text).encode(console.encoding, "replace").decode(console.encoding), style=style)


def _table(found: list[Finding], console: Console) -> Table:
    """Numbers are never cut: where the terminal is narrow, columns at the right are left out."""
    shown = len(COLUMNS) - sum(console.width < needed for needed in WIDTHS)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Result", no_wrap=True)
    table.add_column("Check", ratio=1, min_width=12, overflow="fold")
    for name in COLUMNS[:shown]:
        table.add_column(name, **(REQUIREMENT if name == "Requirement" else NUMBER))
    for each in found:
        table.add_row(*_row(each, console)[: 2 + shown])
    return table


def _row(finding: Finding, console: Console) -> list[Text]:
    rule, made = finding.rule, finding.measurement
    least = smallest(made)
    aside = "" if rule.blocking else " (does not decide)"
    numbers = ["-", "-"] if made is None or made.value is None else [estimate(made, rule), interval(made, rule)]
    told = [
        f"{rule.id} {titled(finding)}{aside}",
        *numbers,
        rule.requirement,
        "-" if least is None else figure(least, 0),
    ]
    return [_mark(finding.verdict, console), *(said(each, console) for each in told)]


def _mark(verdict: Verdict, console: Console) -> Text:
    mark = MARKS[verdict]
    glyph = mark.glyph if console.encoding.lower().startswith("utf") else mark.letter
    return said(f"{glyph} {mark.word}", console, STYLES[verdict])


def _closing(record: Record) -> list[str]:
    reasons = [f"{each.rule.id}: {sentence(each.reason)}" for each in record.findings if each.verdict is record.verdict]
    code = ["The model file carries code: loading it ran code that came with it."]
    stamp = code if record.identity.trust == "carries code" else []
    worst = [] if record.verdict is Verdict.PASS else reasons[:1]
    return ["", *stamp, verdicts.statement(record), *verdicts.particulars(record), *worst]


def _verdict(record: Record, console: Console) -> Text:
    reason = said(f"exit code {record.exit_code.value}, because {verdicts.exit_reason(record)}", console)
    return Text.assemble(_mark(record.verdict, console), ": ", reason)
