"""Arrays and data frames already in memory become data to try a model on; nothing handed in is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rai.card import Task
from rai.data import arrays
from rai.data.cells import Cells, Raw, number_text
from rai.data.columns import Float32
from rai.data.groups import group, is_numeric, require_bands
from rai.data.labels import class_labels, require_classes, targets
from rai.data.limits import MOST_NUMERIC_LEVELS, MOST_TEXT_CLASSES
from rai.data.tables import lacks
from rai.errors import InputError
from rai.subject import Bools, Data, Floats, Groups, Ints, Player, Source

STEM = "x"
"""What the columns of a bare array are called after: x0, x1, …"""


@dataclass(frozen=True)
class Table:
    """Data from memory, with the classes (sorted, the last one positive) and the task that the labels suggest.

    `texts` holds the distinct texts of each text column in the order of their codes.
    """

    data: Data
    classes: tuple[str, ...]
    task: Task
    texts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Answers:
    """What each row should have been answered with: class positions (int64) or values (float64)."""

    labels: Floats | Ints
    classes: tuple[str, ...]
    task: Task


@dataclass(frozen=True)
class View:
    """Rows as numbers: `numbers` (rows, columns) with NaN where a number is missing, and which cells are missing."""

    numbers: Float32
    missing: Bools

    def filled(self) -> Float32:
        """The numbers, each missing one replaced by the median of its column (0 where the whole column is missing)."""
        gaps = np.isnan(self.numbers)
        if not gaps.any():
            return self.numbers
        known = self.numbers.copy()
        for place in np.flatnonzero(gaps.any(axis=0)):
            empty = gaps[:, place]
            known[empty, place] = 0.0 if empty.all() else np.median(known[~empty, place])
        return known


def from_frames(  # noqa: PLR0913 - rows, labels and groups, and how each is to be read
    X: Any,
    y: Any,
    *,
    sensitive_features: Any = None,
    classes: Sequence[Any] | None = None,
    bands: Mapping[str, Sequence[float]] | None = None,
    name: str = "in memory",
    like: Table | None = None,
) -> Table:
    """Take rows, labels and sensitive columns from NumPy, pandas or Polars.

    Rows are matched by position. `inputs` is a copy in the caller's precision, frames as pandas; `features` its 32-bit
    view, with the column's median where a number is missing, and category codes, -1 where a text is. Without `classes`,
    text, truth values and up to 20 whole numbers are classes in sorted order; other numbers are values to predict, and
    so is every number where `classes` is empty. With `like`, task, classes, columns and the codes of texts are those of
    that table, so that rows of both compare. Raises `InputError` naming column and row (the first is 1).
    """
    rows = _ordered(arrays.table_of(X, f"{name}: X", STEM), like)
    answers = arrays.table_of(y, f"{name}: y", "y")
    arrays.require_aligned(("X", X), ("y", y))
    arrays.require_lengths({"X": rows, "y": answers})
    groups = {}
    if sensitive_features is not None:
        for other in (("X", X), ("y", y)):
            arrays.require_aligned(other, ("sensitive_features", sensitive_features))
        sensitive = arrays.table_of(sensitive_features, f"{name}: sensitive_features", "sensitive_feature")
        arrays.require_lengths({"X": rows, "sensitive_features": sensitive})
        groups = _groups(sensitive, bands or {}, name)
    answered = _answers(_only(answers), classes, like)
    texts = _texts(rows, like.texts if like else {})
    data = replace(_data(X, rows, answered, groups, texts), source=Source(name))
    return Table(data, answered.classes, answered.task, texts)


def _groups(sensitive: Raw, bands: Mapping[str, Sequence[float]], name: str) -> dict[str, Groups]:
    require_bands(bands, sensitive.columns, name)
    return {each: group(sensitive.cells(each), bands.get(each), varied=True) for each in sensitive.columns}


def _ordered(rows: Raw, like: Table | None) -> Raw:
    """The columns that the other table has, in its order; columns without names are matched by position."""
    wanted = [player.name for player in like.data.players] if like else list(rows.columns)
    unnamed = any(list(names) == [f"{STEM}{place}" for place in range(len(names))] for names in (wanted, rows.columns))
    if unnamed and len(wanted) == len(rows.columns):
        return rows
    for name in wanted:
        if name not in rows.columns:
            raise lacks(name, "X", tuple(rows.columns), rows.where)
    return replace(rows, columns={name: rows.columns[name] for name in wanted})


def _only(table: Raw) -> Cells:
    """The one column of labels."""
    if len(table.columns) != 1:
        raise InputError(f"has {len(table.columns)} columns", where=table.where, expected="one label a row")
    return table.cells(next(iter(table.columns)))


def _answers(cells: Cells, classes: Sequence[Any] | None, like: Table | None) -> Answers:
    if like is not None:
        regression = like.task == "regression"
        labels = targets(cells) if regression else class_labels(cells, like.classes, varied=False)
        return Answers(labels, like.classes, like.task)
    names = _inferred(cells) if classes is None else tuple(class_name(each) for each in classes)
    if not names:
        return Answers(targets(cells), (), "regression")
    task: Task = "binary" if len(names) == 2 else "multiclass"
    if classes:
        require_classes(task, names)
    return Answers(class_labels(cells, names, varied=not classes), names, task)


def class_name(value: Any) -> str:
    """A class as text: 1, 1.0 and numpy's 1 are "1", True is "True"."""
    plain = value.item() if isinstance(value, np.generic) else value
    return number_text(plain) if isinstance(plain, float) else str(plain).strip()


