"""Reads the plain data inside a pickle without running it: names stay names, nothing is imported or called.

A pickle is a small program. This reader steps through it with an allow-list of instructions; where the program
would call something, it notes what would be called. Memory stays in proportion to the pickle's own length.
Source of the instruction set: Python's `pickletools`, protocols 2 to 5.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from types import MappingProxyType
from typing import Any

from rai.models.vocabulary import MAPPINGS, PLAIN, STORAGES, TENSORS, WRAPPERS, Name, Opaque, Storage, Tensor

LARGEST = 16 << 20
"""Bytes of pickle that are read; the numbers of a model lie outside it."""
MOST_STEPS = 1_000_000
"""Instructions that are followed: enough for some twenty thousand tensors, and about a second's work."""
MOST_BITS = 64
"""No size in a model needs a larger whole number."""


class MalformedError(ValueError):
    """The pickle is damaged, or uses an instruction that no checkpoint of tensors needs."""


@dataclass
class Machine:
    """The state while one pickle is read."""

    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    storages: dict[str, Storage] = field(default_factory=dict)
    bits: int = MOST_BITS

    def pop(self) -> Any:
        """Take the topmost value."""
        if not self.stack:
            raise MalformedError("the stack is empty")
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the topmost value."""
        if not self.stack:
            raise MalformedError("the stack is empty")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Take all values since the last mark."""
        if not self.marks:
            raise MalformedError("there is no mark")
        found, self.stack = self.stack, self.marks.pop()
        return found


@dataclass(frozen=True)
class Reading:
    """What one pickle holds, every name it would import, in order, and the storages it refers to, by key."""

    value: Any
    names: tuple[str, ...]
    storages: Mapping[str, Storage]

    @property
    def strangers(self) -> tuple[str, ...]:
        """Names that no checkpoint of plain tensors uses."""
        return tuple(name for name in dict.fromkeys(self.names) if name not in PLAIN)


def read(stream: BytesIO, *, bits: int = MOST_BITS) -> Reading:
    """Read one pickle from where `stream` stands; raise `MalformedError` when it is damaged or unusual.

    Whole numbers of more than `bits` bits are refused.
    """
    machine = Machine(bits=bits)
    try:
        for opcode, argument, _ in islice(pickletools.genops(stream), MOST_STEPS):
            if opcode.name == "STOP":
                return Reading(machine.pop(), tuple(machine.names), machine.storages)
            _step(machine, opcode.name, argument)
    except MalformedError:
        raise
    except Exception as error:
        raise MalformedError("damaged") from error
    raise MalformedError("it has no end, or too many steps to it")


def names_in(stream: BytesIO) -> tuple[str, ...]:
    """Names that a pickle would import as far as it can be read, for pickles that `read` does not follow."""
    found: list[str] = []
    texts: list[str] = []
    try:
        for opcode, argument, _ in islice(pickletools.genops(stream), MOST_STEPS):
            if opcode.name in {"GLOBAL", "INST"}:
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts = [*texts[-1:], argument]
    except Exception:  # noqa: BLE001 - what was found before the damage is all that can be said
        return tuple(found)
    return tuple(found)


def _step(machine: Machine, name: str, argument: Any) -> None:
    if name in PUSHED:
        machine.stack.append(_bounded(argument, machine.bits))
    elif name in MADE:
        machine.stack.append(MADE[name]())
    elif name in STEPS:
        STEPS[name](machine, argument)
    elif name not in {"PROTO", "FRAME"}:
        raise MalformedError(f"instruction {name}")


def _bounded(value: Any, bits: int) -> Any:
    if isinstance(value, int) and value.bit_length() > bits:
        raise MalformedError("a whole number is too large")
    return Opaque("bytes") if isinstance(value, bytes | bytearray) else value


