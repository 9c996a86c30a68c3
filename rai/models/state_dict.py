"""Turns a file of bare tensors into a model, with the architecture that the card names."""

from pathlib import Path

import torch
from torch import nn

from rai.card import Card, Network
from rai.errors import InputError
from rai.models import factory, torch_model, weights
from rai.models.archive import Tensors
from rai.models.draft import Draft
from rai.models.guard import guarded
from rai.networks import KINDS, build
from rai.subject import Trust


def assemble(tensors: Tensors, card: Card, path: Path, kind: str, *, trust: Trust = "data only") -> Draft:
    """Build the card's network or call its factory, check every name and shape, and put the tensors in.

    A card with a factory runs the user's code; the caller has asked for leave to do so.
    """
    if card.factory is not None:
        return _made(tensors, card.factory, path, kind)
    if card.network is None:
        raise InputError(
            "holds tensors only, and the card does not say which network they belong to",
            where=path,
            expected="network.kind and network.arguments in the card",
            do=f"for other networks than {', '.join(KINDS)}, name a factory in the card, or export the model to ONNX",
        )
    module, found = _built(tensors, card.network, path)
    return torch_model.draft(module, name=str(path), kind=kind, trust=trust, notes=_filled(module, found, path))


def _built(tensors: Tensors, network: Network, path: Path) -> tuple[nn.Module, Tensors]:
    """Compare with a network without memory of its own first, so that nothing larger than the file is allocated."""
    with torch.device("meta"):
        wanted = weights.shapes_of(build(network))
    found = weights.agreed(wanted, tensors, path, by_order=network.kind == "mlp")
    with torch.random.fork_rng(devices=[]):
        return build(network), found


def _made(tensors: Tensors, place: str, path: Path, kind: str) -> Draft:
    module = factory.make(place)
    found = weights.agreed(weights.shapes_of(module), tensors, path, by_order=False)
    notes = (*_filled(module, found, path), f"the network was made by the card's factory {place}, whose code ran")
    made = f"{kind} with a factory"
    return torch_model.draft(module, name=str(path), kind=made, trust="carries code", notes=notes)


def _filled(module: nn.Module, tensors: Tensors, path: Path) -> tuple[str, ...]:
    with guarded("its tensors do not fit the network", where=path, do="mend network or factory in the card"):
        notes = weights.fill(module, tensors, path)
    module.eval()
    return notes
