"""Walks the outermost structure of an ONNX file without any library: what is it, and does it point to other files?

Source of the field numbers: onnx.proto3, messages ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MODEL_FIELDS: Mapping[int, int] = MappingProxyType(
    {1: VARINT, 2: LENGTH, 3: LENGTH, 4: LENGTH, 5: VARINT, 6: LENGTH, 7: LENGTH, 8: LENGTH}
    | {14: LENGTH, 20: LENGTH, 25: LENGTH, 26: LENGTH}
)
MOST_FIELDS = 10_000
MOST_INNER_FIELDS = 1_000_000
DEEPEST = 24
INSIDE: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "model": {7: "graph", 20: "training", 25: "function"},
        "training": {1: "graph", 2: "graph"},
        "graph": {1: "node", 5: "tensor", 15: "sparse"},
        "function": {7: "node", 11: "attribute"},
        "node": {5: "attribute"},
        "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
        "sparse": {1: "tensor", 2: "tensor"},
        "tensor": {},
    }
)
EXTERNAL_DATA, DATA_LOCATION = 13, 14


class MalformedError(ValueError):
    """The bytes are no protobuf message."""


def looks_like_onnx(stream: BinaryIO, size: int) -> bool:
    """Whether the whole file is one ONNX model message: a version, a graph, and no field that ONNX does not have."""
    seen: set[int] = set()
    for _ in range(MOST_FIELDS):
        if stream.tell() == size:
            return {1, 7} <= seen
        key = _stream_varint(stream)
        if key is None or MODEL_FIELDS.get(key >> 3) != key & 7:
            return False
        seen.add(key >> 3)
        length = _stream_varint(stream)
        if length is None:
            return False
        if key & 7 == LENGTH and stream.seek(min(length, size + 1), 1) > size:
            return False
    return False


def refers_elsewhere(content: bytes) -> bool:
    """Whether any tensor of an ONNX model lies in another file; raise `MalformedError` on damage."""
    waiting = [("model", memoryview(content), 0)]
    left = iter(range(MOST_INNER_FIELDS))
    while waiting:
        kind, message, depth = waiting.pop()
        for number, wire, value in fields(message):
            if depth > DEEPEST or next(left, None) is None:
                raise MalformedError("too deep or too many fields")
            if kind == "tensor" and _is_external(number, wire, value):
                return True
            inner = INSIDE[kind].get(number)
            if inner and isinstance(value, memoryview):
                waiting.append((inner, value, depth + 1))
    return False


def _is_external(number: int, wire: int, value: int | memoryview) -> bool:
    return number == EXTERNAL_DATA or (number == DATA_LOCATION and wire == VARINT and value != 0)


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field of a message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield number, wire, value
        else:
            start, position = _span(message, position, wire)
            yield number, wire, message[start:position]


def _span(message: memoryview, position: int, wire: int) -> tuple[int, int]:
    if wire == LENGTH:
        length, position = _varint(message, position)
    elif wire in {FIXED32, FIXED64}:
        length = 4 if wire == FIXED32 else 8
    else:
        raise MalformedError("no such wire type")
    if position + length > len(message):
        raise MalformedError("a field is longer than its message")
    return position, position + length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise MalformedError("cut short")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedError("a number is too long")


def _stream_varint(stream: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
