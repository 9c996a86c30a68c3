"""ONNX files, answered by onnxruntime on the CPU as a black box. Files that point to other files are refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import Card
from rai.errors import InputError
from rai.models import onnx_graph
from rai.models.black_box import BlackBox
from rai.models.draft import Draft
from rai.models.guard import guarded
from rai.models.protobuf import refers_elsewhere
from rai.subject import Floats

FLOATS: Mapping[str, Any] = MappingProxyType(
    {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
)
WHOLE: Mapping[str, Any] = MappingProxyType({"tensor(int64)": np.int64, "tensor(int32)": np.int32})
INPUTS: Mapping[str, Any] = MappingProxyType({**FLOATS, **WHOLE})
DIMENSIONS: Mapping[str, int] = MappingProxyType({"table": 2, "text": 2, "sequence": 3, "image": 4})
LARGEST = 2**31
"""No ONNX file can be longer: its container counts bytes in 31 bits."""
AGAIN = "export it again as one self-contained file"
QUIET = 4
"""onnxruntime's level for fatal messages only."""


@dataclass(frozen=True)
class _Port:
    """An input or output: its name, and what onnxruntime says of its type and shape."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def open_onnx(path: Path, card: Card) -> Draft:
    """Open an ONNX model with one input of the card's kind; raise `InputError` for any other.

    A table's input has two dimensions, a sequence's three and an image's four; a text's has two of whole numbers.
    """
    with guarded("is a damaged or unsupported ONNX model", where=path, do=AGAIN):
        if path.stat().st_size >= LARGEST:
            raise InputError("is longer than an ONNX file can be", where=path, expected="less than 2 GiB")
        content = path.read_bytes()
        if refers_elsewhere(content):
            raise InputError("keeps tensors in other files", where=path, do=AGAIN)
        session = _session(content)
        source = _input(_ports(session.get_inputs()), card, path)
        target = _output(_ports(session.get_outputs()), path)
        last = onnx_graph.ending(content, target.name)
    answer = _asker(session, source, target, card.classes)
    model = BlackBox(answer, str(path), "data only", _columns(source), last)
    return Draft(model, "ONNX", _notes(session, source, target))


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _ports(found: Sequence[Any]) -> list[_Port]:
    return [_Port(each.name, each.type, each.shape) for each in found]


def _input(ports: list[_Port], card: Card, path: Path) -> _Port:
    listed = ", ".join(f"{each.name}: {each.type}" for each in ports[:6])
    kind = "table" if card.input is None else card.input.kind
    kinds, numbers = (WHOLE, "whole") if kind == "text" else (FLOATS, "floating-point")
    if len(ports) != 1 or ports[0].type not in kinds or len(ports[0].shape) != DIMENSIONS[kind]:
        raise InputError(
            f"takes {len(ports)} inputs ({listed})",
            where=path,
            expected=f"one {DIMENSIONS[kind]}-D input of {numbers} numbers",
        )
    return ports[0]


def _columns(source: _Port) -> int | None:
    return source.shape[1] if isinstance(source.shape[1], int) and len(source.shape) == 2 else None


def _output(ports: list[_Port], path: Path) -> _Port:
    """The output with the numbers: of several, the one that is named for probabilities."""
    numeric = [each for each in ports if each.type in FLOATS or each.type.startswith("seq(map(")]
    named = [each for each in numeric if "prob" in each.name.lower()]
    if len(numeric) != 1 and len(named) != 1:
        listed = ", ".join(f"{each.name}: {each.type}" for each in ports[:6])
        raise InputError(
            f"gives {len(ports)} outputs ({listed})", where=path, expected="one output of floating-point numbers"
        )
    return numeric[0] if len(numeric) == 1 else named[0]


def _notes(session: Any, source: _Port, target: _Port) -> tuple[str, ...]:
    several = len(session.get_outputs()) > 1
    chosen = (f"of several outputs, {target.name!r} was read",) if several else ()
    fixed = isinstance(source.shape[0], int)
    return (*chosen, f"the model takes {source.shape[0]} rows at a time") if fixed else chosen


def _asker(session: Any, source: _Port, target: _Port, classes: tuple[str, ...]) -> Callable[[Any], Floats]:
    batch = source.shape[0] if isinstance(source.shape[0], int) else None

    def answer(inputs: Any) -> Floats:
        rows = np.ascontiguousarray(inputs, dtype=INPUTS[source.type])
        parts = [_run(session, source, target, piece) for piece in _pieces(rows, batch)]
        found = [_unmapped(part, classes) for part in parts]
        return np.asarray(np.concatenate(found)[: len(rows)])

    return answer


def _pieces(rows: NDArray[Any], batch: int | None) -> list[NDArray[Any]]:
    """The rows in pieces of the size that the model was exported for; the last one filled up with its last row."""
    if batch is None or len(rows) == 0:
        return [rows]
    short = -len(rows) % batch
    filled = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])
    return np.split(filled, len(filled) // batch)


def _run(session: Any, source: _Port, target: _Port, rows: NDArray[Any]) -> Any:
    return session.run([target.name], {source.name: rows})[0]


def _unmapped(found: Any, classes: tuple[str, ...]) -> NDArray[Any]:
    """Columns from an array, or from one {class: probability} a row, in the card's order of classes."""
    if isinstance(found, np.ndarray):
        return found[:, None] if found.ndim == 1 else found
    keys = list(found[0])
    by_name = {str(key): key for key in keys}
    order = [by_name[each] for each in classes] if set(by_name) == set(classes) else sorted(keys)
    return np.array([[row[key] for key in order] for row in found], dtype=np.float32)
