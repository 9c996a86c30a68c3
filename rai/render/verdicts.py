"""The verdict in words: what could be shown, what could not, and what the shell is told."""

from collections import Counter
from dataclasses import dataclass, replace

from rai.policy import Finding, Verdict
from rai.record import ExitCode, Record, Section
from rai.render.words import about, counted, listed, short

WORST_FIRST = (Verdict.FAIL, Verdict.UNSURE, Verdict.UNMEASURED, Verdict.PASS)
SHOWN_FIRST = (Verdict.PASS, Verdict.FAIL, Verdict.UNSURE, Verdict.UNMEASURED)
MOST_NAMED = 4


@dataclass(frozen=True)
class Mark:
    """How a verdict is shown: a glyph, an ASCII twin of it, and a word."""

    glyph: str
    letter: str
    word: str


MARKS = {
    Verdict.PASS: Mark("✓", "+", "Pass"),
    Verdict.FAIL: Mark("✗", "x", "Fail"),
    Verdict.UNSURE: Mark("?", "?", "Unsure"),
    Verdict.UNMEASURED: Mark("–", "-", "Not measured"),
}


def worst_first(record: Record) -> list[Finding]:
    """The findings in the order Fail, Unsure, Not measured, Pass; the policy's order within each."""
    return sorted(record.findings, key=lambda each: WORST_FIRST.index(each.verdict))


def worst_sections_first(record: Record) -> Record:
    """The record with its sections in the order of their worst check; those without evidence stand last."""
    order = sorted(record.sections, key=lambda each: (each.evidence is None, _rank(record, each)))
    return replace(record, sections=tuple(order))


def _rank(record: Record, section: Section) -> int:
    spoken = [each.verdict for each in record.findings if each.rule.measurement in section.measures]
    return min((WORST_FIRST.index(verdict) for verdict in spoken), default=len(WORST_FIRST))


def counts(record: Record) -> dict[Verdict, int]:
    """How many checks have each verdict."""
    found = Counter(each.verdict for each in record.findings)
    return {verdict: found[verdict] for verdict in SHOWN_FIRST}


def statement(record: Record) -> str:
    """One sentence: what the data could or could not show."""
    deciding = [each for each in record.findings if each.rule.blocking]
    if not deciding:
        return "No check that decides speaks of this model, so nothing was judged."
    verdict, total = record.verdict, len(deciding)
    if verdict is Verdict.PASS:
        return f"The data show that the model meets {_all(total)}."
    held = [each for each in deciding if each.verdict is verdict]
    share = f"{len(held)} of {counted(total, 'deciding check')}"
    return {
        Verdict.FAIL: f"The data show that the model misses {share}: {_named(held)}.",
        Verdict.UNSURE: f"The data cannot show whether the model meets {share}: {_named(held)}.",
        Verdict.UNMEASURED: f"{share} could not be measured: {_named(held)}.",
    }[verdict]


def _all(total: int) -> str:
    return "the one deciding check" if total == 1 else f"all {total} deciding checks"


def _named(findings: list[Finding]) -> str:
    """The rules' titles, each with what it is about: "Selection-rate ratio (sex, race)"."""
    named: dict[str, list[str]] = {}
    for each in findings:
        facet = about(each.measurement.facet if each.measurement else each.rule.where)
        named.setdefault(short(each.rule.title, 60), []).extend([short(facet, 40)] if facet else [])
    told = [f"{title} ({_some(facets)})" if facets else title for title, facets in named.items()]
    return listed(told[:MOST_NAMED] + _left(told))


def _some(facets: list[str]) -> str:
    return ", ".join(facets[:MOST_NAMED] + _left(facets))


def _left(names: list[str]) -> list[str]:
    return [] if len(names) <= MOST_NAMED else [f"{len(names) - MOST_NAMED} more"]


def particulars(record: Record) -> list[str]:
    """The sentences that stand below the statement: the other deciding checks, the rest, what crashed."""
    told = [_others(record), _aside(record), _crashed(record)]
    return [each for each in told if each]


def _others(record: Record) -> str:
    found = Counter(each.verdict for each in record.findings if each.rule.blocking)
    none = "No limit is shown to be missed. " if found and not found[Verdict.FAIL] and not _passed(record) else ""
    words = {
        Verdict.PASS: "{} met",
        Verdict.FAIL: "{} missed",
        Verdict.UNSURE: "{} unsure",
        Verdict.UNMEASURED: "{} not measured",
    }
    rest = [words[each].format(found[each]) for each in SHOWN_FIRST if found[each] and each is not record.verdict]
    return none + (f"The other deciding checks: {listed(rest)}." if rest else "")


def _passed(record: Record) -> bool:
    return record.verdict is Verdict.PASS


def _aside(record: Record) -> str:
    found = Counter(each.verdict for each in record.findings if not each.rule.blocking)
    told = [f"{found[each]} {MARKS[each].word.lower()}" for each in WORST_FIRST if found[each]]
    return f"Shown without deciding: {listed(told)}." if told else ""


def _crashed(record: Record) -> str:
    names = [short(section.name, 40) for section in record.sections if section.crashed]
    return f"{counted(len(names), 'audit')} crashed: {listed(names)}." if names else ""


def exit_reason(record: Record) -> str:
    """Why the shell is told what it is told."""
    code = record.exit_code
    if code is ExitCode.PASS and record.verdict is not Verdict.PASS:
        return 'nothing failed, and the policy says unsure = "warn"'
    return {
        ExitCode.PASS: "every deciding check passes",
        ExitCode.FAIL: "a deciding check failed",
        ExitCode.CRASHED: "an audit crashed, so the report is incomplete",
        ExitCode.UNSURE: 'a deciding check is unsure or not measured, and the policy says unsure = "block"',
    }[code]


def report_id(record: Record) -> str:
    """A short name for the report, from its digest: R-7c1e-93ab."""
    return f"R-{record.digest[:4]}-{record.digest[4:8]}" if record.digest else "not sealed"
