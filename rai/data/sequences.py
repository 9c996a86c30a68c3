"""An .npz of arrays, or a long table of one row a step, becomes sequences as a model takes them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import SequenceInput
from rai.data import limits, npz, tables
from rai.data.cells import Cells, Int64, Raw, show
from rai.data.found import Found
from rai.data.views import sequence_data
from rai.errors import InputError
from rai.subject import Bools, Floats, Ints

ID, STEP, VALUES, LENGTHS = "id", "step", "values", "lengths"
MEND = "fill the gap, or leave the row out"


def read(path: Path, given: SequenceInput, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Found:
    """Read all sequences as (v - mean) / scale, filled up with NaN to the card's steps.

    `path` is an .npz with `values` (rows, steps, features) and perhaps `lengths` (rows,), or a CSV or Parquet table
    with the columns `id`, `step` and the features: steps are put in order, and only their order counts. `wanted` maps
    further arrays or columns, of one value a sequence, to what asks for them. Raises `InputError` naming the row.
    """
    return _archive(path, given, wanted) if npz.is_archive(path) else _long(path, given, wanted, markers)


def _archive(path: Path, given: SequenceInput, wanted: Mapping[str, str]) -> Found:
    found = npz.open_npz(path)
    member = found.member(VALUES)
    if len(member.shape) != 3 or member.shape[2] != len(given.features) or member.dtype.kind not in "fiu":
        raise npz.misshapen(found, VALUES, f"rows × steps × {len(given.features)} features as the card says")
    if 0 in member.shape:
        raise InputError("holds no rows", where=path, do="name a file with data")
    limits.require_numbers(member.shape[0], given.steps * member.shape[2], path)
    values = found.array(VALUES)
    lengths = _declared(found, values) if LENGTHS in found.members else ends(values)
    _require_lengths(lengths, given.steps, path)
    require_whole(values, lengths, given.features, path)
    beside = npz.sides(found, wanted, len(values), (VALUES, LENGTHS))
    inputs = _filled(_pieces(values, lengths), len(values), given, path)
    return Found(sequence_data(inputs, given.features, given.segments, beside.source), beside)


def ends(values: Floats) -> Ints:
    """How many steps each sequence has before nothing but NaN follows, (rows,)."""
    return lengths_where(np.asarray(~np.isnan(values).all(axis=2)))


def lengths_where(there: Bools) -> Ints:
    """How many places each row has up to the last that is `there` (rows, places), (rows,)."""
    return np.asarray((there.shape[1] - np.argmax(there[:, ::-1], axis=1)) * there.any(axis=1))


def require_whole(values: Floats, lengths: Ints, features: tuple[str, ...], where: object) -> None:
    """Raise `InputError` for a sequence without steps, and for a value within one that is no finite number."""
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise InputError(f"row {empty[0] + 1} (the first is 1) has no step", where=where, do="leave such rows out")
    bad = ~np.isfinite(values) & (np.arange(values.shape[1]) < lengths[:, None])[:, :, None]
    if bad.any():
        row, step, feature = (int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
        what = "is missing" if np.isnan(values[row, step, feature]) else "is not a finite number"
        place = f"row {row + 1}, step {step + 1}, feature {show(features[feature])} (the first is 1)"
        raise InputError(f"{place}: the value {what}", where=where, do=MEND)


def _declared(found: npz.Npz, values: NDArray[Any]) -> Int64:
    member = found.member(LENGTHS)
    if member.shape != (len(values),) or member.dtype.kind not in "iu":
        raise npz.misshapen(found, LENGTHS, f"one whole number for each of {len(values):,} rows")
    lengths = found.array(LENGTHS)
    wrong = np.flatnonzero((lengths < 1) | (lengths > values.shape[1]))
    if len(wrong):
        what = f"array 'lengths', row {wrong[0] + 1} (the first is 1) is {lengths[wrong[0]]}"
        raise InputError(what, where=found.path, expected=f"a number of steps from 1 to {values.shape[1]:,}")
    return np.asarray(lengths, dtype=np.int64)


def _require_lengths(lengths: Ints, steps: int, where: object, name: str = "row") -> None:
    wrong = np.flatnonzero(lengths > steps)
    if len(wrong):
        what = f"{name} {wrong[0] + 1} (the first is 1) has {lengths[wrong[0]]:,} steps"
        raise InputError(what, where=where, expected=f"at most {steps:,}, as the card says", do="cut the sequences")


def _pieces(values: NDArray[Any], lengths: Ints) -> Iterator[Floats]:
    return (row[:length] for row, length in zip(values, lengths, strict=True))


def _filled(pieces: Iterator[Floats], rows: int, given: SequenceInput, path: Path) -> NDArray[np.float32]:
    mean, scale = (np.asarray(each or none, dtype=np.float64) for each, none in ((given.mean, 0.0), (given.scale, 1.0)))
    inputs = np.full((rows, given.steps, len(given.features)), np.nan, dtype=np.float32)
    for row, piece in enumerate(pieces):
        with np.errstate(over="ignore"):
            inputs[row, : len(piece)] = (np.asarray(piece, dtype=np.float64) - mean) / scale
    if np.isinf(inputs).any():
        row = int(np.argmax(np.isinf(inputs).any(axis=(1, 2))))
        what = f"row {row + 1} (the first is 1) holds a value too large for a 32-bit number"
        raise InputError(what, where=path, do="mend it, or check mean and scale")
    return inputs


def _long(path: Path, given: SequenceInput, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Found:
    own = dict.fromkeys((ID, STEP, *given.features), "input in the card")
    table = tables.read(path, own | dict(wanted), markers)
    places, first = _sequences(table)
    lengths = np.bincount(places)
    limits.require_numbers(len(first), given.steps * len(given.features), path)
    _require_lengths(lengths, given.steps, path, "sequence")
    order = _in_order(table, places)
    values = np.stack([_numbers(table.cells(name)) for name in given.features], axis=1)[order]
    inputs = _filled(iter(np.split(values, np.cumsum(lengths)[:-1])), len(first), given, path)
    beside = _constant(table, wanted, places, first)
    return Found(sequence_data(inputs, given.features, given.segments, table.source), beside)


def _sequences(table: Raw) -> tuple[Int64, Int64]:
    """For each row of the table its sequence, in order of appearance, and each sequence's first row."""
    cells = table.cells(ID)
    cells.refuse(cells.missing, "names no sequence", do="give each row an id", cell=False)
    _, first, codes = np.unique(cells.coded.codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes.ravel()], first[order]


