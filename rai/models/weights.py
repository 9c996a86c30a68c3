"""Puts the tensors of a file into a network, once every name and shape was found to agree."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rai.errors import InputError
from rai.models.archive import Stored, Tensors

if TYPE_CHECKING:
    from torch import nn

PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
DIGITS = re.compile(r"\d+")


def unprefixed(tensors: Tensors) -> Tensors:
    """Take away the prefixes that wrappers put before every name, and note it."""
    for prefix in PREFIXES:
        if tensors.named and all(name.startswith(prefix) for name in tensors.named):
            named = {name.removeprefix(prefix): each for name, each in tensors.named.items()}
            note = f"the prefix {prefix!r} was taken from every tensor's name"
            return unprefixed(replace(tensors, named=named, notes=(*tensors.notes, note)))
    return tensors


def agreed(wanted: Mapping[str, tuple[int, ...]], tensors: Tensors, path: Path, *, by_order: bool) -> Tensors:
    """The tensors under the names and shapes that a network wants.

    Any name or shape that does not agree raises `InputError` naming the tensor and both shapes. With `by_order`, names
    that differ may be matched layer by layer, where shapes leave no doubt.
    """
    found = unprefixed(tensors)
    if by_order and set(wanted) != set(found.named):
        found = _matched(wanted, found) or found
    _require_agreement(wanted, found.named, path)
    return found


def fill(module: "nn.Module", tensors: Tensors, path: Path) -> tuple[str, ...]:
    """Load tensors that agree into `module`; return what is worth a note. NaN or infinity raises `InputError`."""
    values = {name: each.read() for name, each in tensors.named.items()}
    for name, value in values.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(f"tensor {name!r} holds NaN or infinity", where=path, do="train the model again")
    module.load_state_dict(values, strict=True)
    kinds = {each.dtype for each in tensors.named.values()} & {"float16", "bfloat16", "float64"}
    return (*tensors.notes, *(f"{kind} weights were turned into float32" for kind in sorted(kinds)))


def shapes_of(module: "nn.Module") -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a network keeps."""
    return {name: tuple(each.shape) for name, each in module.state_dict().items() if hasattr(each, "shape")}


def _require_agreement(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, Stored], path: Path) -> None:
    for name, shape in wanted.items():
        if name not in found:
            raise InputError(
                f"tensor {name!r} of shape {_shape(shape)} is missing{_others(set(wanted) - set(found))}",
                where=path,
                expected=f"the tensors of the network that the card names; the file holds {_some(found)}",
            )
        if found[name].shape != shape:
            raise InputError(
                f"tensor {name!r} has shape {_shape(found[name].shape)}",
                where=path,
                expected=f"shape {_shape(shape)}, as the card's network has it",
            )
    for name in set(found) - set(wanted):
        raise InputError(
            f"tensor {name!r} of shape {_shape(found[name].shape)} has no place{_others(set(found) - set(wanted))}",
            where=path,
            expected=f"the tensors of the network that the card names: {_some(wanted)}",
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _others(names: set[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def _some(names: Mapping[str, Any]) -> str:
    listed = list(names)
    return ", ".join(listed[:6]) + (", …" if len(listed) > 6 else "")


def _matched(wanted: Mapping[str, tuple[int, ...]], tensors: Tensors) -> Tensors | None:
    """The file's tensors under the network's names, layer by layer of equal shapes; None where doubt remains."""
    ours, theirs = layers(wanted), layers({name: each.shape for name, each in tensors.named.items()})
    places: dict[str, str] = {}
    for signature in {_signature(each) for each in ours.values()}:
        here = [layer for layer, each in ours.items() if _signature(each) == signature]
        there = [layer for layer, each in theirs.items() if _signature(each) == signature]
        if len(there) != len(here) or not _ordered(there, tensors.ordered):
            return None
        there = there if tensors.ordered else sorted(there, key=natural)
        places |= dict(zip(there, here, strict=True))
    if set(places) != set(theirs):
        return None
    named = {
        _joined(places[layer], part): tensors.named[_joined(layer, part)] for layer in theirs for part in theirs[layer]
    }
    note = "the tensors' names differ from rai's own; layers were matched by their shapes and order"
    return replace(tensors, named=named, notes=(*tensors.notes, note))


def layers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Tensors grouped by the layer they belong to: "net.0.weight" is the part "weight" of the layer "net.0"."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        layer, _, part = name.rpartition(".")
        found.setdefault(layer, {})[part] = shape
    return found


def _signature(layer: Mapping[str, tuple[int, ...]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(sorted(layer.items()))


def _ordered(names: list[str], kept: bool) -> bool:  # noqa: FBT001 - one fact about the file
    """Whether layers of equal shape can be told apart: the file kept their order, or only numbers tell them apart."""
    return kept or len({natural(name)[0] for name in names}) == 1


def natural(name: str) -> tuple[str, list[int]]:
    """A key that sorts "layer2" before "layer10"."""
    return DIGITS.sub("#", name), [int(number) for number in DIGITS.findall(name)]


def _joined(layer: str, part: str) -> str:
    return f"{layer}.{part}" if layer else part
