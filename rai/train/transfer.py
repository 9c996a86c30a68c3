"""Begins a network with weights that an earlier training left in a file, its head left out where a new one is wanted.

What the early layers learned from many rows helps where there are few (Yosinski et al. 2014, arXiv:1411.1792).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import nn

from rai.errors import InputError
from rai.models import archive, sniff, weights
from rai.models.archive import Stored, Tensors
from rai.models.guard import guarded
from rai.models.sniff import Kind

Shapes = Mapping[str, tuple[int, ...]]


def begin_with(path: Path, module: nn.Module, *, replace_head: bool = False) -> None:
    """Put the tensors of a state dict or safetensors file into the module; no code of the file runs.

    With `replace_head` the last linear layer keeps the weights it has, and the file's own head may have any shape.
    Raises `InputError` for a file that holds no bare tensors, and naming the first tensor that does not fit.
    """
    head = head_of(module) if replace_head else frozenset()
    wanted = weights.shapes_of(module)
    found = {name: each for name, each in weights.unprefixed(_tensors(path)).named.items() if name not in head}
    _require_fit({name: shape for name, shape in wanted.items() if name not in head}, found, path)
    own = module.state_dict()
    kept = {name: Stored("float32", wanted[name], partial(own.__getitem__, name)) for name in head}
    weights.fill(module, Tensors({**found, **kept}), path)


def head_of(module: nn.Module) -> frozenset[str]:
    """Names of the parameters of the last linear layer, by order of registration as in `named_modules`."""
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise InputError("has no linear layer to replace", where="network", do="leave replace_head out")
    name, last = found[-1]
    return frozenset(f"{name}.{part}" if name else part for part, _ in last.named_parameters())


def _tensors(path: Path) -> Tensors:
    """The tensors of a file, found without running anything; what is no file of bare tensors is refused."""
    kind = sniff.identify(path).kind
    if kind is Kind.STATE_DICT:
        return archive.open_zip(path)
    if kind is Kind.LEGACY_STATE_DICT:
        return archive.open_legacy(path)
    if kind is not Kind.SAFETENSORS:
        raise InputError(f"is a file of kind {kind}", where=path, expected="a PyTorch state dict or safetensors file")
    from rai.models.safe import open_safetensors

    with guarded("cannot be read", where=path, do="install safetensors, or save a PyTorch state dict"):
        return open_safetensors(path)


def _require_fit(wanted: Shapes, found: Mapping[str, Stored], path: Path) -> None:
    for name, shape in wanted.items():
        if name not in found:
            raise InputError(f"has no tensor {name!r}", where=path, expected=f"shape {shape}, as the network has it")
        if found[name].shape != shape:
            what = f"tensor {name!r} has shape {found[name].shape}"
            raise InputError(what, where=path, expected=f"{shape}, as the network has it")
    for name in found:
        if name not in wanted:
            raise InputError(f"tensor {name!r} has no place", where=path, do="name the network that it was trained in")
