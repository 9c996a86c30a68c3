"""Files that carry code: TorchScript, torch.export archives and pickled objects. Loading them runs what is in them.

Nothing here is called unless the person at the keyboard passed `--allow-code-in-model`.
"""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rai.card import Card
from rai.errors import InputError
from rai.models import torch_model
from rai.models.archive import WRAPPERS, Stored, Tensors
from rai.models.draft import Draft
from rai.models.estimator import open_estimator
from rai.models.guard import guarded
from rai.models.sniff import Kind, Sniffed
from rai.models.state_dict import assemble

RAN = "the file carries code, which ran when it was loaded"


def open_code(sniffed: Sniffed, path: Path, card: Card) -> Draft:
    """Load a file that carries code: a module, a checkpoint, or an estimator."""
    what = f"this {sniffed.kind} cannot be loaded{_named(sniffed)}"
    with guarded(what, where=path, do="load it with the PyTorch and packages that wrote it"):
        found = _loaded(sniffed.kind, path)
    if isinstance(found, nn.Module):
        return torch_model.draft(found, name=str(path), kind=str(sniffed.kind), trust="carries code", notes=(RAN,))
    if isinstance(found, Mapping):
        return _checkpoint(found, card, path, sniffed.kind)
    estimator = open_estimator(found, card, name=str(path), kind=str(sniffed.kind), trust="carries code")
    return replace(estimator, notes=(RAN, *estimator.notes))


def _named(sniffed: Sniffed) -> str:
    return f"; it names {', '.join(sniffed.names[:3])}" if sniffed.names else ""


def _loaded(kind: Kind, path: Path) -> Any:
    if kind is Kind.TORCHSCRIPT:
        return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if kind is Kind.EXPORTED:
        return torch.export.load(str(path)).module()
    if kind is Kind.PICKLED:
        return torch.load(path, map_location="cpu", weights_only=False)
    return importlib.import_module("joblib").load(path)


def _checkpoint(found: Mapping[Any, Any], card: Card, path: Path, kind: Kind) -> Draft:
    """A checkpoint with tensors and foreign objects: take the module or the tensors out of it."""
    for key in WRAPPERS:
        if isinstance(found.get(key), nn.Module):
            module = found[key]
            return torch_model.draft(module, name=str(path), kind=str(kind), trust="carries code", notes=(RAN,))
    parts = [found, *(found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping))]
    for part in parts:
        tensors = {str(name): _stored(each) for name, each in part.items() if isinstance(each, torch.Tensor)}
        if tensors:
            return assemble(Tensors(tensors, (RAN,)), card, path, str(kind), trust="carries code")
    raise InputError("holds no model and no state dict", where=path, expected="a torch.nn.Module or its tensors")


def _stored(tensor: torch.Tensor) -> Stored:
    kept = tensor.detach().cpu()
    return Stored(str(kept.dtype).removeprefix("torch."), tuple(kept.shape), lambda: kept)
