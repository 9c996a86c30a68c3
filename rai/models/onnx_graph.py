"""Finds the last operation of an ONNX model in the file's own bytes, so that a sigmoid or softmax is seen.

Source of the field numbers: onnx.proto3, messages ModelProto, GraphProto and NodeProto.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rai.models.draft import Ending
from rai.models.protobuf import fields

ENDINGS: Mapping[str, Ending] = MappingProxyType(
    {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log_softmax", "Gemm": "linear", "MatMul": "linear"}
)
VIEWS = frozenset({"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Cast", "Transpose", "ZipMap"})
GRAPH, NODE = 7, 1
INPUT, OUTPUT, OPERATION = 1, 2, 4


@dataclass(frozen=True)
class _Node:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operation: str


def ending(content: bytes, output: str) -> Ending | None:
    """The operation that makes `output`, seen through reshaping; None where no node makes it."""
    made_by = {name: node for node in _nodes(content) for name in node.outputs}
    node = made_by.get(output)
    for _ in range(len(made_by)):
        if node is None or node.operation not in VIEWS or not node.inputs:
            break
        node = made_by.get(node.inputs[0])
    if node is None:
        return None
    if node.operation == "Add" and any(made_by[name].operation == "MatMul" for name in node.inputs if name in made_by):
        return "linear"
    return ENDINGS.get(node.operation, "other")


def _nodes(content: bytes) -> Iterator[_Node]:
    for graph in _parts(memoryview(content), GRAPH):
        for node in _parts(graph, NODE):
            inputs, outputs = _texts(node, INPUT), _texts(node, OUTPUT)
            yield _Node(inputs, outputs, "".join(_texts(node, OPERATION)))


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, value in fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _texts(message: memoryview, wanted: int) -> tuple[str, ...]:
    return tuple(str(part, "utf-8", "replace") for part in _parts(message, wanted))
