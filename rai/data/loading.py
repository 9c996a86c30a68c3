"""A file and a card become data to try a model on."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rai.card import Card
from rai.data.cells import Raw, show
from rai.data.columns import CARD, encode
from rai.data.groups import group, require_bands
from rai.data.labels import class_labels, require_classes, targets
from rai.data.tables import read
from rai.errors import InputError
from rai.subject import Data, Floats, Groups, Ints

if TYPE_CHECKING:
    import pandas as pd


def load(path: Path, card: Card) -> Data:
    """Read a CSV, Parquet or Feather file the way the card says the model was trained.

    `labels` are class positions (int64) or targets (float64), None when the card names no target. The file the card
    names as the reference may hold one class or one group only; a test file may not. Raises `InputError` naming file,
    column and row.
    """
    require_sound(card)
    table = read(path, _wanted(card), card.data.missing_values)
    varied = not _is_reference(path, card)
    encoded = encode(table, card.columns)
    return Data(
        kind="table",
        inputs=encoded.inputs,
        features=encoded.inputs,
        labels=_labels(table, card, varied=varied),
        groups=_groups(table, card, varied=varied),
        players=encoded.players,
        missing=encoded.missing,
        source=table.source,
    )


def raw(path: Path) -> "pd.DataFrame":
    """Read a file as it stands, with nothing guessed: each cell of a CSV file is text, the empty cell "".

    Parquet and Feather keep the types they were written with. Raises `InputError` as `load` does.
    """
    import pyarrow as pa

    table = read(path)
    try:
        frame: pd.DataFrame = pa.table(dict(table.columns)).to_pandas()
    except (pa.ArrowException, ValueError, OverflowError):
        raise InputError("holds cells of a kind rai cannot read", where=path, expected="numbers and text") from None
    return frame


def require_sound(card: Card) -> None:
    """Refuse a card that contradicts itself about its columns, whatever the file holds."""
    names = [column.name for column in card.columns]
    if not names:
        raise InputError("lists no columns", where=CARD, do="draft them with: rai init MODEL --data TEST")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"lists column {show(name)} twice", where=CARD)
    _require_apart(card, names)
    require_bands(card.data.bands, card.data.sensitive)
    if card.data.target is not None:
        require_classes(card.task, card.classes)


def _require_apart(card: Card, names: list[str]) -> None:
    target = card.data.target
    if target in names:
        what = f"column {show(target)} is both data.target and an input: the model would be shown the answer"
        raise InputError(what, where=CARD, do="take it out of columns")
    if target in card.data.sensitive:
        what = f"column {show(target)} is both data.target and data.sensitive"
        raise InputError(what, where=CARD, do="name another sensitive column")


def _wanted(card: Card) -> dict[str, str]:
    """Map each column to read to the key of the card that names it."""
    asks = dict.fromkeys(card.data.sensitive, "data.sensitive in the card")
    if card.data.target is not None:
        asks[card.data.target] = "data.target in the card"
    return asks | dict.fromkeys((column.name for column in card.columns), "columns in the card")


def _is_reference(path: Path, card: Card) -> bool:
    named = card.data.reference
    return named is not None and Path(named) == path and card.data.test != named


def _labels(table: Raw, card: Card, *, varied: bool) -> Floats | Ints | None:
    if card.data.target is None:
        return None
    cells = table.cells(card.data.target)
    if card.task == "regression":
        return targets(cells)
    return class_labels(cells, card.classes, varied=varied)


def _groups(table: Raw, card: Card, *, varied: bool) -> dict[str, Groups]:
    bands = card.data.bands
    return {name: group(table.cells(name), bands.get(name), varied=varied) for name in card.data.sensitive}
