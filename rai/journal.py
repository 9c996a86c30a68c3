"""Finished sections on disk, so that an audit cut short goes on where it stopped."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rai.files import write_atomic
from rai.record import Section

ADAPTER: TypeAdapter[Section] = TypeAdapter(Section)


@dataclass(frozen=True)
class Journal:
    """A folder of finished sections. `key` ties them to one model, data, card, seed and version of rai."""

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


def forget(folder: Path) -> None:
    """Remove a journal: the report it was kept for is written."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
