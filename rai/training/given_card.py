"""A recipe that names a card: what a row is and what is answered need not be written again, or read off any rows."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rai.card import Card, Files, TextInput, read_card
from rai.errors import InputError

WORDS = ("purpose", "owner", "intended_use")
ANSWERS = ("task", "classes", "positive", "threshold")
"""Taken together or, where the recipe says task or classes, not at all: a positive class is none of other classes."""
FILES = ("target", "intersections", "missing_values")
FOLLOWING = ("inputs", "outputs", "vocabulary")
"""Arguments of a network that follow from columns and classes."""
NOTHING = (None, (), "")


def with_card(found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the plain values of a recipe at `path`, with what `data.card` says of all that the recipe does not.

    Of the card are taken how rows are read, task and classes, what is compared, whom it is for and, without `kind` and
    `arguments` in the recipe, its network; not its name, and no file but its vocabulary. Raises `InputError` for a card
    that is not there or does not say how rows are read.
    """
    own, data = dict(found), found.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("card"), str):
        return own  # a value of another kind is refused where all keys are checked
    file = path.parent / data["card"]
    card = read_card(file)
    _require_reading(card, file)
    if not {"columns", "input"} & own.keys():
        own |= _reading(card, file, path)
    own["data"] = {**_files(card, data), **data}
    network = own.get("network", {})
    if isinstance(network, Mapping) and not {"kind", "arguments"} & network.keys():
        own["network"] = {**network, **_network(card, file)}
    answers = () if {"task", "classes"} & own.keys() else ANSWERS
    return {**_said(card, (*WORDS, *answers)), **own}


def require_kept(recipe_card: str | None, path: Path, written: Path) -> None:
    """Raise `InputError` where the card of the trained model would be written over the one that the recipe names."""
    if recipe_card is not None and (path.parent / recipe_card).resolve() == written.resolve():
        what = "key data.card names the file that the trained model's card would be written over"
        raise InputError(what, where=path, do="give that card another name, or choose another folder with --out")


def _require_reading(card: Card, file: Path) -> None:
    if not card.columns and card.input is None:
        raise InputError("does not say how rows are read", where=file, expected="[[columns]] or [input]")
    if card.needed_at_predict:
        what = "is of a model that is handed sensitive columns beside its inputs"
        raise InputError(what, where=file, do="name the card of its baseline")


def _reading(card: Card, file: Path, path: Path) -> dict[str, Any]:
    if card.input is None:
        return {"columns": [asdict(each) for each in card.columns]}
    told = asdict(card.input)
    if isinstance(card.input, TextInput):
        words = os.path.relpath(file.parent / card.input.vocabulary, path.parent)
        told["vocabulary"] = Path(words).as_posix()
    return {"input": told}


def _files(card: Card, said: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared: the sensitive columns with how they are cut, unless the recipe names its own."""
    compared = () if "sensitive" in said else ("sensitive", "bands")
    return _said(card.data, (*FILES, *compared))


def _network(card: Card, file: Path) -> dict[str, Any]:
    if card.network is None:
        return {}
    if card.network.parts:
        what = "names a network that is made of others"
        raise InputError(what, where=file, do="say kind and arguments in [network] of the recipe")
    kept = {name: value for name, value in card.network.arguments.items() if name not in FOLLOWING}
    return {"kind": card.network.kind, "arguments": kept}


def _said(table: Card | Files, keys: Iterable[str]) -> dict[str, Any]:
    return {key: getattr(table, key) for key in keys if getattr(table, key) not in NOTHING}
