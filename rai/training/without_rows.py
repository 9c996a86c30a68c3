"""A recipe without rows: sites keep theirs, so what a row is and what is answered is written in recipe or card."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rai.card import Card, TextInput
from rai.data import columns, loading
from rai.data.tokens import tokens
from rai.errors import InputError
from rai.subject import Data
from rai.training.describing import answered, task_said
from rai.training.recipe import Recipe

BY_CARD = "write it there, or name a card that says it in data.card"


def require_train(recipe: Recipe, path: Path) -> None:
    """Raise `InputError` where a recipe that is to be run on rows of this side's own names none."""
    if not recipe.data.train:
        do = "leave it out only where [federated] names the superlink of sites with rows of their own"
        raise InputError("key data.train is missing", where=path, expected="the file of rows to learn from", do=do)


def card_without_rows(recipe: Recipe, path: Path) -> Card:
    """Return what the card says of rows and answers; raise `InputError` naming what would have to be read off rows."""
    if recipe.federated is None or not recipe.federated.superlink:
        require_train(recipe, path)
    told = task_said(recipe)
    if not recipe.columns and recipe.input is None:
        what = "key columns is missing, and there is no data.train to read columns off"
        raise InputError(what, where=path, expected="[[columns]] or [input]", do=BY_CARD)
    if told is None:
        what = "key classes is missing, and there is no data.train to read classes off"
        raise InputError(what, where=path, expected='the names of all classes, or task = "regression"', do=BY_CARD)
    card = answered(recipe, *told, where=path)
    return replace(card, columns=recipe.columns, input=recipe.input)


def no_rows(card: Card) -> Data:
    """Return data of the kind that the card says, as wide as its columns, without a row.

    Raises `InputError` where the card contradicts itself, or names a vocabulary that is not there.
    """
    loading.require_sound(card)
    for column in card.columns:
        columns.require_sound(column)
    given, width = card.input, sum(column.width for column in card.columns)
    words = tokens(Path(given.vocabulary), given).vocabulary if isinstance(given, TextInput) else None
    kind = "table" if given is None else given.kind
    return Data(kind, np.zeros((0, width), np.float32), np.zeros((0, 0)), None, {}, (), vocabulary=words)
