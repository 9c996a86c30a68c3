"""CSV files: every cell read as text, and refused when the file's structure leaves its meaning open (RFC 4180)."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rai.data import limits
from rai.data.cells import Int64, and_more
from rai.errors import InputError
from rai.subject import Bools

QUOTE, COMMA, LINE_FEED, RETURN = 34, 44, 10, 13
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
BOM = b"\xef\xbb\xbf"
PIECE = 1 << 20
NO_CELLS = "every row with as many cells as the header"
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Header:
    """The first line: column names, and where the rows begin."""

    names: tuple[str, ...]
    end: int


def read_header(head: bytes, where: str) -> Header:
    """Read the column names from the first bytes of a file; raise `InputError` when they are no CSV header."""
    start = len(BOM) if head.startswith(BOM) else 0
    _require_text(head, where)
    end = _first_end(head, where)
    _require_utf8(head[:end], where)
    line = head[start:end].decode()
    names = _split(line, where)
    limits.require_columns(len(names), where)
    if len(names) == 1 and '"' not in line:
        _require_commas(line, where)
    return Header(names, end)


def read_rows(content: bytes, header: Header, wanted: Sequence[str], where: str) -> dict[str, Any]:
    """Read the wanted columns as pyarrow text arrays; raise `InputError` for the first row that is broken."""
    _require_text(content, where)
    _require_utf8(content, where)
    _require_quotes(content, where)
    lines = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
    limits.require_cells(lines, len(header.names), where)
    if not content[header.end :].strip(b"\r\n"):
        raise InputError("has a header but no rows", where=where, do="name a file with data")
    return _parse(content, header, wanted, where)


def _parse(content: bytes, header: Header, wanted: Sequence[str], where: str) -> dict[str, Any]:
    import pyarrow as pa
    from pyarrow import csv as reader

    ragged: list[Any] = []
    try:
        table = reader.read_csv(
            pa.py_buffer(content).slice(header.end),
            read_options=_blocks(header),
            parse_options=_strictly(header, ragged, quoted=b'"' in content),
            convert_options=_as_text(header, wanted),
        )
    except pa.ArrowException:
        raise InputError(
            f"has a row longer than {limits.LONGEST_ROW >> 20} MiB or is damaged", where=where, expected="a CSV table"
        ) from None
    _require_even(ragged, where)
    return {name: table[name].combine_chunks() for name in wanted}


def _blocks(header: Header) -> Any:
    from pyarrow import csv as reader

    return reader.ReadOptions(column_names=header.names, use_threads=False, block_size=limits.LONGEST_ROW)


def _strictly(header: Header, ragged: list[Any], *, quoted: bool) -> Any:
    from pyarrow import csv as reader

    def skip(row: Any) -> str:
        ragged.append(row)
        return "skip"

    return reader.ParseOptions(
        newlines_in_values=quoted, ignore_empty_lines=len(header.names) > 1, invalid_row_handler=skip
    )


def _as_text(header: Header, wanted: Sequence[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as reader

    return reader.ConvertOptions(
        column_types=dict.fromkeys(header.names, pa.large_string()),
        include_columns=list(wanted),
        strings_can_be_null=False,
    )


def _require_even(ragged: Sequence[Any], where: str) -> None:
    if not ragged:
        return
    row = ragged[0]
    has = f"has {row.actual_columns} cells where the header names {row.expected_columns} columns"
    what = f"data row {row.number} (the first is 1) {has}{and_more(len(ragged) - 1)}"
    raise InputError(what, where=where, expected=NO_CELLS, do="mend it, or quote cells that hold commas")


def _require_text(content: bytes, where: str) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError("is UTF-16 text", where=where, expected="UTF-8", do="save it as CSV UTF-8")
    at = content.find(b"\0")
    if at >= 0:
        raise InputError(f"holds a zero byte in {_row_of(content, at)}", where=where, expected="a CSV table as text")


def _require_utf8(content: bytes, where: str) -> None:
    if content.isascii():
        return
    at = _first_invalid(content)
    if at is not None:
        what = f"byte {at + 1:,} (0x{content[at]:02x}, in {_row_of(content, at)}) is not UTF-8 text"
        raise InputError(what, where=where, do="save the file as CSV UTF-8")


def _first_invalid(content: bytes) -> int | None:
    """Find the first byte that is not UTF-8, a mebibyte at a time so that no copy of the whole is made."""
    at = 0
    while at < len(content):
        piece = content[at : at + PIECE]
        last = at + PIECE >= len(content)
        try:
            piece.decode()
            at += len(piece)
        except UnicodeDecodeError as error:
            if last or error.end < len(piece):
                return at + error.start
            at += error.start  # a character cut by the edge of the piece: begin the next piece with it
    return None


def _require_quotes(content: bytes, where: str) -> None:
    """Refuse a quote sign that opens inside a cell, closes before the cell's end, or is never closed."""
    marks = np.frombuffer(content, np.uint8)
    at = np.flatnonzero(marks == QUOTE)
    broken = _first_broken(marks, at)
    if broken is not None:
        what = f"a quote sign in {_row_of(content, int(at[broken]))} is not closed or stands inside a cell"
        raise InputError(what, where=where, do='close it, or write "" for a quote sign inside a quoted cell')


