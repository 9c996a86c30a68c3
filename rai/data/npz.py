"""NumPy's .npz archives: what they declare is read first, pickled objects never are."""

import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from rai.data import limits
from rai.data.cells import Raw, listed, show
from rai.data.tables import lacks
from rai.errors import InputError
from rai.files import require_file, sha256
from rai.subject import Source

LONGEST_HEADER = 10_000
SUFFIX = ".npy"
ENCRYPTED = 1
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAGIC = b"PK\x03\x04"
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    SyntaxError,
    MemoryError,
)


@dataclass(frozen=True)
class Member:
    """An array as its header declares it: nothing is unpacked yet."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes once unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Npz:
    """An archive whose sizes are acceptable, and its arrays by name."""

    path: Path
    members: Mapping[str, Member]

    def member(self, name: str) -> Member:
        """What an array is declared to be; raise `InputError` where there is none of this name."""
        if name not in self.members:
            raise InputError(f"holds no array {show(name)}", where=self.path, expected=listed(self.members) or "arrays")
        return self.members[name]

    def array(self, name: str) -> NDArray[Any]:
        """Unpack one array, in the machine's byte order."""
        declared = self.member(name)
        with _telling(self.path), zipfile.ZipFile(self.path) as archive, archive.open(name + SUFFIX) as stream:
            found = npy.read_array(stream, allow_pickle=False, max_header_size=LONGEST_HEADER)
        return found.astype(declared.dtype.newbyteorder("="), copy=False)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn whatever a damaged archive raises into one line."""
    try:
        yield
    except InputError:
        raise
    except DAMAGED:
        raise damaged(path) from None


def damaged(path: Path) -> InputError:
    """Say that an archive cannot be read."""
    return InputError(
        "cannot be read as .npz", where=path, expected="an undamaged file written by numpy.savez", do="write it again"
    )


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def open_npz(path: Path) -> Npz:
    """Read the headers of all arrays; raise `InputError` for pickled objects or more than 4 GiB once unpacked."""
    require_file(path, do="give the path of an .npz file")
    limits.require_file_size(path.stat().st_size, path)
    with _telling(path), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > limits.MOST_ARRAYS:
            raise InputError(f"holds {len(entries):,} files", where=path, expected=f"at most {limits.MOST_ARRAYS:,}")
        found = {each.filename.removesuffix(SUFFIX): _member(archive, each, path) for each in entries}
    limits.require_memory(sum(each.size for each in found.values()), path)
    return Npz(path, found)


def sides(npz: Npz, wanted: Mapping[str, str], rows: int, inputs: Iterable[str]) -> Raw:
    """The arrays that stand beside the inputs, one value a row; `wanted` maps each to what asks for it."""
    import pyarrow as pa

    beside = [name for name in npz.members if name not in set(inputs)]
    columns = {}
    for name, asks in wanted.items():
        if name not in beside:
            raise lacks(name, asks, beside, str(npz.path))
        shape = npz.members[name].shape
        if shape != (rows,):
            what = f"array {show(name)} has shape {_written(shape)}"
            raise InputError(what, where=npz.path, expected=f"one value for each of {rows:,} rows")
        columns[name] = pa.array(npz.array(name), from_pandas=True)
    return Raw(str(npz.path), columns, rows, Source(npz.path.name, sha256(npz.path)))


def misshapen(npz: Npz, name: str, expected: str) -> InputError:
    """Say that an array has another shape than it should."""
    return InputError(
        f"array {show(name)} has shape {_written(npz.member(name).shape)}", where=npz.path, expected=expected
    )


def _written(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "of one number"


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Member:
    if not entry.filename.endswith(SUFFIX) or entry.compress_type not in PLAIN or entry.flag_bits & ENCRYPTED:
        raise InputError(
            f"holds {show(entry.filename)}, which is no array", where=path, expected="a file written by numpy.savez"
        )
    with archive.open(entry) as stream:
        found, begins = _header(stream), stream.tell()
    _require_plain(found, show(entry.filename.removesuffix(SUFFIX)), path)
    if begins + found.size > entry.file_size:
        raise damaged(path)
    return found


def _header(stream: IO[bytes]) -> Member:
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, _, dtype = readers[version](stream, max_header_size=LONGEST_HEADER)
    return Member(shape, dtype)


def _require_plain(found: Member, name: str, path: Path) -> None:
    if found.dtype.hasobject:
        what = f"array {name} holds pickled Python objects, which can run code"
        raise InputError(what, where=path, expected="numbers or text", do="save it with a plain dtype")
    if found.dtype.kind not in "fiubU" or (found.dtype.kind == "f" and found.dtype.itemsize > 8):
        what = f"array {name} holds values of kind {found.dtype}"
        raise InputError(what, where=path, expected="numbers, truth values or text")
    if any(side < 0 for side in found.shape):
        raise damaged(path)