def _mark(machine: Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _put(machine: Machine, position: Any) -> None:
    machine.memo[len(machine.memo) if position is None else position] = machine.top()


def _get(machine: Machine, position: Any) -> None:
    machine.stack.append(machine.memo[position])


def _tuple(machine: Machine, _: Any) -> None:
    items = tuple(machine.since_mark())
    machine.stack.append(items)


def _tuple_of(count: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return step


def _extend(machine: Machine, items: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, list):
        target.extend(items)


def _update(machine: Machine, items: list[Any]) -> None:
    target = machine.top()
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key if isinstance(key, str | int | float | None) else id(key)] = value


def _global(machine: Machine, argument: Any) -> None:
    _name(machine, str(argument).replace(" ", "."))


def _stack_global(machine: Machine, _: Any) -> None:
    thing, module = machine.pop(), machine.pop()
    if not isinstance(thing, str) or not isinstance(module, str):
        raise MalformedError("a name is no text")
    _name(machine, f"{module}.{thing}")


def _name(machine: Machine, text: str) -> None:
    machine.names.append(text)
    machine.stack.append(Name(text))


def _reduce(machine: Machine, _: Any) -> None:
    arguments, called = machine.pop(), machine.pop()
    if not isinstance(called, Name) or not isinstance(arguments, tuple):
        machine.stack.append(Opaque("a call"))
        return
    machine.stack.append(_made(called.text, arguments))


def _made(called: str, arguments: tuple[Any, ...]) -> Any:
    if called in MAPPINGS:
        return {}
    if called in WRAPPERS and arguments:
        return arguments[0]
    if called == "torch.Size" and len(arguments) == 1:
        return arguments[0]
    if called in TENSORS and len(arguments) >= 4:
        return _tensor(arguments)
    return Opaque(called)


def _tensor(arguments: tuple[Any, ...]) -> Tensor | Opaque:
    storage, offset, shape, stride = arguments[:4]
    if isinstance(storage, Opaque):
        return storage
    if not (isinstance(storage, Storage) and isinstance(offset, int) and _sizes(shape) and _sizes(stride)):
        raise MalformedError("a tensor's description is no description")
    return Tensor(storage, offset, tuple(shape), tuple(stride))


def _sizes(given: Any) -> bool:
    return isinstance(given, tuple | list) and all(type(each) is int for each in given)


def _build(machine: Machine, _: Any) -> None:
    machine.pop()
    machine.top()


def _persistent(machine: Machine, _: Any) -> None:
    parts = machine.pop()
    if not isinstance(parts, tuple) or len(parts) < 5 or parts[0] != "storage":
        raise MalformedError("a reference to no storage")
    _, kind, key, _, elements = parts[:5]
    if not isinstance(kind, Name) or not isinstance(key, str) or type(elements) is not int:
        raise MalformedError("a reference to no storage")
    if kind.text not in STORAGES:
        machine.stack.append(Opaque(kind.text))
        return
    machine.storages[key] = Storage(key, STORAGES[kind.text], elements)
    machine.stack.append(machine.storages[key])


PUSHED = frozenset(
    {
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    }
)
MADE: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "NONE": lambda: None,
        "NEWTRUE": lambda: True,
        "NEWFALSE": lambda: False,
        "EMPTY_TUPLE": tuple,
        "EMPTY_LIST": list,
        "EMPTY_DICT": dict,
        "EMPTY_SET": lambda: Opaque("builtins.set"),
    }
)
STEPS: Mapping[str, Callable[[Machine, Any], None]] = MappingProxyType(
    {
        "MARK": _mark,
        "BINPUT": _put,
        "LONG_BINPUT": _put,
        "MEMOIZE": _put,
        "BINGET": _get,
        "LONG_BINGET": _get,
        "TUPLE": _tuple,
        "TUPLE1": _tuple_of(1),
        "TUPLE2": _tuple_of(2),
        "TUPLE3": _tuple_of(3),
        "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
        "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
        "ADDITEMS": lambda machine, _: _extend(machine, machine.since_mark()),
        "SETITEM": lambda machine, _: _update(machine, [machine.pop(), machine.pop()][::-1]),
        "SETITEMS": lambda machine, _: _update(machine, machine.since_mark()),
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "NEWOBJ": _reduce,
        "BUILD": _build,
        "BINPERSID": _persistent,
    }
)
