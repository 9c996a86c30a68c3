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
    name: str
    bias: bool = True


def plain_mlp(shapes: Mapping[str, Shape]) -> Network | None:
    """The multilayer perceptron that these tensors fit, or None where they fit none.

    Sizes and normalisation can be read off the shapes; the activation cannot, so it is left out of the arguments. That
    normalisation stands after the activation shows where the layers are numbered and the activation left a gap.
    """
    grouped = layers(shapes)
    for order in (list(grouped), sorted(grouped, key=natural)):
        found = [_layer(name, grouped[name]) for name in order]
        known = [each for each in found if each is not None]
        network = _network(known) if len(known) == len(found) else None
        if network:
            return network
    return None


def _layer(name: str, parts: Mapping[str, Shape]) -> _Layer | None:
    weight, names = parts.get("weight", ()), set(parts)
    if names in (LINEAR, {"weight"}) and len(weight) == 2 and parts.get("bias", weight[:1]) == weight[:1]:
        return _Layer("linear", weight[1], weight[0], name, "bias" in names)
    if len(weight) == 1 and parts.get("bias") == weight and names in (LINEAR, BATCH):
        return _Layer("batch" if names == BATCH else "layer", weight[0], weight[0], name)
    return None


def _network(found: Sequence[_Layer]) -> Network | None:
    linear = [each for each in found if each.kind == "linear"]
    norms = {each.kind for each in found} - {"linear"}
    if not linear or len(norms) > 1 or any(a.after != b.before for a, b in pairwise(found)):
        return None
    pattern = ["linear", *norms] * (len(linear) - 1) + ["linear"]
    biases = {each.bias for each in linear}
    if [each.kind for each in found] != pattern or len(biases) > 1 or (biases == {False} and len(linear) < 2):
        return None
    sizes = {"inputs": linear[0].before, "outputs": linear[-1].after}
    hidden = tuple(each.after for each in linear[:-1])
    place = {"norm_place": "after"} if norms and _late(found) else {}
    norm = {"norm": norms.pop(), **place} if norms else {}
    bias = {} if biases == {True} else {"bias": False}
    return Network("mlp", {**sizes, "hidden": hidden, **norm, **bias})


def _late(found: Sequence[_Layer]) -> bool:
    """Whether the numbers in the names leave room for an activation before each norm, and none behind it."""
    named = [natural(each.name) for each in found]
    if len({pattern for pattern, _ in named}) > 1 or not named[0][1]:
        return False
    steps = [after[1][-1] - before[1][-1] for before, after in pairwise(named)]
    return all(step > 1 for step in steps[0::2]) and all(step == 1 for step in steps[1::2])
