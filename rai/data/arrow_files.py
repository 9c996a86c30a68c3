"""Parquet and Feather files: declared sizes are read first, lest a small file unpack into a huge one."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rai.data import limits
from rai.errors import InputError

FEATHER = b"ARROW1"
DICTIONARY, BATCH = 2, 3
CONTINUED = 0xFFFFFFFF
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    struct.error,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Opened:
    """A file whose sizes are acceptable: the names of its columns, and the reader that will read them."""

    names: tuple[str, ...]
    reader: Any


def open_parquet(content: bytes, where: str) -> Opened:
    """Open a Parquet file by its footer alone; raise `InputError` when it is damaged or declares too much."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.ParquetFile(pa.BufferReader(content), read_dictionary=_texts(content))
        names = tuple(found.schema_arrow.names)
    except DAMAGED:
        raise _damaged("Parquet", where) from None
    about = found.metadata
    limits.require_columns(about.num_columns, where)
    limits.require_cells(about.num_rows, max(about.num_columns, 1), where)
    limits.require_memory(sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)), where)
    return Opened(names, found)


def _texts(content: bytes) -> list[str]:
    """Names of the text columns: they are read as dictionaries, so a long text that repeats is held once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(pa.BufferReader(content))
    return [part.name for part in schema if pa.types.is_string(part.type) or pa.types.is_large_string(part.type)]


def parquet_columns(file: Opened, wanted: Sequence[str], where: str) -> dict[str, Any]:
    """Read the wanted columns of an open Parquet file as pyarrow arrays."""
    try:
        return _columns(file.reader.read(columns=list(wanted)), wanted)
    except DAMAGED:
        raise _damaged("Parquet", where) from None


def open_feather(content: bytes, where: str) -> Opened:
    """Open a Feather (Arrow IPC) file after adding up what its parts would unpack to."""
    import pyarrow as pa

    stream = pa.py_buffer(content).slice(8)
    try:
        sizes = list(_sizes(memoryview(content)))
        found = pa.ipc.open_stream(stream)
        names = tuple(found.schema.names)
    except DAMAGED:
        raise _damaged("Feather", where) from None
    limits.require_columns(len(names), where)
    limits.require_cells(sum(rows for rows, _ in sizes), max(len(names), 1), where)
    limits.require_memory(sum(size for _, size in sizes), where)
    return Opened(names, found)


def feather_columns(file: Opened, wanted: Sequence[str], where: str) -> dict[str, Any]:
    """Read the wanted columns of an open Feather file as pyarrow arrays."""
    try:
        return _columns(file.reader.read_all(), wanted)
    except DAMAGED:
        raise _damaged("Feather", where) from None


def _columns(table: Any, wanted: Sequence[str]) -> dict[str, Any]:
    """Take columns out of an Arrow table, checked to the last offset because the file may lie."""
    table.validate(full=True)
    return {name: _one(table.column(name)) for name in wanted}


def _one(column: Any) -> Any:
    """One array of a column's pieces, with one dictionary."""
    import pyarrow as pa

    found = column.unify_dictionaries().combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _damaged(kind: str, where: str) -> InputError:
    return InputError(f"cannot be read as {kind}", where=where, expected="an undamaged file", do="write it again")


def _sizes(content: memoryview) -> Iterator[tuple[int, int]]:
    """Rows and unpacked bytes of each part of an Arrow stream, from the parts' own headers.

    The headers are flatbuffers (Arrow columnar format 1.4, section "Encapsulated message format"); a compressed
    buffer begins with its unpacked length as a 64-bit integer, -1 for "stored as it is".
    """
    at = 8
    while part := _part(content, at):
        at = part.end
        kind = part.head[_need(_field(part.head, part.root, 1))]
        if kind not in {DICTIONARY, BATCH}:
            continue
        batch = _follow(part.head, _need(_field(part.head, part.root, 2)))
        if kind == DICTIONARY:
            batch = _follow(part.head, _need(_field(part.head, batch, 1)))
        yield _batch_size(part.head, batch, part.body)


@dataclass(frozen=True)
class Part:
    """One message of an Arrow stream: its header, where the header's table lies, its body, and where it ends."""

    head: memoryview
    root: int
    body: memoryview
    end: int


def _part(content: memoryview, at: int) -> Part | None:
    """The message at this place, None at the end; raise `ValueError` when it claims more bytes than there are."""
    if at + 8 > len(content):
        return None
    mark, size = struct.unpack_from("<Ii", content, at)
    if mark != CONTINUED or size < 0:
        raise ValueError
    if size == 0:
        return None
    head = content[at + 8 : at + 8 + size]
    root = struct.unpack_from("<I", head, 0)[0]
    field = _field(head, root, 3)
    length = struct.unpack_from("<q", head, field)[0] if field else 0
    end = at + 8 + size + length
    if length < 0 or end > len(content):
        raise ValueError
    return Part(head, root, content[at + 8 + size : end], end)


def _batch_size(head: memoryview, batch: int, body: memoryview) -> tuple[int, int]:
    length = _field(head, batch, 0)
    rows = struct.unpack_from("<q", head, length)[0] if length else 0
    packed = _field(head, batch, 3) > 0
    vector = _follow(head, _need(_field(head, batch, 2)))
    count = struct.unpack_from("<I", head, vector)[0]
    spans = struct.iter_unpack("<qq", head[vector + 4 : vector + 4 + 16 * count])
    return rows, sum(_unpacked(body, start, size, packed=packed) for start, size in spans)


def _unpacked(body: memoryview, start: int, size: int, *, packed: bool) -> int:
    """How many bytes one buffer takes in memory; raise `ValueError` when it does not lie within the body."""
    if start < 0 or size < 0 or start + size > len(body):
        raise ValueError
    length = struct.unpack_from("<q", body, start)[0] if packed and size >= 8 else -1
    return size if length < 0 else int(length)


def _field(head: memoryview, table: int, number: int) -> int:
    """Position of a field of a flatbuffer table, 0 where the field is left out."""
    names = table - struct.unpack_from("<i", head, table)[0]
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", head, names)[0]:
        return 0
    offset = int(struct.unpack_from("<H", head, names + slot)[0])
    return table + offset if offset else 0


def _follow(head: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", head, at)[0])


def _need(at: int) -> int:
    if not at:
        raise ValueError
    return at
