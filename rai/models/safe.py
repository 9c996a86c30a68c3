"""safetensors files: tensors by name, with no code anywhere in the format."""

from functools import partial
from pathlib import Path
from typing import Any

from rai.errors import InputError
from rai.models.archive import Stored, Tensors
from rai.models.guard import guarded

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def open_safetensors(path: Path) -> Tensors:
    """Find the tensors of a safetensors file; its header was checked against its length by the library.

    The format does not keep the order in which layers were defined.
    """
    from safetensors import safe_open

    with guarded("is a damaged safetensors file", where=path, do="save or copy it again"):
        with safe_open(str(path), framework="numpy") as file:
            found = {name: _stored(path, name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118
        if not found:
            raise InputError("holds no tensor", where=path, expected="a model's weights")
        return Tensors(found, ordered=False)


def _stored(path: Path, name: str, part: Any) -> Stored:
    kind = DTYPES.get(part.get_dtype())
    if kind is None:
        raise InputError(f"tensor {name!r} is of a rare kind", where=path, expected=f"one of {', '.join(DTYPES)}")
    return Stored(kind, tuple(part.get_shape()), partial(_read, path, name))


def _read(path: Path, name: str) -> Any:
    from safetensors import safe_open

    with (
        guarded(f"tensor {name!r} cannot be read", where=path, do="save or copy it again"),
        safe_open(str(path), framework="pt") as file,
    ):
        return file.get_tensor(name)
