"""The residual network: each block of convolutions adds to what it was given, so that deep stacks still learn."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from rai.networks.checks import MOST_LAYERS, one_of, require_total, size, stages
from rai.networks.layers import NORMS
from rai.networks.mlp import ACTIVATIONS

Maker = Callable[[], nn.Module]
Scaling = Callable[[int], nn.Module]


def resnet(
    *,
    inputs: int,
    outputs: int,
    channels: Sequence[int] = (16, 32),
    blocks: int = 2,
    norm: str = "batch",
    activation: str = "relu",
) -> nn.Sequential:
    """Make a residual network from images (rows, `inputs` channels, height, width) of any size to (rows, `outputs`).

    A first 3 × 3 convolution is followed by one stage of `blocks` residual blocks for each of `channels`; every stage
    after the first halves height and width. The last maps are averaged over their area and a weighted sum answers.
    `norm` is "batch" or "group"; the latter never mixes rows, even in training. The parts are named `stem`, `stages`
    and `head`. Wrong arguments, or more than 2³¹ parameters in all, raise `InputError` before anything is allocated.
    Source: He et al. 2016 (arXiv:1512.03385), in its form for small images.
    """
    depths = (size("inputs", inputs), *stages("channels", channels))
    count, last = size("blocks", blocks, most=MOST_LAYERS), size("outputs", outputs)
    scaling = NORMS[one_of("norm", norm, NORMS)]
    bend = ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
    require_total(_parameters(depths, count) + (depths[-1] + 1) * last)
    first = depths[1]
    stem = nn.Sequential(_window(depths[0], first, 1), scaling(first), bend())
    body: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise((first, *depths[1:]))):
        body += [ResidualBlock(before, after, 2 if place else 1, scaling, bend)]
        body += [ResidualBlock(after, after, 1, scaling, bend) for _ in range(count - 1)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(depths[-1], last))
    return nn.Sequential(OrderedDict(stem=stem, stages=nn.Sequential(*body), head=head))


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what came in: (rows, before, h, w) to (rows, after, h / stride, …).

    Where width or size change, the way around is a 1 × 1 convolution; else it is nothing at all. Each activation is a
    module of its own, as tools that replay the network backwards need it.
    """

    def __init__(self, before: int, after: int, stride: int, scaling: Scaling, bend: Maker) -> None:
        super().__init__()
        self.first = nn.Sequential(_window(before, after, stride), scaling(after), bend())
        self.second = nn.Sequential(_window(after, after, 1), scaling(after))
        self.around: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.around = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), scaling(after))
        self.bend = bend()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """What the two convolutions found, added to what came in."""
        return self.bend(self.second(self.first(images)) + self.around(images))  # type: ignore[no-any-return]


def _window(before: int, after: int, stride: int) -> nn.Conv2d:
    """A 3 × 3 convolution; the norm behind it has the offset."""
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)


def _parameters(depths: Sequence[int], blocks: int) -> int:
    """No fewer than the network's parameters, its head left out."""
    inputs, *rest = depths
    stem = 9 * inputs * rest[0] + 2 * rest[0]
    entries = sum(10 * before * after + 9 * after * after + 6 * after for before, after in pairwise((rest[0], *rest)))
    return stem + entries + (blocks - 1) * sum(18 * after * after + 4 * after for after in rest)
