"""The report as one self-contained HTML page: strict content policy, no request, whole without its script."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rai.evidence import Exhibit, Heat, Table
from rai.policy import Finding
from rai.record import Record, Section
from rai.render import cards, charts, verdicts, words
from rai.render.charts import heat, interval
from rai.render.tables import Sheet, measured, sheet
from rai.render.verdicts import MARKS, Mark

ASSETS = Path(__file__).parent / "assets"
LARGEST_FRAGMENT = 48_000
MOST_FRAGMENT_CHECKS = 60
MOST_NARROW = 4
MOST_OPEN = 6


@dataclass(frozen=True)
class Check:
    """One finding as the checks table shows it. `section` is the anchor of the audit that measured it."""

    finding: Finding
    anchor: str
    section: str
    mark: Mark
    chart: Markup | None


@dataclass(frozen=True)
class Figure:
    """One exhibit: its chart where it has one, its numbers, and what a reader has to know."""

    exhibit: Exhibit
    chart: Markup | None
    sheet: Sheet | None
    note: str
    wide: bool


@dataclass(frozen=True)
class Part:
    """One audit as the page shows it; exhibits beyond the first few are folded."""

    section: Section
    anchor: str
    checks: tuple[Check, ...]
    shown: tuple[Figure, ...]
    folded: tuple[Figure, ...]
    sheet: Sheet | None


def page(given: Record) -> str:
    """Draw the whole report; equal records give equal pages."""
    record = verdicts.worst_sections_first(given)
    style, script = asset("report.css"), asset("report.js")
    anchors = _anchors(record)
    checks = _checks(record, anchors)
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            **_common(record),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=content_policy(style, script),
            checks=checks,
            parts=[_part(section, anchor, checks) for section, anchor in zip(record.sections, anchors, strict=True)],
            audited=cards.audited(record),
            uncovered=cards.uncovered(record),
            decisions=cards.decisions(record),
        )
    )


def fragment(record: Record) -> str:
    """Draw the verdict and the worst checks as a piece of HTML below 50 kB, without any script."""
    template = environment().get_template("fragment.html.jinja")
    checks = _checks(record, _anchors(record))
    style = Markup(asset("fragment.css"))  # noqa: S704 - our own file
    most = min(len(checks), MOST_FRAGMENT_CHECKS)
    while True:
        drawn = template.render(**_common(record), style=style, checks=checks[:most], left=len(checks) - most)
        if len(drawn.encode()) <= LARGEST_FRAGMENT or not most:
            return drawn
        most //= 2


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy of the page: nothing is loaded, only our own style and script run."""
    return (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def asset(name: str) -> str:
    """Our own style or script, as it stands in its file."""
    return (ASSETS / name).read_text(encoding="utf-8").strip()


def environment() -> Environment:
    """What draws our templates: everything written is escaped and visible, nothing may be left undefined."""
    made = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(words=words, MARKS=MARKS)
    return made


def _visible(value: Any) -> Any:
    """Whatever the template writes has its control characters shown; our own markup passes."""
    return value if isinstance(value, Markup) else words.visible(value)


def _common(record: Record) -> dict[str, Any]:
    return {
        "record": record,
        "mark": MARKS[record.verdict],
        "statement": verdicts.statement(record),
        "particulars": verdicts.particulars(record),
        "exit_reason": verdicts.exit_reason(record),
        "report_id": verdicts.report_id(record),
        "counts": verdicts.counts(record),
        "code": record.identity.trust == "carries code",
        "tier": cards.TIERS.get(record.identity.trust, record.identity.trust),
    }


def _anchors(record: Record) -> list[str]:
    """One anchor an audit: its name where that is plain and unused, a number otherwise."""
    names = [section.name for section in record.sections]
    tame = [name.isascii() and name.replace("_", "").isalnum() and names.count(name) == 1 for name in names]
    return [f"audit-{name}" if ok else f"audit-{i}" for i, (name, ok) in enumerate(zip(names, tame, strict=True), 1)]


def _checks(record: Record, anchors: list[str]) -> list[Check]:
    homes = {
        name: anchor for section, anchor in zip(record.sections, anchors, strict=True) for name in section.measures
    }
    return [
        Check(each, f"check-{i}", homes.get(each.rule.measurement, ""), MARKS[each.verdict], interval.draw(each))
        for i, each in enumerate(verdicts.worst_first(record), 1)
    ]


def _part(section: Section, anchor: str, checks: list[Check]) -> Part:
    own = tuple(check for check in checks if check.section == anchor)
    if section.evidence is None:
        return Part(section, anchor, own, (), (), None)
    figures = tuple(figure_of(each) for each in section.evidence.exhibits)
    most = MOST_OPEN if len(figures) > MOST_OPEN + 1 else len(figures)
    table = measured(section.evidence) if section.evidence.measurements else None
    return Part(section, anchor, own, figures[:most], figures[most:], table)


def figure_of(exhibit: Exhibit) -> Figure:
    """An exhibit with its chart and its numbers."""
    chart = charts.draw(exhibit)
    note = charts.note(exhibit) if chart else ""
    table = sheet(exhibit)
    wide = isinstance(exhibit, Heat) and chart is not None and heat.is_wide(exhibit)
    wide |= isinstance(exhibit, Table) and len(exhibit.columns) > MOST_NARROW
    return Figure(exhibit, chart, table, note, wide)