def _inferred(cells: Cells) -> tuple[str, ...]:
    """The classes the labels suggest, sorted; none where they are values to predict."""
    if not cells.textual and not _few_whole(cells):
        return ()
    coded = cells.coded.stripped().used()
    if len(coded.names) > MOST_TEXT_CLASSES:
        what = f"is text with {len(coded.names):,} distinct values"
        cells.complain(what, expected=f"numbers, or at most {MOST_TEXT_CLASSES} classes")
    return tuple(sorted(coded.names, key=float) if is_numeric(coded) else sorted(coded.names))


def _few_whole(cells: Cells) -> bool:
    """Whether the numbers are whole and few enough to be classes."""
    distinct = np.unique(cells.numbers[~cells.missing])
    return len(distinct) <= MOST_NUMERIC_LEVELS and bool(np.all(distinct == np.floor(distinct)))


def _texts(rows: Raw, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Distinct texts of each text column: those known already keep their places, new ones follow in sorted order."""
    columns = [rows.cells(each) for each in rows.columns]
    found = {cells.name: cells.coded.used().names for cells in columns if cells.textual}
    before = {name: known.get(name, ()) for name in found}
    return {name: (*before[name], *sorted(set(names) - set(before[name]))) for name, names in found.items()}


def _data(
    X: Any, rows: Raw, answers: Answers, groups: Mapping[str, Groups], texts: Mapping[str, tuple[str, ...]]
) -> Data:
    columns = [rows.cells(each) for each in rows.columns]
    view = _view(columns, rows.rows, texts)
    return Data(
        kind="table",
        inputs=arrays.own_copy(X, text=bool(texts)),
        features=view.filled(),
        labels=answers.labels,
        groups=groups,
        players=tuple(Player(cells.name, (place,)) for place, cells in enumerate(columns)),
        missing=view.missing,
    )


def _view(columns: Sequence[Cells], rows: int, texts: Mapping[str, tuple[str, ...]]) -> View:
    numbers = np.zeros((rows, len(columns)), dtype=np.float32)
    missing = np.zeros((rows, len(columns)), dtype=np.bool_)
    for place, cells in enumerate(columns):
        missing[:, place] = cells.missing
        _write(cells, numbers[:, place], texts.get(cells.name, ()))
    return View(numbers, missing)


def _write(cells: Cells, column: Float32, texts: tuple[str, ...]) -> None:
    """Write one column's numbers, or the places of its texts."""
    if cells.textual:
        coded, places = cells.coded.used(), {text: place for place, text in enumerate(texts)}
        column[:] = np.array([*(places[text] for text in coded.names), -1])[coded.codes]
        return
    with np.errstate(over="ignore"):
        column[:] = cells.numbers
    cells.refuse(np.isinf(column), "is too large for a 32-bit number", do="scale the column first")
