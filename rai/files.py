"""Reading and writing files so that nothing is lost: whole files appear, or nothing changes."""

import hashlib
import os
import tempfile
from pathlib import Path

from rai.errors import InputError

CHUNK = 1 << 20
ENDED = ".trained"
"""The folder beside a model where the files of a training that has ended wait to be put into their places."""
SETTLE = "run rai train RECIPE --resume again, or the same rai mitigate, which puts the rest in place"


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def write_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 so that a crash leaves the old file or the new one, never a torn one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode("utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot write ({error.strerror})", where=path, do="choose another folder with --out"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_folder(path: Path) -> Path:
    """Return `path` when it is a folder that can be written to, or could be made; raise `InputError` otherwise."""
    nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        what = "cannot be written to" if nearest.is_dir() else "is a file, not a folder"
        raise InputError(what, where=nearest, do="choose another folder with --out")
    return path


def require_settled(model: Path) -> None:
    """Raise `InputError` where a training that has ended was cut off before it put this file of a model here."""
    if (model.parent / ENDED / model.name).exists():
        what = "its training ended and was cut off while it put its files here; some may be of an earlier one"
        raise InputError(what, where=model, do=SETTLE)


def require_file(path: Path, *, do: str) -> Path:
    """Return `path` when it is an ordinary file with content; raise `InputError` with advice otherwise."""
    if not path.exists():
        raise InputError("no such file", where=path, do=do)
    if not path.is_file():
        raise InputError("not an ordinary file", where=path, do=do)
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=path, do=do)
    return path
