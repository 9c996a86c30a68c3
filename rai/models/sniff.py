"""Tells what a file is from its bytes alone, before any loader runs. Nothing is imported, called or unpacked."""

import json
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rai.errors import InputError
from rai.files import require_file
from rai.models import pickles, zips
from rai.models.guard import guarded
from rai.models.pickles import LARGEST, MalformedError
from rai.models.protobuf import looks_like_onnx
from rai.models.vocabulary import PLAIN

EXPECTED = "a PyTorch state dict (.pt), safetensors or ONNX file"
SETTINGS, WEIGHTS = "config.json", "model.safetensors"
"""The two files of a folder that `save_pretrained` of transformers wrote and rai reads."""
LONGEST_HEADER = 8 << 20
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that opens a PyTorch file written before version 1.6."""


class Kind(StrEnum):
    """The kinds of model file that rai knows, in words for the report."""

    STATE_DICT = "PyTorch state dict"
    LEGACY_STATE_DICT = "PyTorch state dict (legacy container)"
    SAFETENSORS = "safetensors"
    ONNX = "ONNX"
    TORCHSCRIPT = "TorchScript"
    EXPORTED = "torch.export archive"
    PICKLED = "pickled PyTorch object"
    BARE_PICKLE = "pickled Python object"
    HUGGING_FACE = "Hugging Face folder (safetensors)"


CARRIES_CODE = frozenset({Kind.TORCHSCRIPT, Kind.EXPORTED, Kind.PICKLED, Kind.BARE_PICKLE})
"""Kinds that run the file's own code when they are loaded."""


@dataclass(frozen=True)
class Sniffed:
    """What a file is, and the foreign names its pickle would import."""

    kind: Kind
    names: tuple[str, ...] = ()


STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"\x89HDF", "an HDF5 file (Keras); convert the model to ONNX"),
    (b"GGUF", "a GGUF language model"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SQLite", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer, not the model; fetch it with: git lfs pull"),
    (b"PK\x05\x06", "an empty zip archive"),
)


def identify(path: Path) -> Sniffed:
    """Say what kind of model a file is; raise `InputError` for anything that cannot be named with certainty."""
    with guarded("cannot be read", where=path, do="check the path and your permission to read it"):
        if path.is_dir():
            return _folder(path)
        require_file(path, do="name the model file that was saved")
        size = path.stat().st_size
        with path.open("rb") as stream:
            return _identify(stream, size, path)


def weights_of(path: Path) -> Path:
    """The file that holds the numbers: of a folder its `model.safetensors`, else the file itself."""
    return path / WEIGHTS if path.is_dir() else path


def _folder(path: Path) -> Sniffed:
    """A folder of transformers whose weights are data; their older pickled form runs code when loaded."""
    if not (path / SETTINGS).is_file():
        raise InputError(
            f"is a folder without {SETTINGS}", where=path, expected="a model file, or a folder saved by transformers"
        )
    if not (path / WEIGHTS).is_file():
        pickled = ": its weights are pickled, and loading a pickle runs code" if any(path.glob("*.bin")) else ""
        raise InputError(
            f"holds no {WEIGHTS}{pickled}",
            where=path,
            do="save it again in one file with model.save_pretrained(folder)",
        )
    with (path / WEIGHTS).open("rb") as stream:
        if not _safetensors(stream, (path / WEIGHTS).stat().st_size):
            raise InputError("is no safetensors file", where=path / WEIGHTS, do="save or copy it again")
    return Sniffed(Kind.HUGGING_FACE)


def _identify(stream: BinaryIO, size: int, path: Path) -> Sniffed:
    head = stream.read(512)
    stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return _zip(stream, path)
    if _safetensors(stream, size):
        return Sniffed(Kind.SAFETENSORS)
    stream.seek(0)
    if head.startswith(b"\x80"):
        return _pickle(stream, path)
    if looks_like_onnx(stream, size):
        return Sniffed(Kind.ONNX)
    raise InputError(f"is {_what(head)}", where=path, expected=EXPECTED)


