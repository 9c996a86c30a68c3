"""The architectures a card can name, so that a file of bare tensors becomes a model without running anybody's code."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.networks import cnn, mlp, recurrent, resnet, transformer

KINDS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "mlp": mlp.mlp,
        "cnn": cnn.cnn,
        "resnet": resnet.resnet,
        "recurrent": recurrent.recurrent,
        "transformer": transformer.transformer,
    }
)
"""Every architecture by the name a card gives it."""


def build(network: Network) -> nn.Module:
    """Make the architecture that a card names, with fresh weights; raise `InputError` naming the key that is wrong."""
    maker = KINDS.get(network.kind)
    if maker is None:
        known = ", ".join(repr(kind) for kind in KINDS)
        raise InputError(f"no architecture is named {network.kind!r}", where="network.kind", expected=f"one of {known}")
    _require_arguments(network, maker)
    parts = {name: build(part) for name, part in network.parts.items()}
    return maker(**network.arguments, **parts)


def _require_arguments(network: Network, maker: Callable[..., nn.Module]) -> None:
    known = inspect.signature(maker).parameters
    for key in (*network.arguments, *network.parts):
        if key not in known:
            raise InputError(
                f"is not an argument of {network.kind}",
                where=f"network.arguments.{key}",
                expected=f"one of {', '.join(known)}",
            )
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in {*network.arguments, *network.parts}:
            raise InputError("is missing", where=f"network.arguments.{key}", do=f"add it: {network.kind} needs it")
