"""A file and a card become data to try a model on."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rai.card import Card, ImageInput, SequenceInput, TextInput
from rai.data import images, sequences, texts
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
    """Read a file or a folder the way the card says the model was trained.

    A table is a CSV, Parquet or Feather file; what holds images, sequences or texts, `images`, `sequences` and `texts`
    of this room say. `labels` are class positions (int64) or targets (float64), None when the card names no target. The
    file the card names as the reference may hold one class or one group only; a test file may not. Raises `InputError`
    naming file, column and row.
    """
    require_sound(card)
    data, beside = _table(path, card) if card.input is None else _input(path, card, card.input)
    varied = not _is_reference(path, card)
    return replace(data, labels=_labels(beside, card, varied=varied), groups=_groups(beside, card, varied=varied))


def _table(path: Path, card: Card) -> tuple[Data, Raw]:
    columns = dict.fromkeys((column.name for column in card.columns), "columns in the card")
    table = read(path, _asked(card) | columns, card.data.missing_values)
    encoded = encode(table, card.columns)
    data = Data(
        kind="table",
        inputs=encoded.inputs,
        features=encoded.inputs,
        labels=None,
        groups={},
        players=encoded.players,
        missing=encoded.missing,
        source=table.source,
    )
    return data, table


def _input(path: Path, card: Card, given: ImageInput | SequenceInput | TextInput) -> tuple[Data, Raw]:
    wanted, markers = _asked(card), card.data.missing_values
    if isinstance(given, ImageInput):
        found = images.read(path, given, wanted, markers)
    elif isinstance(given, SequenceInput):
        found = sequences.read(path, given, wanted, markers)
    else:
        found = texts.read(path, given, wanted, markers)
    return found.data, found.beside


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
    names = _inputs(card)
    if not names:
        raise InputError("lists no columns", where=CARD, do="draft them with: rai init MODEL --data TEST")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"lists column {show(name)} twice", where=CARD)
    _require_apart(card, names)
    require_bands(card.data.bands, card.data.sensitive)
    if card.data.target is not None:
        require_classes(card.task, card.classes)


def _inputs(card: Card) -> list[str]:
    """Names of what the model is given, as they may stand in a file."""
    match card.input:
        case None:
            return [column.name for column in card.columns]
        case ImageInput():
            return [images.FILE, images.ARRAY]
        case SequenceInput():
            return [sequences.ID, sequences.STEP, sequences.VALUES, sequences.LENGTHS, *card.input.features]
        case TextInput():
            return [card.input.column]


def _require_apart(card: Card, names: list[str]) -> None:
    target = card.data.target
    if target in names:
        what = f"column {show(target)} is both data.target and an input: the model would be shown the answer"
        raise InputError(what, where=CARD, do="take it out of columns")
    if target in card.data.sensitive:
        what = f"column {show(target)} is both data.target and data.sensitive"
        raise InputError(what, where=CARD, do="name another sensitive column")


def _asked(card: Card) -> dict[str, str]:
    """Map each column of labels and groups to the key of the card that names it."""
    asks = dict.fromkeys(card.data.sensitive, "data.sensitive in the card")
    if card.data.target is not None:
        asks[card.data.target] = "data.target in the card"
    return asks


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
