"""The noise that hides one unit: Gaussian, added once to the clipped sum of a step, drawn from the operating system.

It is drawn from a generator of its own, never from torch's: a seed that makes a training repeatable would make its
noise known, and noise that is known protects nobody.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

LOSS_NOISE = 10.0
"""The noise on the losses' sum, in multiples of that on the gradients' sum: a curve for 0.5 % more noise on those."""


def gradient_multiplier(noise_multiplier: float) -> float:
    """Return the noise multiplier of the gradients when that of gradients and losses together is `noise_multiplier`.

    Two Gaussian releases with multipliers a and b spend what one with 1 / sqrt(1/a² + 1/b²) does (Dong, Roth and Su
    2022, section 2.3); here b = 10 a.
    """
    return float(noise_multiplier * np.sqrt(1 + LOSS_NOISE**-2))


def normals(count: int, std: float, rng: np.random.Generator) -> Tensor:
    """Return `count` independent normal numbers of deviation `std`, float32, drawn in pairs by radius and angle.

    Half the squared radius is exponential (Box and Muller 1958), drawn with an exact tail.
    """
    half = (count + 1) // 2
    radius = np.sqrt(rng.standard_exponential(half, dtype=np.float32))
    radius *= math.sqrt(2) * std
    angle = rng.random(half, dtype=np.float32)
    angle *= 2 * math.pi
    drawn = np.empty((2, half), dtype=np.float32)
    np.multiply(radius, np.cos(angle), out=drawn[0])
    np.multiply(radius, np.sin(angle, out=angle), out=drawn[1])
    return torch.from_numpy(drawn.reshape(-1)[:count])


def add_noise(
    sums: Mapping[str, Tensor], std: float, rng: np.random.Generator, *, expected_batch: float = 1.0
) -> dict[str, Tensor]:
    """Return clipped sums plus independent Gaussian noise of deviation `std` on every number, over `expected_batch`.

    `std` is noise multiplier × largest norm of one unit. `expected_batch` is the public size of a batch, never that of
    the drawn one.
    """
    sizes = [each.numel() for each in sums.values()]
    pieces = normals(sum(sizes), std / expected_batch, rng).split_with_sizes(sizes)
    both = zip(sums.items(), pieces, strict=True)
    share = 1 / expected_batch
    return {name: noise.view_as(each).to(each).add_(each, alpha=share) for (name, each), noise in both}


def set_gradients(module: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    """Make these the parameters' gradients; a parameter without one has none."""
    for name, parameter in module.named_parameters():
        parameter.grad = gradients.get(name)
