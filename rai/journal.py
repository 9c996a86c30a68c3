"""Finished sections on disk, so that an audit cut short goes on where it stopped."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rai.files import write_atomic
from rai.record import Section
from rai.subject import Floats, Ints, Subject

SHOWN_VERSIONS = ("rai", "numpy", "scipy", "scikit-learn", "torch", "pandas", "fairlearn", "captum", "shap", "lime")
ADAPTER: TypeAdapter[Section] = TypeAdapter(Section)


@dataclass(frozen=True)
class Journal:
    """A folder of finished sections. `key` ties them to one model, data, vocabulary, card, seed and version of rai."""

    folder: Path
    key: str

    def read(self, audit: str) -> Section | None:
        """The finished section of this audit, or None when there is none for this very run."""
        try:
            return ADAPTER.validate_json(self._path(audit).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, section: Section) -> None:
        """Write down a finished section; a crashed one is tried again next time and not kept."""
        if not section.crashed:
            write_atomic(self._path(section.name), ADAPTER.dump_json(section).decode())

    def _path(self, audit: str) -> Path:
        return self.folder / f"{audit}-{self.key[:16]}.json"


def key_of(parts: Iterable[object]) -> str:
    """SHA-256 over everything that the sections depend on."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def contents(subject: Subject) -> Iterator[object]:
    """What the numbers rest on and no file's hash tells: answers, ledger, how texts are read, the owner's metrics.

    A folder's changed configuration, or a factory's changed code, shows in the answers.
    """
    yield _digest(subject.scores)
    yield subject.ledger
    yield {name: (getattr(f, "__module__", ""), getattr(f, "__qualname__", "")) for name, f in subject.metrics.items()}
    for data in (subject.data, subject.reference):
        if data is not None and data.vocabulary is not None:
            yield from (data.vocabulary, _digest(data.inputs))


def _digest(numbers: Floats | Ints) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()


def versions() -> dict[str, str]:
    """Python and the packages that numbers come from, each with its version; what is not installed is left out."""
    found = {"python": sys.version.split()[0]}
    for name in SHOWN_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def forget(folder: Path) -> None:
    """Remove a journal: the report it was kept for is written."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
