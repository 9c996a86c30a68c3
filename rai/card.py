"""The card: what no tensor file says about a model, read from `model.toml` and checked field by field."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rai.errors import InputError, plain
from rai.files import require_file

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
LARGEST_CARD = 1 << 20
LARGEST_SIDE = 1_024
LONGEST = 100_000
ROWS = MappingProxyType({"image": "an image", "sequence": "a sequence", "text": "a text"})
T = TypeVar("T")
Task = Literal["binary", "multiclass", "regression"]


class Head(StrEnum):
    """How a model's outputs are to be read.

    `logit`: one number a row, sigmoid gives P(positive). `logits`: one number a class, softmax gives the
    probabilities. `probability`: P(positive) itself. `probabilities`: one a class. `value`: a regression value.
    """

    LOGIT = "logit"
    LOGITS = "logits"
    PROBABILITY = "probability"
    PROBABILITIES = "probabilities"
    VALUE = "value"


@dataclass(frozen=True)
class Column:
    """One raw column and how it becomes model inputs.

    A `number` becomes (x - mean) / scale. A `category` becomes one input for each of `categories` (one-hot, less the
    one named in `drop`), or with `encoding = "ordinal"` one input: (position in the list - mean) / scale. `fill`
    stands in for a missing value; without it a missing value is an error. For the audit of recourse: an `immutable`
    column cannot be changed by the person, and others only from `minimum` to `maximum` and in `direction`.
    """

    __pydantic_config__ = STRICT

    name: str
    kind: Literal["number", "category"]
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    encoding: Literal["onehot", "ordinal"] = "onehot"
    drop: str | None = None
    fill: str | float | None = None
    immutable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    direction: Literal["both", "increase", "decrease"] = "both"

    @property
    def width(self) -> int:
        """How many model inputs this column becomes."""
        one = self.kind == "number" or self.encoding == "ordinal"
        return 1 if one else len(self.categories) - (self.drop is not None)


@dataclass(frozen=True)
class ImageInput:
    """Each row is an image of `size` (height, width); others are resized.

    A value v from 0 to 1 becomes (v - mean) / scale: `mean` and `scale` hold one number for each channel, or
    none. `patches` cuts the image into that many parts a side; each is one feature in explanations.
    """

    __pydantic_config__ = STRICT

    kind: Literal["image"]
    size: tuple[int, int]
    channels: Literal[1, 3] = 1
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    patches: int = 4


@dataclass(frozen=True)
class SequenceInput:
    """Each row is a sequence of at most `steps` time steps of the named `features`; v becomes (v - mean) / scale.

    `segments` cuts the time axis into that many parts; each part of each feature is one feature in explanations.
    """

    __pydantic_config__ = STRICT

    kind: Literal["sequence"]
    features: tuple[str, ...]
    steps: int
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    segments: int = 4


@dataclass(frozen=True)
class TextInput:
    """Each row is a text in `column`, cut into at most `length` tokens of a `vocabulary`.

    `vocabulary` is a file beside the card: one token a line (texts are then cut at everything but letters, digits and
    apostrophes, in lower case where `lowercase`), or the JSON of a Hugging Face tokenizer.
    """

    __pydantic_config__ = STRICT

    kind: Literal["text"]
    vocabulary: str
    column: str = "text"
    length: int = 128
    lowercase: bool = True
    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    mask: str = "[MASK]"


@dataclass(frozen=True)
class Files:
    """Which files and columns are audited. Paths are relative to the card.

    `bands` cuts a numeric sensitive column: age = [30, 50] gives "under 30", "30 to under 50", "50 and over".
    `missing_values` are texts that mean "missing", beside the empty cell.
    """

    __pydantic_config__ = STRICT

    test: str | None = None
    reference: str | None = None
    target: str | None = None
    sensitive: tuple[str, ...] = ()
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    intersections: bool = True
    missing_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Which of rai's own architectures the tensors belong to, its arguments, and the networks that it is made of.

    `parts` are given to an architecture that holds others, such as one that adjusts the answers of a `base`.
    """

    __pydantic_config__ = STRICT

    kind: str
    arguments: Mapping[str, str | bool | int | float | tuple[int, ...]] = field(default_factory=dict)
    parts: Mapping[str, "Network"] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Everything the owner declares about the model. Undeclared text fields stay visibly empty in the report.

    `baseline` is the file of a model that this one was made to improve on, relative to the card; its own card lies
    beside it. `needed_at_predict` names sensitive columns that the model is handed with each row it decides on.
    """

    __pydantic_config__ = STRICT

    task: Task
    name: str = ""
    version: str = ""
    head: Head | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float = 0.5
    purpose: str = ""
    owner: str = ""
    intended_use: str = ""
    factory: str | None = None
    network: Network | None = None
    data: Files = field(default_factory=Files)
    input: Annotated[ImageInput | SequenceInput | TextInput, Field(discriminator="kind")] | None = None
    columns: tuple[Column, ...] = ()
    baseline: str | None = None
    needed_at_predict: tuple[str, ...] = ()


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


def require_sense(card: Card, path: Path) -> None:
    """Raise `InputError` for the first field that contradicts another one or can mean nothing."""
    for field_name, problem in _contradictions(card):
        raise InputError(f"key {field_name} {problem}", where=path)


def _contradictions(card: Card) -> Iterator[tuple[str, str]]:
    count = len(card.classes)
    if card.task == "regression" and count:
        yield "classes", "is given for a regression model; leave it out"
    if card.task == "binary" and count != 2:
        yield "classes", f"has {count} names; a binary model has two"
    if card.task == "multiclass" and count < 3:
        yield "classes", f"has {count} names; a multiclass model has at least three"
    if len(set(card.classes)) < count:
        yield "classes", "names a class twice"
    if card.positive is not None and card.positive not in card.classes:
        yield "positive", f"is {card.positive!r}, which is none of the classes {', '.join(card.classes)}"
    if not 0.0 < card.threshold < 1.0:
        yield "threshold", f"is {card.threshold:g}; it is a probability between 0 and 1"
    yield from _column_contradictions(card)
    if card.input is not None and card.columns:
        yield "columns", f"is given beside input, which says that each row is {ROWS[card.input.kind]}; leave one out"
    if card.input is not None:
        yield from ((f"input.{name}", problem) for name, problem in _input_contradictions(card.input))


def _input_contradictions(given: ImageInput | SequenceInput | TextInput) -> Iterator[tuple[str, str]]:
    if isinstance(given, ImageInput):
        yield from _unscalable(given, given.channels, "channels")
        yield from _outside("size", min(given.size), LARGEST_SIDE)
        yield from _outside("size", max(given.size), LARGEST_SIDE)
        yield from _outside("patches", given.patches, min(given.size))
    elif isinstance(given, SequenceInput):
        yield from _unscalable(given, len(given.features), "features")
        if len(set(given.features)) < max(1, len(given.features)):
            yield "features", "is empty or names a feature twice"
        yield from _outside("steps", given.steps, LONGEST)
        yield from _outside("segments", given.segments, given.steps)
    else:
        yield from _outside("length", given.length, LONGEST)
        if not given.vocabulary:
            yield "vocabulary", "is empty; name a file beside the card"


def _unscalable(given: ImageInput | SequenceInput, wanted: int, what: str) -> Iterator[tuple[str, str]]:
    for name, numbers in (("mean", given.mean), ("scale", given.scale)):
        if numbers and len(numbers) != wanted:
            yield name, f"has {len(numbers)} numbers for {wanted} {what}; give one for each, or none"
    if 0.0 in given.scale:
        yield "scale", "holds 0; values are divided by it"


def _outside(name: str, value: int, most: int) -> Iterator[tuple[str, str]]:
    if not 1 <= value <= most:
        yield name, f"is {value:,}; it is a whole number from 1 to {most:,}"


def _column_contradictions(card: Card) -> Iterator[tuple[str, str]]:
    names = [each.name for each in card.columns]
    for name in card.needed_at_predict:
        if name not in names:
            yield "needed_at_predict", f"names {name!r}, which is none of the columns that the model is handed"
    for position, each in enumerate(card.columns):
        where = f"columns.{position}"
        if names.index(each.name) < position:
            yield f"{where}.name", f"is {each.name!r}, which an earlier column has"
        if each.scale == 0.0:
            yield f"{where}.scale", "is 0; values are divided by it"
        if each.kind == "category" and len(set(each.categories)) < max(1, len(each.categories)):
            yield f"{where}.categories", "is empty or names a category twice"
        if each.drop is not None and each.drop not in each.categories:
            yield f"{where}.drop", f"is {each.drop!r}, which is none of the categories"
        if each.kind == "category" and each.fill is not None and each.fill not in each.categories:
            yield f"{where}.fill", f"is {each.fill!r}, which is none of the categories"
        if each.kind == "number" and isinstance(each.fill, str):
            yield f"{where}.fill", f"is {each.fill!r}; a number column is filled with a number"


def parse(kind: type[T], found: object, path: Path) -> T:
    """Turn plain TOML or JSON values into the dataclass `kind`; the first wrong key becomes an `InputError`."""
    try:
        return TypeAdapter(kind).validate_python(found)
    except ValidationError as error:
        raise wrong_key(error.errors()[0], path) from None


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
