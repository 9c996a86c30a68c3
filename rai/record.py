"""The waist: all of a finished audit as plain data. report.json is a `Record`; every page is drawn from one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rai.card import wrong_key
from rai.errors import InputError
from rai.evidence import Evidence, Measurement
from rai.files import require_file
from rai.policy import Finding, Policy, Verdict, overall

SCHEMA_VERSION = "1"


class ExitCode(IntEnum):
    """What `rai` tells the shell; public API. Where several hold, INPUT wins, then FAIL, CRASHED, UNSURE."""

    PASS = 0
    FAIL = 1
    INPUT = 2
    CRASHED = 3
    UNSURE = 4


@dataclass(frozen=True)
class File:
    """A file that entered the audit. `rows` is None for a model."""

    name: str
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class GroupCount:
    """Test rows of one group; None where fewer than five (suppressed)."""

    attribute: str
    group: str
    rows: int | None


@dataclass(frozen=True)
class Identity:
    """What was audited: everything a reader needs to know that this report is about that model."""

    name: str
    version: str
    task: str
    head: str
    head_reason: str
    trust: str
    format: str
    model: File
    data: File
    reference: File | None
    classes: tuple[str, ...]
    positive: str | None
    threshold: float | None
    groups: tuple[GroupCount, ...]
    purpose: str
    owner: str
    intended_use: str
    seed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One audit's part: its question, and its evidence or the problem that kept it from any."""

    name: str
    question: str
    measures: tuple[str, ...]
    evidence: Evidence | None
    problem: str = ""
    crashed: bool = False


@dataclass(frozen=True)
class Run:
    """What differs between two runs on equal inputs; left out of the digest.

    `unrepeatable` is the SHA-256 of the evidence that differs too, and of what was found on it; "" without any.
    """

    date: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    unrepeatable: str = ""


@dataclass(frozen=True)
class Record:
    """A finished audit.

    `digest` is the SHA-256 of everything but `run`, itself, and evidence that is not repeatable with the findings on
    it: equal inputs give an equal digest. What is left out has a digest of its own in `run`.
    """

    identity: Identity
    policy: Policy
    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]
    not_covered: tuple[str, ...]
    run: Run
    schema_version: str = SCHEMA_VERSION
    digest: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among blocking rules."""
        return overall(self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """0 pass, 1 a blocking rule failed, 3 an audit crashed, 4 a blocking rule is unsure or unmeasured."""
        if self.verdict is Verdict.FAIL:
            return ExitCode.FAIL
        if any(section.crashed for section in self.sections):
            return ExitCode.CRASHED
        doubt = self.verdict is not Verdict.PASS and self.policy.unsure == "block"
        return ExitCode.UNSURE if doubt else ExitCode.PASS

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements of all sections, in order."""
        found = [section.evidence for section in self.sections if section.evidence]
        return tuple(each for evidence in found for each in evidence.measurements)


ADAPTER: TypeAdapter[Record] = TypeAdapter(Record)


def sealed(record: Record) -> Record:
    """Return the record as its own JSON gives it back, with its digest filled in.

    The way through JSON makes whole numbers in places of fractions the same before and after a file was written.
    """
    settled = ADAPTER.validate_json(json.dumps(plain_values(record)))
    run = replace(settled.run, unrepeatable=_parts(settled).unrepeatable)
    return replace(settled, run=run, digest=digest(settled))


def digest(record: Record) -> str:
    """SHA-256 over the canonical JSON of all that equal inputs make equal."""
    return _parts(record).repeatable


@dataclass(frozen=True)
class _Digests:
    repeatable: str
    unrepeatable: str


def _parts(record: Record) -> _Digests:
    """Digests of what equal inputs make equal and, "" where there is nothing of the kind, of the rest."""
    content = plain_values(record)
    del content["run"], content["digest"]
    evidence = [each.pop("evidence") for each in content["sections"] if not _repeats(each)]
    for each in content["sections"]:
        if each.get("evidence"):
            del each["evidence"]["repeatable"]  # so digests made before any evidence could differ still hold
    names = {name for each in content["sections"] if "evidence" not in each for name in each["measures"]}
    findings = [each for each in content["findings"] if each["rule"]["measurement"] in names]
    content["findings"] = [each for each in content["findings"] if each["rule"]["measurement"] not in names]
    return _Digests(_sha256(content), _sha256([evidence, findings]) if evidence else "")


def _repeats(section: Mapping[str, Any]) -> bool:
    return section["evidence"] is None or section["evidence"]["repeatable"]


def _sha256(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def plain_values(record: Record) -> dict[str, Any]:
    """The record as dictionaries, lists, text and numbers."""
    return dict(ADAPTER.dump_python(record, mode="json"))


def to_json(record: Record) -> str:
    """The record as JSON text: ASCII, two spaces deep, no NaN, keys in the order of the schema."""
    return json.dumps(plain_values(record), indent=1, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Read a report.json; raise `InputError` when it is no report, of another version, or was altered."""
    require_file(path, do="make one with: rai audit MODEL")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise InputError("not JSON", where=path, expected="a report.json written by rai audit") from None
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"schema_version is {version!r}", where=path, expected=f"a report of version {SCHEMA_VERSION!r}"
        )
    return _unaltered(_parsed(found, path), path)


def _parsed(found: object, path: Path) -> Record:
    try:
        return ADAPTER.validate_json(json.dumps(found))
    except ValidationError as error:
        raise wrong_key(error.errors()[0], path) from None


def _unaltered(record: Record, path: Path) -> Record:
    found = _parts(record)
    if (found.repeatable, found.unrepeatable) != (record.digest, record.run.unrepeatable):
        raise InputError("was altered after it was written: its digest does not match", where=path)
    return record


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of report.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ADAPTER.json_schema(mode="serialization")}
