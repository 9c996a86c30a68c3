"""Guesses the architecture from the shapes of the tensors, for drafting a card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rai.card import Network
from rai.models.weights import layers, natural

Shape = tuple[int, ...]
LINEAR = {"weight", "bias"}
BATCH = LINEAR | {"running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class _Layer:
    kind: str
    before: int
    after: int


def plain_mlp(shapes: Mapping[str, Shape]) -> Network | None:
    """The multilayer perceptron that these tensors fit, or None where they fit none.

    Sizes and normalisation can be read off the shapes; the activation cannot, so it is left out of the arguments.
    """
    grouped = layers(shapes)
    for order in (list(grouped), sorted(grouped, key=natural)):
        found = [_layer(grouped[name]) for name in order]
        known = [each for each in found if each is not None]
        network = _network(known) if len(known) == len(found) else None
        if network:
            return network
    return None


def _layer(parts: Mapping[str, Shape]) -> _Layer | None:
    weight, names = parts.get("weight", ()), set(parts)
    if names == LINEAR and len(weight) == 2 and parts["bias"] == weight[:1]:
        return _Layer("linear", weight[1], weight[0])
    if len(weight) == 1 and parts.get("bias") == weight and names in (LINEAR, BATCH):
        return _Layer("batch" if names == BATCH else "layer", weight[0], weight[0])
    return None


def _network(found: Sequence[_Layer]) -> Network | None:
    linear = [each for each in found if each.kind == "linear"]
    norms = {each.kind for each in found} - {"linear"}
    if not linear or len(norms) > 1 or any(a.after != b.before for a, b in pairwise(found)):
        return None
    pattern = ["linear", *norms] * (len(linear) - 1) + ["linear"]
    if [each.kind for each in found] != pattern:
        return None
    sizes = {"inputs": linear[0].before, "outputs": linear[-1].after}
    hidden = tuple(each.after for each in linear[:-1])
    norm = {"norm": norms.pop()} if norms else {}
    return Network("mlp", {**sizes, "hidden": hidden, **norm})