def _first_broken(marks: Bytes, at: Int64) -> int | None:
    """Position among the quote signs of the first one that opens a badly quoted cell."""
    edges = np.array([COMMA, LINE_FEED, RETURN, QUOTE], np.uint8)
    body = len(BOM) if marks[: len(BOM)].tobytes() == BOM else 0
    opens, closes = at[0::2], at[1::2]
    good = np.isin(marks[opens - 1], edges) | (opens == body)
    after = np.isin(marks[np.minimum(closes + 1, len(marks) - 1)], edges) | (closes == len(marks) - 1)
    good[: len(closes)] &= after
    if len(at) % 2:
        good[-1] = False
    return None if good.all() else 2 * int(np.argmin(good))


def _row_of(content: bytes, at: int) -> str:
    """Say which data row the byte at this position belongs to, counting as the reader does."""
    ends = _line_ends(np.frombuffer(content, np.uint8, count=at))
    lines = np.count_nonzero(np.diff(ends, prepend=-1) > 1)
    return f"data row {lines} (the first is 1)" if lines else "the header"


def _line_ends(marks: Bytes) -> Int64:
    """Positions of line ends that are not inside quotes."""
    ends = np.flatnonzero((marks == LINE_FEED) | (marks == RETURN))
    quotes = np.flatnonzero(marks == QUOTE)
    outside: Bools = np.searchsorted(quotes, ends) % 2 == 0
    return np.asarray(ends[outside], dtype=np.int64)


def _first_end(head: bytes, where: str) -> int:
    ends = _line_ends(np.frombuffer(head, np.uint8))
    if len(ends):
        at = int(ends[0])
        return at + 2 if head[at : at + 2] == b"\r\n" else at + 1
    if len(head) >= limits.LONGEST_HEADER:
        raise InputError("its first line is longer than 1 MiB", where=where, expected="a CSV table with a header")
    if head.count(b'"') % 2:
        raise InputError("a quote sign in the header is not closed", where=where, do="close it")
    raise InputError("has a header but no rows", where=where, do="name a file with data")


def _split(line: str, where: str) -> tuple[str, ...]:
    try:
        rows = list(csv.reader(io.StringIO(line, newline=""), strict=True))
    except csv.Error:
        raise InputError("the quotes in the header are broken", where=where, do="mend the first line") from None
    if not rows or not rows[0]:
        raise InputError("the first line is empty", where=where, expected="the names of the columns")
    return tuple(rows[0])


def _require_commas(line: str, where: str) -> None:
    """Refuse a header without a comma that holds other separators: the file was not written with commas."""
    for sign, word in SEPARATORS.items():
        if sign in line:
            raise InputError(f"is separated by {word}", where=where, expected="commas", do="save it with commas")
