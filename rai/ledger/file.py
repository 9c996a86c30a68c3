"""The ledger's file: sealed when it is written, so that a changed byte shows when it is read."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rai.card import parse
from rai.errors import InputError
from rai.files import require_file, write_atomic
from rai.ledger.types import VERSION, Ledger
from rai.sealed import digest_of, read_sealed, sealed

LARGEST = 64 << 20
ADAPTER: TypeAdapter[Ledger] = TypeAdapter(Ledger)


def seal_of(ledger: Ledger) -> str:
    """The SHA-256 that binds everything the ledger says; it stands at the end of its file."""
    return digest_of(_content(ledger, Path("ledger")))


def write_ledger(ledger: Ledger, path: Path) -> None:
    """Write a ledger whole or not at all; raise `InputError` for a number that is not finite or a wrong value."""
    write_atomic(path, sealed(_content(ledger, path)))


def read_ledger(path: Path) -> Ledger:
    """Read a `ledger.json` as it was written.

    Raise `InputError`, naming the file, when a single byte differs from what was sealed, for another version, and for a
    wrong key.
    """
    require_file(path, do="train a model with: rai train RECIPE")
    if path.stat().st_size > LARGEST:
        raise InputError("larger than 64 MiB", where=path, expected="a ledger.json written by rai train")
    content = read_sealed(path, do="put the original back, or train the model again")
    if content.get("version") != VERSION:
        raise InputError(f"key version is {content.get('version')!r}", where=path, expected=f"{VERSION}")
    return parse(Ledger, content, path)


def require_match(ledger: Ledger, model_sha256: str, path: Path) -> None:
    """Raise `InputError` unless the ledger at `path` was written for the model file with this SHA-256."""
    if ledger.model != model_sha256:
        named = f"the model file with SHA-256 {ledger.model[:12]}…" if ledger.model else "no model file"
        raise InputError(
            f"this ledger was written for {named}, and the file beside it has {model_sha256[:12]}…",
            where=path,
            do="put the model's own ledger in its place, or name this one after its own model: NAME.ledger.json",
        )


def ledger_file(model: Path) -> Path | None:
    """The file of the ledger that lies beside a model file, or in a model's folder, if there is one.

    `NAME.ledger.json` goes before `ledger.json`, so that several models may share a folder.
    """
    shared = model / "ledger.json" if model.is_dir() else model.with_name("ledger.json")
    return next((each for each in (model.with_suffix(".ledger.json"), shared) if each.exists()), None)


def ledger_of(model: Path, model_sha256: str) -> Ledger | None:
    """The ledger in the file that `ledger_file` names; None when there is none.

    Raise `InputError` when the ledger was changed or was written for another model.
    """
    path = ledger_file(model)
    if path is None:
        return None
    ledger = read_ledger(path)
    require_match(ledger, model_sha256, path)
    return ledger


def _content(ledger: Ledger, path: Path) -> dict[str, Any]:
    """The ledger as dictionaries, lists, text and numbers, every value checked, with keys in order."""
    checked = parse(Ledger, _values(ledger), path)
    return dict(json.loads(json.dumps(_values(checked), sort_keys=True)))


def _values(ledger: Ledger) -> Any:
    return ADAPTER.dump_python(ledger, mode="json", fallback=_plain, warnings=False)


def _plain(value: Any) -> object:
    """A number of numpy as a number of Python; anything else by its name."""
    return value.item() if hasattr(value, "item") else str(value)
