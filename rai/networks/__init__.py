"""The architectures a card can name, so that a file of bare tensors becomes a model without running anybody's code."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.networks import adjusted, cnn, mixture, mlp, recurrent, resnet, thresholded, transformer

KINDS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "mlp": mlp.mlp,
        "cnn": cnn.cnn,
        "resnet": resnet.resnet,
        "recurrent": recurrent.recurrent,
        "transformer": transformer.transformer,
        "mixture": mixture.mixture,
        "adjusted": adjusted.adjusted,
        "thresholded": thresholded.thresholded,
    }
)
"""Every architecture by the name a card gives it."""
DEEPEST = 3
"""Networks that are part of a part deeper than this are a mistake or an attack."""


def build(network: Network, *, within: int = 0) -> nn.Module:
    """Make the architecture that a card names, with fresh weights; raise `InputError` naming the key that is wrong.

    `within` is how many networks this one is a part of, one inside the other: at most 3.
    """
    if within > DEEPEST:
        raise InputError(f"are nested more than {DEEPEST} deep", where="network.parts", do="name fewer networks")
    maker = KINDS.get(network.kind)
    if maker is None:
        known = ", ".join(repr(kind) for kind in KINDS)
        raise InputError(f"no architecture is named {network.kind!r}", where="network.kind", expected=f"one of {known}")
    _require_arguments(network, maker)
    parts = {name: build(part, within=within + 1) for name, part in network.parts.items()}
    return maker(**network.arguments, **parts)


def _require_arguments(network: Network, maker: Callable[..., nn.Module]) -> None:
    known = inspect.signature(maker).parameters
    for table, given in (("arguments", network.arguments), ("parts", network.parts)):
        for key in given:
            if key not in known or (table == "parts" and key in network.arguments):
                twice = "is named in arguments, too" if key in known else f"is not an argument of {network.kind}"
                raise InputError(twice, where=f"network.{table}.{key}", expected=f"one of {', '.join(known)}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in {*network.arguments, *network.parts}:
            raise InputError("is missing", where=f"network.arguments.{key}", do=f"add it: {network.kind} needs it")
