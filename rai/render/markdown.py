"""The report as Markdown of at most 60 kB, for job summaries and pull requests."""

import re
from collections.abc import Iterable, Sequence

from rai.evidence import Exhibit, Text
from rai.policy import Finding
from rai.record import Record, Section
from rai.render import cards, verdicts
from rai.render.tables import Cell, measured
from rai.render.verdicts import MARKS
from rai.render.words import counted, estimate, figure, interval, sentence, short, smallest, titled

LARGEST = 60_000
CAPS = (100_000, 200, 60, 20, 5, 0)
LONGEST = 300
MOST_TOLD = 160
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&]|:(?=//)|(?<=www)\.)")
HEAD = ("Check", "Result", "Estimate", "95 % interval", "Requirement", "Smallest n", "Why")


def markdown(record: Record) -> str:
    """Draw the report with as many rows a table as fit into 60 kB; what is left out is counted."""
    for cap in CAPS:
        text = _draw(record, cap)
        if len(text.encode()) <= LARGEST:
            return text
    return text.encode()[: LARGEST - 8].decode(errors="ignore") + "…\n"


def tame(text: object) -> str:
    """Text from strangers on one line, with every sign that Markdown or HTML would obey escaped."""
    return SPECIAL.sub(r"\\\1", short(text, LONGEST))


def code(text: str) -> str:
    """A digest in a code span; signs that no digest has are shown as `?`."""
    return f"`{re.sub('[^0-9A-Za-z ]', '?', short(text, LONGEST))}`"


def _draw(record: Record, cap: int) -> str:
    blocks = [*_opening(record), *_checks(record, cap), *_cards(record)]
    for section in verdicts.worst_sections_first(record).sections:
        blocks += _section(section, cap)
    return "\n\n".join([*blocks, f"Digest {code(record.digest or 'not sealed')}"]) + "\n"


def _opening(record: Record) -> list[str]:
    it, law = record.identity, record.policy
    identity = (
        f"Model **{tame(it.name or 'unnamed')} {tame(it.version)}** · Policy **{tame(law.name)} {tame(law.version)}**"
    )
    when = f" · {tame(record.run.date)}" if record.run.date else ""
    mark = MARKS[record.verdict]
    code = ["**The model file carries code.**"] if it.trust == "carries code" else []
    told = " ".join([verdicts.statement(record), *verdicts.particulars(record)])
    reason = f"Exit code {record.exit_code.value}, because {verdicts.exit_reason(record)}."
    return [
        f"# {mark.glyph} Verdict: {mark.word}",
        f"{identity}{when} · {tame(verdicts.report_id(record))}",
        tame(told),
        *code,
        reason,
    ]


def _checks(record: Record, cap: int) -> list[str]:
    found = verdicts.worst_first(record)
    rows = [_check(each) for each in found[: max(cap, 20)]]
    return ["## Checks", *_table(HEAD, rows, left=len(found) - len(rows))]


def _check(finding: Finding) -> list[str]:
    found, rule, mark = finding.measurement, finding.rule, MARKS[finding.verdict]
    least = smallest(found)
    return [
        f"{rule.id} {titled(finding)}",
        f"{mark.glyph} {mark.word}" + ("" if rule.blocking else " (does not decide)"),
        estimate(found, rule),
        interval(found, rule),
        rule.requirement,
        "" if least is None else figure(least, 0),
        finding.reason,
    ]


def _cards(record: Record) -> list[str]:
    entries = [*cards.audited(record), *cards.decisions(record)]
    hashes = [f" {code(each.sha256[:12])}" if each.sha256 else "" for each in entries]
    told = [f"- {tame(each.label)}: {tame(each.text)}{sha}" for each, sha in zip(entries, hashes, strict=True)]
    left = [f"- {tame(each)}" for each in cards.uncovered(record)]
    return [
        "## What was audited, and who decides",
        "\n".join(told),
        "## What this report does not cover",
        "\n".join(left),
    ]


def _section(section: Section, cap: int) -> list[str]:
    blocks = [f"## {tame(section.question)}"]
    blocks += [tame(sentence(section.problem))] if section.problem else []
    exhibits = section.evidence.exhibits if section.evidence and cap else ()
    blocks += ["\n".join(_exhibit(each) for each in exhibits)] if exhibits else []
    if section.evidence and section.evidence.measurements:
        sheet = measured(section.evidence)
        blocks += _table(sheet.columns, (_texts(row) for row in sheet.rows[:cap]), left=len(sheet.rows) - cap)
        blocks += ["\n".join(f"- {tame(note)}" for note in sheet.notes)] if sheet.notes and cap else []
    return blocks


def _exhibit(exhibit: Exhibit) -> str:
    """What a chart shows, in its own words: Markdown draws none."""
    told = exhibit.text if isinstance(exhibit, Text) else exhibit.alt
    return f"- **{tame(exhibit.title)}.** {tame(short(told, MOST_TOLD))}"


def _texts(row: Iterable[Cell]) -> list[str]:
    return [cell.text for cell in row]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> list[str]:
    lines = [_line(row) for row in rows]
    table = ["\n".join([_line(columns), _line(["---"] * len(columns)), *lines])] if lines else []
    return table + ([f"{counted(left, 'more row')} in report.json."] if left > 0 else [])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(tame(cell) for cell in cells)} |"
