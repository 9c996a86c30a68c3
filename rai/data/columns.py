"""Raw columns become model inputs, the way the card says the model was trained."""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import Column
from rai.data import limits
from rai.data.cells import Cells, Float64, Int64, Raw, listed, positions, show
from rai.errors import InputError
from rai.subject import UNKNOWN, Bools, Player

COMPARED = 100
CARD = "the model's card"
ADD_FILL = 'set "fill" for this column in the card if the model was trained with one'
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """What the columns became: inputs (rows, inputs), which cells were missing (rows, players), and the players."""

    inputs: Float32
    missing: Bools
    players: tuple[Player, ...]


def encode(table: Raw, columns: Sequence[Column]) -> Encoded:
    """Encode the card's columns, in its order, as 32-bit inputs; raise `InputError` at the first bad cell."""
    for column in columns:
        require_sound(column)
    players = layout(columns)
    width = sum(column.width for column in columns)
    limits.require_cells(table.rows, width, table.where)
    inputs = np.zeros((table.rows, width), dtype=np.float32)
    missing = np.zeros((table.rows, len(columns)), dtype=np.bool_)
    for place, (column, player) in enumerate(zip(columns, players, strict=True)):
        cells = table.cells(column.name)
        missing[:, place] = cells.missing
        _write(cells, column, inputs[:, player.inputs[0] : player.inputs[-1] + 1])
    return Encoded(inputs, missing, players)


def layout(columns: Sequence[Column]) -> tuple[Player, ...]:
    """Say which inputs each raw column becomes."""
    ends = np.cumsum([column.width for column in columns]).tolist()
    return tuple(
        Player(column.name, tuple(range(end - column.width, end))) for column, end in zip(columns, ends, strict=True)
    )


def require_sound(column: Column) -> None:
    """Refuse a card's column that contradicts itself, such as a scale of 0 or a fill outside its categories."""
    problem = _number_problem(column) if column.kind == "number" else _category_problem(column)
    if problem:
        raise InputError(f"column {show(column.name)} {problem}", where=CARD)


def _number_problem(column: Column) -> str:
    if _scale_problem(column):
        return _scale_problem(column)
    if column.categories or column.drop is not None:
        return 'is a number but lists categories; expected kind = "category" or no list'
    if column.fill is not None and not math.isfinite(_as_number(column.fill)):
        return f"has fill {show(column.fill)}; expected a number"
    return ""


def _scale_problem(column: Column) -> str:
    return "has scale 0; expected the spread the model was trained with" if column.scale == 0 else ""


def _category_problem(column: Column) -> str:
    twice = [name for name, count in Counter(column.categories).items() if count > 1]
    if twice:
        return f"lists the category {show(twice[0])} twice"
    if not column.width:
        return "becomes no input at all; expected its list of categories"
    for key, value in (("drop", column.drop), ("fill", column.fill)):
        if value is not None and str(value) not in column.categories:
            return f"has {key} {show(value)}, which is not among its categories {listed(column.categories)}"
    return _scale_problem(column) or _drop_problem(column)


def _drop_problem(column: Column) -> str:
    ordinal = column.encoding == "ordinal" and column.drop is not None
    return 'has both drop and encoding = "ordinal"; expected one of them' if ordinal else ""


def _as_number(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _write(cells: Cells, column: Column, block: Float32) -> None:
    """Fill the column's part of the inputs, in place because copies of a large table are costly."""
    if column.kind == "number":
        _write_scaled(cells, column, _numbers(cells, column), block)
    elif column.encoding == "ordinal":
        _write_scaled(cells, column, _categories(cells, column).astype(np.float64), block)
    else:
        _write_onehot(column, _categories(cells, column), block)


def _numbers(cells: Cells, column: Column) -> Float64:
    found = cells.numbers
    if column.fill is None:
        cells.refuse(cells.missing, "the value is missing", do=ADD_FILL, cell=False)
        return found
    return np.where(cells.missing, _as_number(column.fill), found)


def _write_scaled(cells: Cells, column: Column, values: Float64, block: Float32) -> None:
    with np.errstate(over="ignore"):
        block[:, 0] = (values - column.mean) / column.scale
    cells.refuse(~np.isfinite(block[:, 0]), "is too large for a 32-bit number", do="mend it, or check mean and scale")


def _categories(cells: Cells, column: Column) -> Int64:
    """Position of every row's category in the card's list."""
    coded = cells.coded
    places = positions(coded, column.categories, loose=not cells.textual)
    found = np.append(places, UNKNOWN)[coded.codes]
    unseen = (found == UNKNOWN) & ~cells.missing
    if unseen.any():
        _refuse_unseen(cells, column, unseen)
    if column.fill is None:
        cells.refuse(cells.missing, "the value is missing", do=ADD_FILL, cell=False)
        return found
    return np.where(cells.missing, column.categories.index(str(column.fill)), found)


def _refuse_unseen(cells: Cells, column: Column, unseen: Bools) -> None:
    text = cells.text(int(np.argmax(unseen)))[:COMPARED]  # comparing takes the square of the length
    near = difflib.get_close_matches(text, column.categories, n=1)
    do = f"did you mean {show(near[0])}?" if near else "mend the cell or the card"
    cells.refuse(unseen, "is not among the card's categories", expected=listed(column.categories), do=do)


def _write_onehot(column: Column, places: Int64, block: Any) -> None:
    kept = [place for place, name in enumerate(column.categories) if name != column.drop]
    for slot, place in enumerate(kept):
        block[:, slot] = places == place
