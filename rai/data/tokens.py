"""A vocabulary file says what the tokens of a text are: a plain list, or the JSON of a Hugging Face tokenizer."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rai.card import TextInput
from rai.data import limits
from rai.data.cells import show
from rai.errors import InputError
from rai.files import require_file
from rai.subject import Vocabulary

WORD = re.compile(r"(?:[^\W_]|')+")
JSON = re.compile(r'\s*\{\s*"')
REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{\d*,)|\\\d")
LONGEST_PATTERN = 2_000
USUAL = {"pad": ("<pad>", "<|pad|>", "[PAD]"), "mask": ("<mask>", "[MASK]"), "unknown": ("<unk>", "[UNK]")}
READABLE = "one token a line, or the JSON of a Hugging Face tokenizer"


@dataclass(frozen=True)
class Tokens:
    """A vocabulary, the token that stands for words it lacks, and how texts are cut into token numbers."""

    vocabulary: Vocabulary
    unknown: int
    cut: Callable[[Sequence[str]], Sequence[Sequence[int]]]


def tokens(path: Path, given: TextInput) -> Tokens:
    """Read a vocabulary file; raise `InputError` when it is damaged or lacks a token that the card names."""
    require_file(path, do="name the vocabulary file beside the card")
    if path.stat().st_size > limits.LARGEST_VOCABULARY:
        raise InputError("larger than 64 MiB", where=path, expected=READABLE)
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", where=path, expected=READABLE) from None
    return (_tokenizer if JSON.match(content) else _listed)(content, given, path)


def _listed(content: str, given: TextInput, path: Path) -> Tokens:
    names = [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")]
    places = {name: place for place, name in enumerate(names)}
    limits.require_tokens(len(names), path)
    _require_distinct(names, places, path)
    pad, unknown, mask = (_place(places, name, key, path) for key, name in _named(given).items())

    def cut(texts: Sequence[str]) -> list[list[int]]:
        return [[places.get(word, unknown) for word in _words(text, given)] for text in texts]

    return Tokens(Vocabulary(tuple(names), pad, mask, (pad,)), unknown, cut)


def _named(given: TextInput) -> dict[str, str]:
    return {"pad": given.pad, "unknown": given.unknown, "mask": given.mask}


def _words(text: str, given: TextInput) -> Iterator[str]:
    """The first words of a text: runs of letters, digits and apostrophes."""
    found = WORD.finditer(text.lower() if given.lowercase else text)
    return (each.group() for each in itertools.islice(found, given.length))


def _require_distinct(names: Sequence[str], places: Mapping[str, int], path: Path) -> None:
    for line, name in enumerate(names):
        if not name.strip():
            raise InputError(f"line {line + 1} is empty", where=path, expected="one token a line")
        if places[name] != line:
            raise InputError(f"token {show(name)} stands twice, first in line {line + 1}", where=path)


def _place(places: Mapping[str, int], name: str, key: str, path: Path) -> int:
    if name not in places:
        what = f"holds no token {show(name)}, which the card names as input.{key}"
        raise InputError(what, where=path, do=f"add it, or set input.{key}")
    return places[name]


def _tokenizer(content: str, given: TextInput, path: Path) -> Tokens:
    about = _parsed(content, path)
    _require_tame(about, path)
    engine = _engine(content, given, path)
    places: dict[str, int] = engine.get_vocab(with_added_tokens=True)
    limits.require_tokens(max(places.values(), default=0) + 1, path)
    pad, mask = _found(places, given.pad, "pad", path), _found(places, given.mask, "mask", path)
    unknown = next((places[name] for name in (given.unknown, *USUAL["unknown"]) if name in places), mask)
    names = {place: name for name, place in places.items()}
    words = tuple(names.get(place, f"token {place}") for place in range(max(names) + 1))
    marks = {each["id"] for each in about.get("added_tokens") or () if each.get("special")}
    special = tuple(sorted((marks & set(names)) - {unknown, mask} | {pad}))

    def cut(texts: Sequence[str]) -> list[list[int]]:
        with_marks = _guarded(lambda: engine.encode_batch(list(texts)), "cannot cut these texts", path)
        return [each.ids for each in with_marks]

    return Tokens(Vocabulary(words, pad, mask, special), unknown, cut)


def _found(places: Mapping[str, int], name: str, key: str, path: Path) -> int:
    """The token the card names, or else the one that usually plays this part."""
    usual = next((each for each in (name, *USUAL[key]) if each in places), name)
    return _place(places, usual, key, path)


def _parsed(content: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("is not valid JSON", where=path, expected=READABLE) from None
    if not isinstance(found, dict) or not isinstance(found.get("model"), dict):
        raise InputError("holds no tokenizer", where=path, expected=READABLE, do="save it with tokenizer.save(...)")
    return found


def _engine(content: str, given: TextInput, path: Path) -> Any:
    from tokenizers import Tokenizer

    def opened() -> Any:
        made = Tokenizer.from_str(content)
        made.no_padding()
        made.enable_truncation(given.length)
        return made

    return _guarded(opened, "cannot be read as a tokenizer", path)


def _guarded(act: Callable[[], Any], what: str, path: Path) -> Any:
    """Do something with the tokenizer; its library also fails with panics, which are no `Exception`."""
    try:
        return act()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a panic derives from BaseException alone
        raise InputError(what, where=path, expected=READABLE, do="write it again") from None


def _require_tame(about: Any, path: Path) -> None:
    """Refuse patterns that could take exponential time: repeated groups and back references."""
    for pattern in _patterns(about):
        if len(pattern) > LONGEST_PATTERN or REPEATED_GROUP.search(pattern):
            what = f"holds the pattern {show(pattern)}, which could take very long on some texts"
            raise InputError(what, where=path, expected="a pattern without repeated groups")


def _patterns(part: Any) -> Iterator[str]:
    """Every regular expression in a tokenizer's JSON, however deep; the vocabulary itself is not searched."""
    waiting = [part]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("Regex"), str):
                yield each["Regex"]
            waiting += [inner for key, inner in each.items() if key not in {"vocab", "merges"}]
        elif isinstance(each, list):
            waiting += each
