"""Rows put together from cells of many rows, and what a cell means to a person."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rai.audits._exhibits import number
from rai.card import Column
from rai.data import mixer
from rai.subject import Bools, Data, Floats, Ints, Subject


def put_together(data: Data, sources: Ints) -> Any:
    """Inputs of made-up rows: `sources` (rows, players) says from which row each player's inputs are taken."""
    width = data.inputs.shape[1]
    places = np.zeros((len(sources), width), dtype=np.int64)
    for place, player in enumerate(data.players):
        places[:, list(player.inputs)] = sources[:, [place]]
    if hasattr(data.inputs, "iloc"):
        return mixer(data.inputs, data.inputs.iloc[:0])(places)
    return data.inputs[places, np.arange(width)]


def card_column(subject: Subject, place: int) -> Column | None:
    """What the card says of the column behind a player; None where it says nothing."""
    name = subject.data.players[place].name
    return next((each for each in subject.card.columns if each.name == name), None)


def unordered(subject: Subject) -> Bools:
    """Which players are categories: several inputs, a category by the card, or words in a data frame."""
    data, players = subject.data, range(len(subject.data.players))
    kinds = [card_column(subject, place) for place in players]
    several = [len(each.inputs) > 1 for each in data.players]
    named = [each is not None and each.kind == "category" for each in kinds]
    worded = [_worded(data, place) for place in players]
    return np.array([any(each) for each in zip(several, named, worded, strict=True)], dtype=np.bool_)


def _worded(data: Data, place: int) -> bool:
    """Whether this column of a data frame holds words instead of numbers."""
    return hasattr(data.inputs, "iloc") and data.inputs.dtypes.iloc[place].kind not in "biuf"


def raw_number(column: Column | None, encoded: float) -> float:
    """A number as it stood in the source, before the card's scaling."""
    return encoded if column is None else encoded * column.scale + column.mean


def cell_text(data: Data, column: Column | None, place: int, row: int) -> str:
    """One cell as a person reads it. Callers see to it that at least five rows share a category that is shown."""
    block = data.features[row, list(data.players[place].inputs)]
    if column is not None and column.kind == "category":
        return _category(column, block)
    if _worded(data, place):
        return str(data.inputs.iloc[row, place])
    if len(block) > 1:
        return ", ".join(number(float(each)) for each in block[:5])
    return number(raw_number(column, float(block[0])))


def _category(column: Column, block: Floats) -> str:
    if column.encoding == "ordinal":
        place = round(raw_number(column, float(block[0])))
        return column.categories[min(max(place, 0), len(column.categories) - 1)]
    kept: Sequence[str] = [name for name in column.categories if name != column.drop]
    return kept[int(np.argmax(block))] if block.any() else str(column.drop)
