"""JSON files that show when a byte of them was changed: they end with a SHA-256 of everything that they say."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rai.errors import InputError


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values as JSON, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(content: Mapping[str, Any], *, seal: str = "seal", **bound: Any) -> str:
    """Return the text of a file: ASCII, one key a line so that a person can read it, the seal last and by this name.

    `bound` are plain values that the seal holds too, though the file does not repeat them.
    """
    return json.dumps({**content, seal: digest_of({**content, **bound})}, indent=1) + "\n"


def unsealed(written: bytes, *, seal: str = "seal", **bound: Any) -> dict[str, Any] | None:
    """Return the content without its seal, when the bytes are exactly those that were written; None otherwise."""
    try:
        content = {name: each for name, each in json.loads(written).items() if name != seal}
        again = sealed(content, seal=seal, **bound).encode()
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
    return content if again == written else None


def read_sealed(path: Path, *, do: str) -> dict[str, Any]:
    """Return what a sealed file says; raise `InputError`, saying what to `do`, when a single byte of it differs."""
    try:
        found = unsealed(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, do=do) from None
    if found is None:
        what = "its seal does not match: it was changed or cut short after it was written"
        raise InputError(what, where=path, do=do)
    return found