def _in_order(table: Raw, places: Int64) -> Int64:
    """The table's rows by sequence and step; raise `InputError` where a sequence has a step twice."""
    cells = table.cells(STEP)
    cells.refuse(cells.missing, "the step is missing", do="number the steps", cell=False)
    steps = cells.numbers
    order = np.lexsort((steps, places))
    same = (np.diff(places[order]) == 0) & (np.diff(steps[order]) == 0)
    twice = np.zeros(len(order), dtype=np.bool_)
    twice[order[1:][same]] = True
    if twice.any():
        named = show(table.cells(ID).text(int(np.argmax(twice))))
        cells.refuse(twice, "stands twice in a sequence", do=f"give each step of {named} its own number")
    return np.asarray(order, dtype=np.int64)


def _numbers(cells: Cells) -> Floats:
    found = cells.numbers
    cells.refuse(cells.missing, "the value is missing", do=MEND, cell=False)
    return found


def _constant(table: Raw, wanted: Mapping[str, str], places: Int64, first: Int64) -> Raw:
    """The wanted columns with one row a sequence; raise `InputError` where one changes within a sequence."""
    for name in wanted:
        cells = table.cells(name)
        codes = cells.coded.codes
        cells.refuse(
            codes != codes[first][places],
            "differs from the same sequence's first row",
            expected="one value for each id",
        )
    kept = {name: table.columns[name].take(_positions(first)) for name in wanted}
    return replace(table, where=f"{table.where} (one row for each id)", columns=kept, rows=len(first))


def _positions(rows: Int64) -> Any:
    import pyarrow as pa

    return pa.array(rows)
