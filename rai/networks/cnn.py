"""The convolutional network: small windows slide over an image, layer by layer, and what they find is summed up."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from torch import nn

from rai.errors import InputError
from rai.networks.checks import area, flag, odd, one_of, require_total, share, sizes, stages
from rai.networks.checks import size as positive
from rai.networks.layers import NORMS
from rai.networks.mlp import ACTIVATIONS

POOLS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType({"max": nn.MaxPool2d, "average": nn.AvgPool2d})


def cnn(  # noqa: PLR0913 - each is a key that a card may give
    *,
    inputs: int,
    outputs: int,
    size: Sequence[int],
    channels: Sequence[int] = (16, 32),
    kernel: int = 3,
    activation: str = "relu",
    norm: str = "none",
    pool: str = "max",
    global_average: bool = False,
    dropout: float = 0.0,
    hidden: Sequence[int] = (),
) -> nn.Sequential:
    """Make a convolutional network from images (rows, `inputs` channels, height, width) to (rows, `outputs`).

    `size` is the images' height and width. For each of `channels` come a convolution of `kernel` × `kernel` that keeps
    the size, `norm` ("none", "batch" or "group") where wanted, `activation`, and a `pool` ("max" or "average") that
    halves height and width. Then the maps are laid flat, or with `global_average` averaged over their area, and a
    perceptron with layers of `hidden` numbers answers, with dropout before each of its layers where above 0. The parts
    are named `features` and `head`. Wrong arguments, images too small for so many poolings, or more than 2³¹
    parameters in all, raise `InputError` before anything is allocated.
    """
    depths = (positive("inputs", inputs), *stages("channels", channels))
    side, bend = odd("kernel", kernel), ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
    scaling = None if one_of("norm", norm, ("none", *NORMS)) == "none" else NORMS[norm]
    shrinking, rate = POOLS[one_of("pool", pool, POOLS)], share("dropout", dropout)
    left = _left(area("size", size), len(depths) - 1)
    flat = depths[-1] * (1 if flag("global_average", global_average) else left)
    widths = (flat, *sizes("hidden", hidden), positive("outputs", outputs))
    _require_room(depths, side, widths)
    blocks: list[nn.Module] = []
    for before, after in pairwise(depths):
        scaled = [scaling(after)] if scaling else []
        blocks += [nn.Conv2d(before, after, side, padding=side // 2), *scaled, bend(), shrinking(2)]
    summed = [nn.AdaptiveAvgPool2d(1)] if global_average else []
    head = [*summed, nn.Flatten(), *_perceptron(widths, bend, rate)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*blocks), head=nn.Sequential(*head)))


def _left(sides: tuple[int, int], poolings: int) -> int:
    """How many places are left of an image after so many halvings."""
    height, width = (side >> poolings for side in sides)
    if not height or not width:
        raise InputError(
            f"is {list(sides)}, too small for {poolings} halvings, one for each of channels",
            where="network.arguments.size",
            do="list fewer channels",
        )
    return height * width


def _require_room(depths: Sequence[int], side: int, widths: Sequence[int]) -> None:
    windows = sum(before * after * side * side + 3 * after for before, after in pairwise(depths))
    require_total(windows + sum(before * after + after for before, after in pairwise(widths)))


def _perceptron(widths: Sequence[int], bend: Callable[[], nn.Module], rate: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        dropped = [nn.Dropout(rate)] if rate else []
        layers += [*([bend()] if layers else []), *dropped, nn.Linear(before, after)]
    return layers
