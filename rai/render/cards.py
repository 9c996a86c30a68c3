"""The three cards of the first screen: what was audited, what was not, and who decides."""

from dataclasses import dataclass

from rai.record import File, GroupCount, Record
from rai.render.words import counted, listed

ABSENT = "not provided by the owner"
MOST_GROUPS = 6
FEW = "fewer than 5"
TIERS = {
    "data only": "data only: nothing in the file was executed",
    "carries code": "carries code: loading the file ran code that came with it",
    "in memory": "in memory: the model was handed over by a running program",
    "predictions only": "predictions only: the model itself was not seen",
}


@dataclass(frozen=True)
class Entry:
    """One line of a card. A `sha256` is shown shortened; `more` is folded away; `faint` marks what is missing."""

    label: str
    text: str
    sha256: str = ""
    more: tuple[str, ...] = ()
    faint: bool = False


def audited(record: Record) -> list[Entry]:
    """What was audited: the files by their content, how the outputs were read, and who is in the data."""
    it = record.identity
    entries = [
        _file("Model", it.model, it.format),
        Entry("Trust", TIERS.get(it.trust, it.trust)),
        Entry("Outputs", f"{it.task}, read as {it.head}" + (f": {it.head_reason}" if it.head_reason else "")),
        *([Entry("Decision", _decision(record))] if it.positive is not None else []),
        _file("Data", it.data),
        _file("Reference", it.reference) if it.reference else Entry("Reference", "none given", faint=True),
        *_groups(it.groups),
        Entry("Seed", str(it.seed)),
    ]
    return entries + [Entry("Note", note) for note in it.notes]


def _file(label: str, file: File, kind: str = "") -> Entry:
    rows = counted(file.rows, "row") if file.rows is not None else ""
    return Entry(label, ", ".join(each for each in (file.name, kind, rows) if each), file.sha256)


def _decision(record: Record) -> str:
    it = record.identity
    at = "" if it.threshold is None else f" from a score of {it.threshold:g} up"
    return f"positive class {it.positive}{at}"


def _groups(counts: tuple[GroupCount, ...]) -> list[Entry]:
    attributes = list(dict.fromkeys(each.attribute for each in counts))
    sizes = [(name, [each for each in counts if each.attribute == name]) for name in attributes]
    if not sizes:
        return [Entry("Groups", "none declared", faint=True)]
    told = tuple(f"{name}: {', '.join(map(_size, found))}" for name, found in sizes)
    if len(counts) <= MOST_GROUPS:
        return [Entry("Groups", "; ".join(told))]
    return [Entry("Groups", listed(f"{name} ({len(found)})" for name, found in sizes), more=told)]


def _size(count: GroupCount) -> str:
    return f"{count.group} ({FEW if count.rows is None else f'{count.rows:,}'})"


def uncovered(record: Record) -> list[str]:
    """What this report does not cover: as recorded, and every section that has a problem."""
    problems = [f"{section.name}: {section.problem}" for section in record.sections if section.problem]
    return list(dict.fromkeys([*record.not_covered, *problems]))


def decisions(record: Record) -> list[Entry]:
    """Who owns the model, what it is for, and under which policy it was judged."""
    it, law = record.identity, record.policy
    declared = [("Owner", it.owner), ("Purpose", it.purpose), ("Intended use", it.intended_use)]
    return [
        *(Entry(label, text or ABSENT, faint=not text) for label, text in declared),
        Entry("Policy", f"{law.name} {law.version}: {law.source}"),
        Entry("Doubt", "blocks a pass" if law.unsure == "block" else "warns, and does not block"),
    ]
