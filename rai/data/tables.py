"""Files become raw tables. What a file is, its first bytes say, never its name."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rai.data import arrow_files, csv_text, limits
from rai.data.cells import Raw, listed, show
from rai.errors import InputError
from rai.files import require_file
from rai.subject import Source

KINDS: Mapping[bytes, str] = {
    b"\x1f\x8b": "gzip-compressed",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"\x04\x22\x4d\x18": "lz4-compressed",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"ORC": "an ORC file",
    b"FEA1": "a Feather file of version 1",
    b"\x80\x02": "a pickle, which can run code",
    b"\x80\x03": "a pickle, which can run code",
    b"\x80\x04": "a pickle, which can run code",
    b"\x80\x05": "a pickle, which can run code",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
READABLE = "a table in CSV, Parquet or Feather"
PARQUET = b"PAR1"
COMPARED = 100


def read(path: Path, wanted: Mapping[str, str] | None = None, markers: tuple[str, ...] = ()) -> Raw:
    """Read a table; `wanted` maps the columns to read to what asks for them (None reads every column).

    Raises `InputError` when the file is no table, is too large, is damaged, or lacks a wanted column.
    """
    require_file(path, do="give the path of a CSV, Parquet or Feather file")
    where = str(path)
    content = _content(path)
    columns = _columns(content, wanted, where)
    rows = len(next(iter(columns.values()))) if columns else 0
    if not rows:
        raise InputError("holds no rows", where=where, do="name a file with data")
    return Raw(where, columns, rows, Source(path.name, hashlib.sha256(content).hexdigest()), markers)


def _content(path: Path) -> bytes:
    """Read the whole file, once its size and its first mebibyte are known to be acceptable."""
    where = str(path)
    limits.require_file_size(path.stat().st_size, where)
    try:
        with path.open("rb") as stream:
            head = stream.read(limits.LONGEST_HEADER)
            _require_table(head, where)
            stream.seek(0)
            return stream.read(limits.LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=where) from None


def _require_table(head: bytes, where: str) -> None:
    for start, kind in KINDS.items():
        if head.startswith(start):
            raise InputError(f"is {kind}", where=where, expected=READABLE, do="convert it first")
    if not head.startswith((PARQUET, arrow_files.FEATHER)):
        csv_text.read_header(head, where)


def _columns(content: bytes, wanted: Mapping[str, str] | None, where: str) -> dict[str, Any]:
    if content.startswith(PARQUET):
        parquet = arrow_files.open_parquet(content, where)
        return arrow_files.parquet_columns(parquet, _choose(parquet.names, wanted, where), where)
    if content.startswith(arrow_files.FEATHER):
        feather = arrow_files.open_feather(content, where)
        return arrow_files.feather_columns(feather, _choose(feather.names, wanted, where), where)
    header = csv_text.read_header(content[: limits.LONGEST_HEADER], where)
    return csv_text.read_rows(content, header, _choose(header.names, wanted, where), where)


def _choose(names: Sequence[str], wanted: Mapping[str, str] | None, where: str) -> tuple[str, ...]:
    """Return the columns to read, when the header names each of them and names nothing twice."""
    _require_distinct(names, where)
    for name, asks in (wanted or {}).items():
        if name not in names:
            raise lacks(name, asks, names, where)
    return tuple(names if wanted is None else wanted)


def _require_distinct(names: Sequence[str], where: str) -> None:
    if len(set(names)) == len(names):
        return
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    verb = "stands" if len(twice) == 1 else "stand"
    raise InputError(f"column {listed(twice)} {verb} twice in the header", where=where, do="give each its own name")


def lacks(name: str, asks: str, names: Sequence[str], where: str) -> InputError:
    """Say that a column is not in the file, what asked for it, and which names come nearest."""
    near = difflib.get_close_matches(name[:COMPARED], [each[:COMPARED] for each in names], n=3, cutoff=0.5)
    known = f"nearest: {listed(near)}" if near else f"columns: {listed(names)}"
    what = f"no column {show(name)}, named by {asks}"
    return InputError(f"{what}; {known}", where=where, outward=what)
