"""Reads a card's file, and turns plain TOML or JSON values into checked dataclasses."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rai.card.sense import ROWS, require_sense
from rai.card.types import Card
from rai.errors import InputError, plain
from rai.files import require_file

LARGEST_CARD = 1 << 20
T = TypeVar("T")


def read_card(path: Path) -> Card:
    """Read and check a `model.toml`; raise `InputError` naming file, key and what was expected."""
    require_file(path, do="draft one with: rai init MODEL --data TEST --target COLUMN")
    if path.stat().st_size > LARGEST_CARD:
        raise InputError("larger than 1 MiB", where=path, expected="a model card in TOML")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=path, expected="a model card in TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not valid TOML ({plain(error)})", where=path, do="mend the line named") from None
    card = parse(Card, found, path)
    require_sense(card, path)
    return card


def parse(kind: type[T], found: object, path: Path) -> T:
    """Turn plain TOML or JSON values into the dataclass `kind`; the first wrong key becomes an `InputError`."""
    try:
        return TypeAdapter(kind).validate_python(found)
    except ValidationError as error:
        raise _first_wrong(error, path) from None


def _first_wrong(error: ValidationError, path: Path) -> InputError:
    try:
        return wrong_key(error.errors()[0], path)
    except RecursionError:
        return InputError("holds a table nested too deep to be named", where=path, do="name fewer tables in tables")


def wrong_key(first: ErrorDetails, path: Path) -> InputError:
    """Say which key of which file is wrong and what was expected there."""
    loc = [str(part) for part in first["loc"]]
    key = ".".join(part for place, part in enumerate(loc) if loc[:place] != ["input"] or part not in ROWS)
    if first["type"].startswith("union_tag"):
        return InputError("key input.kind is missing or unknown", where=path, expected=f"one of {', '.join(ROWS)}")
    reasons = {"missing": "is missing", "unexpected_keyword_argument": "is not a key rai knows"}
    what = reasons.get(first["type"], f"is {first['input']!r}")
    expected = "" if first["type"] in reasons else _expected(first["msg"])
    return InputError(f"key {key or '(whole file)'} {what}", where=path, expected=expected)


def _expected(message: str) -> str:
    """Take "Input should be 'a' or 'b'" down to "'a' or 'b'"."""
    return message.removeprefix("Input should be ").removeprefix("Value error, ")
