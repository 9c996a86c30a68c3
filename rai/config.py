"""Settings from `rai.toml`, or from `[tool.rai]` in pyproject.toml, in the current folder."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rai.errors import InputError, plain

KEYS = ("policy", "only", "out", "seed", "format", "data", "reference", "target", "sensitive", "card")
LISTS = ("only", "sensitive", "format")
FILES = ("rai.toml", "pyproject.toml")


@dataclass(frozen=True)
class Config:
    """Defaults of `rai audit` that a project sets for itself, and its own metrics."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


def read_config(folder: Path) -> Config:
    """Read the folder's settings; raise `InputError` for a key that rai does not know."""
    for name in FILES:
        path = folder / name
        if path.is_file():
            found = _table(path)
            if found is not None:
                return _checked(found, path)
    return Config()


def _table(path: Path) -> dict[str, Any] | None:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=path.name, expected="settings in TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not valid TOML ({plain(error)})", where=path.name, do="mend it") from None
    if path.name == "rai.toml":
        return found
    tool = found.get("tool")
    ours = tool.get("rai") if isinstance(tool, dict) else None
    if ours is not None and not isinstance(ours, dict):
        raise InputError("key tool.rai is no table", where=path.name, expected="[tool.rai] with keys below it")
    return ours


def _checked(found: dict[str, Any], path: Path) -> Config:
    metrics = found.pop("metrics", {})
    for key in found:
        if key not in KEYS:
            raise InputError(f"key {key} is not one rai knows", where=path.name, expected=", ".join((*KEYS, "metrics")))
    if not isinstance(metrics, dict) or not all(isinstance(place, str) for place in metrics.values()):
        raise InputError("metrics is no table of text", where=path.name, expected='name = "package.module:function"')
    return Config({key: _setting(key, value, path) for key, value in found.items()}, metrics)


def _setting(key: str, value: Any, path: Path) -> str | int | tuple[str, ...]:
    """The value as the flag of this name takes it, lists as they are; raise `InputError` for another kind of value."""
    if key == "seed":
        right, expected = isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a whole number from 0"
    elif key in LISTS and isinstance(value, list):
        right, expected = all(isinstance(each, str) for each in value), "a list of texts"
        value = tuple(value)
    else:
        right, expected = isinstance(value, str), "a text" + (" or a list of texts" if key in LISTS else "")
    if not right:
        raise InputError(f"key {key} is {value!r}", where=path.name, expected=expected)
    return value  # type: ignore[no-any-return]  # one of the kinds checked above
