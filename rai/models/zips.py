"""Looks into zip archives with bounds: few entries, nothing packed, nothing overlapping, nothing twice."""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from rai.errors import InputError
from rai.models.guard import guarded

MOST_ENTRIES = 50_000
LONGEST_DIRECTORY = 8 << 20
LOCAL = b"PK\x03\x04"
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
TAIL = 66_000
AGAIN = "save or copy it again"


def names(stream: BinaryIO, path: Path) -> tuple[str, ...]:
    """Names of all entries; raise `InputError` when the archive is damaged, too long, or names an entry twice."""
    return tuple(entry.filename for entry in _directory(stream, path))


def entries(stream: BinaryIO, path: Path) -> dict[str, zipfile.ZipInfo]:
    """All entries by name; one that is packed or encrypted raises `InputError`, as everything that `names` refuses."""
    found = _directory(stream, path)
    for entry in found:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise InputError(
                "is a packed or encrypted zip archive", where=path, expected="the file as torch.save writes it"
            )
    return {entry.filename: entry for entry in found}


def _directory(stream: BinaryIO, path: Path) -> list[zipfile.ZipInfo]:
    """The archive's table of contents, read only after its stated length was found to be within bounds."""
    with guarded("is a damaged or truncated zip archive", where=path, do=AGAIN):
        count, length = _stated(stream)
        if count > MOST_ENTRIES or length > LONGEST_DIRECTORY:
            raise InputError("is a zip archive with too many entries", where=path, expected=f"at most {MOST_ENTRIES:,}")
        found = zipfile.ZipFile(stream).infolist()
    if len({entry.filename for entry in found}) != len(found):
        raise InputError("is a zip archive that names one entry twice", where=path, do=AGAIN)
    return found


def content(stream: BinaryIO, entry: zipfile.ZipInfo, path: Path, *, most: int) -> bytes:
    """One unpacked entry's bytes, checksum verified; an entry longer than `most` is refused."""
    if entry.file_size > most:
        raise InputError(f"states {entry.file_size:,} bytes where at most {most:,} belong", where=path, do=AGAIN)
    with guarded("is a damaged or truncated zip archive", where=path, do=AGAIN):
        stream.seek(entry.header_offset)
        magic, name, extra = struct.unpack("<4s22xHH", stream.read(30))
        stream.seek(name + extra, 1)
        found = stream.read(entry.file_size)
        if magic != LOCAL or len(found) != entry.file_size or zlib.crc32(found) != entry.CRC:
            raise zipfile.BadZipFile
        return found


def _stated(stream: BinaryIO) -> tuple[int, int]:
    """How many entries the archive says it has, and how many bytes their table takes."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - TAIL))
    tail = stream.read(TAIL)
    end = tail.rfind(END)
    if end < 0:
        raise zipfile.BadZipFile
    entries, length = struct.unpack_from("<HI", tail, end + 10)
    end64 = tail.rfind(END64, 0, end)
    if end64 >= 0 and 0xFFFFFFFF in (length, entries | 0xFFFF0000):
        entries, length = struct.unpack_from("<QQ", tail, end64 + 32)
    return int(entries), int(length)
