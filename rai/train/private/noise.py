"""The noise that hides one unit: Gaussian, added once to the clipped sum of a step, drawn from the operating system.

It is drawn from a generator of its own, never from torch's: a seed that makes a training repeatable would make its
noise known, and noise that is known protects nobody.
"""

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


def normals(count: int, rng: np.random.Generator) -> Tensor:
    """Return `count` independent standard normal numbers, float32, drawn in pairs by radius and angle.

    Half the squared radius is exponential (Box and Muller 1958), drawn with an exact tail; this takes half the time of
    drawing each number for itself.
    """
    half = (count + 1) // 2
    radius = np.sqrt(2 * rng.standard_exponential(half, dtype=np.float32))
    angle = rng.random(half, dtype=np.float32)
    angle *= np.float32(2 * np.pi)
    drawn = np.empty((2, half), dtype=np.float32)
    np.multiply(radius, np.cos(angle), out=drawn[0])
    np.multiply(radius, np.sin(angle, out=angle), out=drawn[1])
    return torch.from_numpy(drawn.reshape(-1)[:count])


def add_noise(sums: Mapping[str, Tensor], std: float, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return each clipped sum plus independent Gaussian noise of standard deviation `std` on every number of it.

    `std` is noise multiplier × largest norm of one unit.
    """
    flat = torch.cat([each.reshape(-1) for each in sums.values()])
    flat.add_(normals(len(flat), rng).to(flat.device, flat.dtype), alpha=std)
    pieces = torch.split(flat, [each.numel() for each in sums.values()])
    return {
        name: piece.view(each.shape).to(each.dtype) for (name, each), piece in zip(sums.items(), pieces, strict=True)
    }


def set_gradients(module: nn.Module, sums: Mapping[str, Tensor], expected_batch: float) -> None:
    """Make each parameter's gradient its noisy sum divided by the public size of a batch, never by the drawn one.

    The sums are used up: they become the gradients, in place.
    """
    torch._foreach_div_(list(sums.values()), expected_batch)
    for name, parameter in module.named_parameters():
        parameter.grad = sums.get(name)
