"""Finds the tensors inside a PyTorch checkpoint and reads their numbers, with every size checked first.

No unpickler runs: the pickle is read as plain data (`pickles`), and numbers come straight from the file's bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import starmap
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import ZipInfo

from rai.errors import InputError
from rai.models import pickles, zips
from rai.models.guard import guarded
from rai.models.pickles import LARGEST
from rai.models.vocabulary import Opaque, Storage, Tensor

WIDTHS: Mapping[str, int] = MappingProxyType(
    {
        "float64": 8,
        "float32": 4,
        "float16": 2,
        "bfloat16": 2,
        "int64": 8,
        "int32": 4,
        "int16": 2,
        "int8": 1,
        "uint8": 1,
        "bool": 1,
    }
)
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
"""Keys under which training scripts put the state dict, in the order in which they are tried."""
MOST_DIMENSIONS = 16
LARGEST_STORAGE = 1 << 40
AGAIN = "save or copy it again"


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: its kind of numbers, its shape, and how to read it (as a torch tensor)."""

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Any]


@dataclass(frozen=True)
class Tensors:
    """The tensors of a file by name, in the file's order, and what was noticed on the way to them.

    `ordered` says whether that order is the one in which the layers were defined.
    """

    named: Mapping[str, Stored]
    notes: tuple[str, ...] = ()
    ordered: bool = True


def open_zip(path: Path) -> Tensors:
    """Find the tensors of a checkpoint written by `torch.save` since PyTorch 1.6."""
    with guarded("is a damaged PyTorch file", where=path, do=AGAIN), path.open("rb") as stream:
        entries = zips.entries(stream, path)
        inside = next(name for name in entries if name == "data.pkl" or name.endswith("/data.pkl"))
        root = inside.removesuffix("data.pkl")
        order = entries.get(f"{root}byteorder")
        if order and zips.content(stream, order, path, most=16) != b"little":
            raise InputError("was written on a big-endian machine", where=path, do="save it on a common machine")
        tree = pickles.read(BytesIO(zips.content(stream, entries[inside], path, most=LARGEST))).value
        folder = f"{root}data/"
        present = {name.removeprefix(folder): each for name, each in entries.items() if name.startswith(folder)}
        sizes = {key: each.file_size for key, each in present.items()}
        return _tensors(_state(tree, path), partial(_from_zip, path, present), sizes, path)


def open_legacy(path: Path) -> Tensors:
    """Find the tensors of a checkpoint written by `torch.save` before PyTorch 1.6."""
    with guarded("is a damaged PyTorch file", where=path, do=AGAIN), path.open("rb") as stream:
        content = BytesIO(stream.read(LARGEST))
        pickles.read(content, bits=80)
        _, _, main, keys = (pickles.read(content) for _ in range(4))
        found = _state(main.value, path)
        spans = _spans(content.tell(), keys.value, main.storages, path)
        sizes = {key: length for key, (_, length) in spans.items()}
        return _tensors(found, partial(_from_file, path, spans), sizes, path)


def _from_zip(path: Path, entries: Mapping[str, ZipInfo], storage: Storage) -> bytes:
    with path.open("rb") as stream:
        return zips.content(stream, entries[storage.key], path, most=LARGEST_STORAGE)


def _from_file(path: Path, spans: Mapping[str, tuple[int, int]], storage: Storage) -> bytes:
    start, length = spans[storage.key]
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)


def _spans(start: int, keys: Any, storages: Mapping[str, Storage], path: Path) -> dict[str, tuple[int, int]]:
    """Where each storage's bytes lie: each has its count of numbers in 8 bytes, then the numbers, end to end."""
    size, spans = path.stat().st_size, {}
    for key in keys:
        if key not in storages:
            raise InputError("holds numbers of a rare kind", where=path, expected=f"one of {', '.join(WIDTHS)}")
        length = storages[key].elements * WIDTHS[storages[key].dtype]
        spans[key] = (start + 8, length)
        start += 8 + length
        if length < 0 or start > size:
            raise InputError("is cut short: its tensors do not fit in the file", where=path, do=AGAIN)
    if start != size:
        raise InputError("has bytes after the end of its last tensor", where=path, do=AGAIN)
    return spans


@dataclass(frozen=True)
class _State:
    values: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def _state(tree: Any, path: Path) -> _State:
    """The state dict: the tree itself, or the first wrapper key that holds one."""
    if _is_state(tree):
        return _State(_only_tensors(tree, path))
    for key in WRAPPERS if isinstance(tree, dict) else ():
        if _is_state(tree.get(key)):
            return _State(_only_tensors(tree[key], path), (f"the weights were taken from the checkpoint's {key!r}",))
    raise InputError(
        "holds no state dict",
        where=path,
        expected=f"tensors by name, or a checkpoint with them under one of {', '.join(WRAPPERS)}",
        do="save it with torch.save(model.state_dict(), ...)",
    )


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(each, Tensor) for each in value.values())


def _only_tensors(values: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    for name, value in values.items():
        if isinstance(value, Opaque) and value.what.startswith("torch"):
            raise InputError(
                f"tensor {name!r} is sparse, quantised or of a rare kind", where=path, expected="dense tensors"
            )
    return {str(name): value for name, value in values.items() if isinstance(value, Tensor)}


def _tensors(found: _State, source: Callable[[Storage], bytes], sizes: Mapping[str, int], path: Path) -> Tensors:
    def stored(name: str, tensor: Tensor) -> tuple[str, Stored]:
        _require_sound(name, tensor, sizes.get(tensor.storage.key), path)
        return name, Stored(tensor.storage.dtype, tensor.shape, partial(_read, tensor, source, name, path))

    return Tensors(dict(starmap(stored, found.values.items())), found.notes)


def _require_sound(name: str, tensor: Tensor, present: int | None, path: Path) -> None:
    """Hold a tensor's stated sizes against its storage, and the storage against the file."""
    storage = tensor.storage
    if present is None or present != storage.elements * WIDTHS[storage.dtype]:
        what = "are missing" if present is None else f"are {present:,} bytes, not the {storage.elements:,} stated"
        raise InputError(f"the numbers of tensor {name!r} {what}", where=path, do=AGAIN)
    sizes = (*tensor.shape, *tensor.stride, tensor.offset)
    if len(tensor.shape) != len(tensor.stride) or len(tensor.shape) > MOST_DIMENSIONS or min(sizes) < 0:
        raise InputError(f"tensor {name!r} has an impossible shape", where=path, do=AGAIN)
    count = _product(tensor.shape)
    last = tensor.offset + sum((d - 1) * s for d, s in zip(tensor.shape, tensor.stride, strict=True))
    if count > storage.elements or (count and last >= storage.elements):
        raise InputError(
            f"tensor {name!r} states {count:,} numbers and the file holds {storage.elements:,} for it",
            where=path,
            do="save tensors that own their numbers (tensor.contiguous())",
        )


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for each in shape:
        count *= each
    return count


def _read(tensor: Tensor, source: Callable[[Storage], bytes], name: str, path: Path) -> Any:
    import torch

    with guarded(f"tensor {name!r} cannot be read", where=path, do=AGAIN):
        kind = getattr(torch, tensor.storage.dtype)
        if not _product(tensor.shape):
            return torch.empty(tensor.shape, dtype=kind)
        flat = torch.frombuffer(bytearray(source(tensor.storage)), dtype=kind)
        return torch.as_strided(flat, tensor.shape, tensor.stride, tensor.offset).clone()
