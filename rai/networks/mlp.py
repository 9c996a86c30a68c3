"""The multilayer perceptron: layers of weighted sums with a bend between them, for rows of numbers."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from torch import nn

from rai.networks.checks import flag, one_of, require_total, share, size, sizes

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "elu": nn.ELU,
        "leaky_relu": nn.LeakyReLU,
        "sigmoid": nn.Sigmoid,
    }
)
NORMS: Mapping[str, Callable[[int], nn.Module] | None] = MappingProxyType(
    {"none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
)


PLACES = ("before", "after")


def mlp(  # noqa: PLR0913 - each is a key that a card may give
    *,
    inputs: int,
    outputs: int,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    dropout: float = 0.0,
    norm: str = "none",
    norm_place: str = "before",
    bias: bool = True,
) -> nn.Sequential:
    """Make a multilayer perceptron that turns rows of `inputs` numbers into rows of `outputs` numbers.

    After each hidden layer come, in this order: `norm` where wanted, `activation`, and dropout where above 0; with
    `norm_place = "after"`, `norm` comes last of them. Without `bias`, no layer has an offset to add. The last layer
    stands bare, so its outputs are logits or values. An empty `hidden` makes a linear model. Wrong arguments, or more
    than 2³¹ parameters in all, raise `InputError` before anything is allocated.
    """
    widths = (size("inputs", inputs), *sizes("hidden", hidden), size("outputs", outputs))
    bend = ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
    scaling = NORMS[one_of("norm", norm, NORMS)]
    late = one_of("norm_place", norm_place, PLACES) == "after"
    rate, offset = share("dropout", dropout), flag("bias", bias)
    require_total(sum(before * after + 3 * after for before, after in pairwise(widths)))
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        scaled = [scaling(after)] if scaling else []
        bent = [bend(), *([nn.Dropout(rate)] if rate else [])]
        layers += [nn.Linear(before, after, bias=offset), *(bent + scaled if late else scaled + bent)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias=offset))
