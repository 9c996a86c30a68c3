"""The card of a trained model as TOML: what was chosen, what was read off the training rows, and where the rows lie."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from rai.card import Card, Column, ImageInput, Network, SequenceInput, TextInput
from rai.draft import entry, quoted

TITLE = "# Written by rai. What the model decides and for whom may be mended here; the numbers are its own."
WORDS = (
    *("name", "version", "task", "head", "classes", "positive", "threshold", "purpose", "owner", "intended_use"),
    *("baseline", "needed_at_predict"),
)


def card_text(card: Card) -> str:
    """Return the text of a `model.toml` that reads back as this card."""
    parts = [_words(card), _network(card.network), _files(card), _input(card.input), *map(_column, card.columns)]
    return "\n".join("\n".join(part) + "\n" for part in ([TITLE], *map(list, parts)) if part)


def _words(card: Card) -> Iterator[str]:
    for key in WORDS:
        value = getattr(card, key)
        if value is None or value == () or (key == "threshold" and card.task != "binary"):
            continue
        yield entry(key, str(value) if key == "head" else value)


def _network(network: Network | None) -> Iterator[str]:
    """A table for the network, and one for each of the networks that it is made of."""
    if network is not None:
        yield from _network_table("network", network)


def _network_table(name: str, network: Network) -> Iterator[str]:
    yield f"[{name}]"
    yield entry("kind", network.kind)
    yield f"arguments = {_inline(network.arguments)}"
    for key, part in network.parts.items():
        yield from _network_table(f"{name}.parts.{key}", part)


def _files(card: Card) -> Iterator[str]:
    files = card.data
    yield "[data]"
    for key in ("test", "reference", "target", "sensitive", "missing_values"):
        if getattr(files, key):
            yield entry(key, getattr(files, key))
    if files.bands:
        yield f"bands = {_inline(files.bands)}"
    if not files.intersections:
        yield entry("intersections", value=False)


def _input(given: ImageInput | SequenceInput | TextInput | None) -> Iterator[str]:
    if given is not None:
        yield "[input]"
        yield from (
            entry(each.name, getattr(given, each.name)) for each in fields(given) if getattr(given, each.name) != ()
        )


def _column(column: Column) -> Iterator[str]:
    """The keys that say something: those that differ from what a card takes without them, and mean and scale."""
    yield "[[columns]]"
    for each in fields(column):
        value = getattr(column, each.name)
        always = each.name in ("mean", "scale") and column.kind == "number"
        if value is not None and (always or value != each.default):
            yield entry(each.name, value)


def _inline(values: Mapping[str, Any]) -> str:
    """A table on one line."""
    inside = ", ".join(f"{quoted(key)}{entry('', value)}" for key, value in values.items())
    return f"{{ {inside} }}"
