"""What a file holds, told by looking into it: a table, images, sequences or texts; for drafting a card."""

import statistics
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rai.card import ImageInput, SequenceInput
from rai.data import images, limits, npz, sequences, tables
from rai.data.cells import Raw
from rai.data.profiles import profile, usual_markers
from rai.data.tokens import JSON, USUAL, WORD
from rai.errors import InputError

PARTS = 4
MOST_OPENED = 1_000
FEWEST_WORDS = 3
GRAY = ("1", "L")
INDEX = "__index_level_"
"""How pandas begins the name of the row numbers that it writes into Parquet."""
Given = ImageInput | SequenceInput


@dataclass(frozen=True)
class Look:
    """What each row is, as a card would say it (None for a table), and the labels and groups `beside`, row for row."""

    given: Given | None
    beside: Raw


def look(path: Path, wanted: Mapping[str, str]) -> Look:
    """Tell images, sequences and tables apart, and read labels and groups beside them; texts stand in a table.

    A folder holds images, and an .npz images or sequences by the names of its arrays. A table with columns `id` and
    `step` holds sequences where an id stands in several rows and what is `wanted` is the same in all of them. `wanted`
    maps columns to what asks for them. Raises `InputError` naming the file.
    """
    if path.is_dir():
        return _folder(path, wanted)
    if npz.is_archive(path) and _holds_arrays(path):
        return _archive(path, wanted)
    table = tables.read(path)
    for name, asks in wanted.items():
        if name not in table.columns:
            raise tables.lacks(name, asks, tuple(table.columns), table.where)
    return _long(path, table, wanted) if _is_long(table, wanted) else Look(None, table)


def prose(table: Raw, apart: Iterable[str]) -> str | None:
    """The column that holds texts of several words, hardly any twice: the one of the longest; None where none does."""
    lengths = {name: _words(table, name) for name in table.columns if name not in set(apart)}
    found = {name: words for name, words in lengths.items() if words}
    return max(found, key=lambda name: statistics.fmean(found[name])) if found else None


def longest(table: Raw, name: str) -> int:
    """How many words the longest text of a column has."""
    return max(_words(table, name), default=1)


def marks(vocabulary: Path) -> Mapping[str, str | None]:
    """What a list of tokens calls its `pad`, `mask` and `unknown`, None where none of the usual names stands there.

    The JSON of a tokenizer is looked up when it is read, so nothing is said of it.
    """
    if vocabulary.stat().st_size > limits.LARGEST_VOCABULARY:
        return {}
    content = vocabulary.read_bytes().decode("utf-8-sig", errors="replace")
    names = set(content.splitlines())
    found = {key: next((name for name in usual if name in names), None) for key, usual in USUAL.items()}
    return {} if JSON.match(content) else found


def _words(table: Raw, name: str) -> list[int]:
    """How many words each distinct text of a column has; empty for a column that is no prose."""
    try:
        cells = table.cells(name)
    except InputError:
        return []
    if not cells.textual:
        return []
    names = cells.coded.used().names
    found = [sum(1 for _ in WORD.finditer(text[: limits.LONGEST_TEXT])) for text in names]
    long = bool(found) and statistics.fmean(found) >= FEWEST_WORDS and 2 * len(names) > table.rows
    return found if long else []


def _folder(path: Path, wanted: Mapping[str, str]) -> Look:
    """The size that most images have, and colour where one of them has any; every image is read once."""
    beside = images.read(path, ImageInput("image", (1, 1)), wanted, ()).beside
    names = tables.read(path / images.LABELS, {images.FILE: images.LABELS}).cells(images.FILE).coded.names
    found = [_size(path / name) for name in names[:MOST_OPENED]]
    (height, width), _ = Counter(size for size, _ in found).most_common(1)[0]
    return Look(_image(height, width, channels=1 if all(gray for _, gray in found) else 3), beside)


def _size(path: Path) -> tuple[tuple[int, int], bool]:
    """Height and width of an image that was read before, and whether it is gray."""
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=images.FORMATS) as picture:
            return (picture.height, picture.width), picture.mode in GRAY


def _holds_arrays(path: Path) -> bool:
    """Whether a file is an archive of arrays and not, for example, an Excel workbook, which is a zip archive too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(npz.SUFFIX) for name in archive.namelist())
    except npz.DAMAGED:
        return False


def _archive(path: Path, wanted: Mapping[str, str]) -> Look:
    found = npz.open_npz(path)
    if images.ARRAY in found.members:
        stacked = _stacked(found)
        return Look(stacked, images.read(path, stacked, wanted, ()).beside)
    if sequences.VALUES in found.members:
        values = _values(found)
        return Look(values, sequences.read(path, values, wanted, ()).beside)
    what = f"holds neither an array '{images.ARRAY}' nor an array '{sequences.VALUES}'"
    raise InputError(what, where=path, expected="images, or the values of sequences", do="save them under that name")


def _stacked(found: npz.Npz) -> ImageInput:
    """Channels are told by their number: 1 or 3, last or first."""
    shape = found.member(images.ARRAY).shape
    if len(shape) == 3:
        return _image(shape[1], shape[2], channels=1)
    if len(shape) == 4 and shape[3] in (1, 3):
        return _image(shape[1], shape[2], channels=shape[3])
    if len(shape) == 4 and shape[1] in (1, 3):
        return _image(shape[2], shape[3], channels=shape[1])
    raise npz.misshapen(found, images.ARRAY, f"{images.SHAPES}, with 1 or 3 channels")


def _values(found: npz.Npz) -> SequenceInput:
    """An array names no features, so they are counted."""
    shape = found.member(sequences.VALUES).shape
    if len(shape) != 3:
        raise npz.misshapen(found, sequences.VALUES, "rows × steps × features")
    return _sequence([f"feature {place + 1}" for place in range(shape[2])], shape[1])


def _image(height: int, width: int, *, channels: int) -> ImageInput:
    parts = max(1, min(PARTS, height, width))
    return ImageInput("image", (height, width), 1 if channels == 1 else 3, patches=parts)


def _sequence(features: Sequence[str], steps: int) -> SequenceInput:
    return SequenceInput("sequence", tuple(features), steps, segments=max(1, min(PARTS, steps)))


def _is_long(table: Raw, wanted: Mapping[str, str]) -> bool:
    """Whether each row is one step of a sequence: several rows an id, in which nothing wanted changes."""
    if not {sequences.ID, sequences.STEP} <= set(table.columns) - set(wanted):
        return False
    codes = table.cells(sequences.ID).coded.codes
    ids = len(np.unique(codes))
    pairs = [np.stack([codes, table.cells(name).coded.codes]) for name in wanted]
    return ids < table.rows and all(np.unique(pair, axis=1).shape[1] == ids for pair in pairs)


def _long(path: Path, table: Raw, wanted: Mapping[str, str]) -> Look:
    """Every other column of numbers is a feature; the longest sequence says how many steps."""
    table = replace(table, markers=usual_markers(table))
    apart = {sequences.ID, sequences.STEP, *wanted}
    known = [profile([table], name) for name in table.columns if name not in apart and not name.startswith(INDEX)]
    features = [each.column.name for each in known if each.column.kind == "number" and not each.unusable]
    if not features:
        raise InputError("has no column of numbers beside id and step", where=path, expected="features of each step")
    codes = table.cells(sequences.ID).coded.codes
    given = _sequence(features, int(np.unique(codes, return_counts=True)[1].max()))
    return Look(given, sequences.read(path, given, wanted, table.markers).beside)
