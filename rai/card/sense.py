"""What contradicts itself in a card, or can mean nothing."""

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from rai.card.types import Card, ImageInput, SequenceInput, TextInput
from rai.errors import InputError

LARGEST_SIDE = 1_024
LONGEST = 100_000
ROWS = MappingProxyType({"image": "an image", "sequence": "a sequence", "text": "a text"})


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