def _what(head: bytes) -> str:
    for magic, name in STRANGERS:
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model; convert it to ONNX"
    return _text(head) if _printable(head) else "no model file that rai can name"


def _printable(head: bytes) -> bool:
    return all(byte in b"\t\n\r\f" or 32 <= byte < 127 or byte >= 128 for byte in head)


def _text(head: bytes) -> str:
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page or XML, not a model; perhaps a download that failed"
    if start.startswith((b"{", b"[")):
        return "JSON or TOML text, not a model"
    return "text, not a model"


def _safetensors(stream: BinaryIO, size: int) -> bool:
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(size - 8, LONGEST_HEADER) or stream.read(1) != b"{":
        return False
    stream.seek(8)
    try:
        return isinstance(json.loads(stream.read(length)), dict)
    except (ValueError, RecursionError):
        return False


def _zip(stream: BinaryIO, path: Path) -> Sniffed:
    names = zips.names(stream, path)
    inner = {name.partition("/")[2] for name in names} | set(names)
    if any("data/aotinductor/" in name or name.endswith((".so", ".o", ".dll", ".dylib", ".cubin")) for name in names):
        raise InputError(
            "is an AOTInductor package: it holds native machine code, which rai never loads",
            where=path,
            do="save the weights with torch.save(model.state_dict(), ...) instead",
        )
    if {"archive_format", "serialized_exported_program.json"} & inner or any(_is_graph(name) for name in inner):
        return Sniffed(Kind.EXPORTED)
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return Sniffed(Kind.TORCHSCRIPT)
    return _zipped_pickle(stream, names, path)


def _is_graph(name: str) -> bool:
    return name.startswith("models/") and name.endswith(".json")


def _zipped_pickle(stream: BinaryIO, names: tuple[str, ...], path: Path) -> Sniffed:
    found = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(found) != 1:
        raise InputError(f"is {_archive(names)}", where=path, expected=EXPECTED)
    content = zips.content(stream, zips.entries(stream, path)[found[0]], path, most=LARGEST)
    position = BytesIO(content)
    strangers = _strangers(position, path)
    if strangers:
        return Sniffed(Kind.PICKLED, strangers)
    if position.tell() != len(content):
        raise _damaged(path, "bytes follow the end of its pickle")
    return Sniffed(Kind.STATE_DICT)


def _archive(names: tuple[str, ...]) -> str:
    if any(name.endswith("[Content_Types].xml") for name in names):
        return "an Office document"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz), not a model"
    if any(name.endswith((".keras", "model.weights.h5")) for name in names):
        return "a Keras model; convert it to ONNX"
    return "a zip archive that holds no single PyTorch model"


def _pickle(stream: BinaryIO, path: Path) -> Sniffed:
    content = BytesIO(stream.read(LARGEST))
    if not _is_legacy(content):
        content.seek(0)
        names = _names(content)
        if not names:
            raise _damaged(path, "it starts like a pickle and names no object")
        return Sniffed(Kind.BARE_PICKLE, names)
    found = [name for _ in range(4) for name in _strangers(content, path)]
    return Sniffed(Kind.PICKLED, tuple(found)) if found else Sniffed(Kind.LEGACY_STATE_DICT)


def _is_legacy(content: BytesIO) -> bool:
    try:
        return bool(pickles.read(content, bits=80).value == LEGACY_MAGIC)
    except MalformedError:
        return False


def _names(content: BytesIO) -> tuple[str, ...]:
    start = content.tell()
    try:
        return pickles.read(content).names
    except MalformedError:
        content.seek(start)
        return pickles.names_in(content)


def _strangers(content: BytesIO, path: Path) -> tuple[str, ...]:
    """Foreign names of the next pickle; a pickle that can be followed no other way is damaged."""
    start = content.tell()
    try:
        return pickles.read(content).strangers
    except MalformedError:
        content.seek(start)
        found = tuple(name for name in pickles.names_in(content) if name not in PLAIN)
        if found:
            return found
        raise _damaged(path, "its pickle is damaged, cut short or far too long") from None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"is a damaged PyTorch file: {why}", where=path, do="save or copy it again")
