"""Shows the network each training image a little changed, so that it learns what stays the same about it."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from rai.errors import InputError

LARGEST_ANGLE = 15.0
"""Degrees by which an image is turned at most, to either side."""
LARGEST_SHIFT = 1 / 8
"""Share of its height and width by which an image is moved at most, in each direction."""
NOISE = 0.1
"""Standard deviation of the noise, as a share of the standard deviation of the image's own pixels."""


def augmented(inputs: Tensor, which: Iterable[str], generator: torch.Generator) -> Tensor:
    """Return the images (rows, channels, height, width) changed at random, in the order that `which` names.

    "flip": left and right change places in half of the images. "rotate": turned by up to 15 degrees. "crop": an eighth
    of the side is added on every side, then a window of the old size is cut out anywhere. "noise": Gaussian. What comes
    in from outside repeats the pixel at the edge. What happens to an image hangs on that image and the generator alone,
    never on the other rows, as private training demands; the rows that came in are left as they are. Raises
    `InputError` for rows that are no images and for a name that is none of these.
    """
    wanted = tuple(which)
    for name in wanted:
        if name not in CHANGES:
            raise InputError(f"is {name!r}", where="fit.augment", expected=f"names among {', '.join(CHANGES)}")
    if wanted:
        _require_images(inputs)
    for name in wanted if len(inputs) else ():
        inputs = CHANGES[name](inputs, generator)
    return inputs


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image (rows, channels, height, width) counterclockwise about its middle by its angle (rows,).

    Pixels in between are interpolated (bilinear).
    """
    height, width = images.shape[2:]
    angles = torch.deg2rad(degrees).to(images)
    across, along, still = angles.sin() * height / width, angles.sin() * width / height, torch.zeros_like(angles)
    turns = torch.stack([angles.cos(), -across, still, along, angles.cos(), still], dim=1).reshape(-1, 2, 3)
    places = functional.affine_grid(turns, list(images.shape), align_corners=False)
    return functional.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each image (rows, channels, height, width) by its whole numbers of pixels, each of shape (rows,)."""
    rows = _sources(images.shape[2], down)[:, None, :, None]
    columns = _sources(images.shape[3], right)[:, None, None, :]
    shape = images.shape
    return images.gather(2, rows.expand(shape)).gather(3, columns.expand(shape))


def _sources(side: int, moved: Tensor) -> Tensor:
    """Which place along a side each place is filled from, (rows, side); at the end the edge is repeated."""
    return (torch.arange(side, device=moved.device) - moved[:, None]).clamp(0, side - 1)


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    turned = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(turned.to(images.device)[:, None, None, None], images.flip(3), images)


def _rotate(images: Tensor, generator: torch.Generator) -> Tensor:
    share = 2 * torch.rand(len(images), generator=generator, device=generator.device) - 1
    return rotated(images, (LARGEST_ANGLE * share).to(images.device))


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    moves = (_move(len(images), side, generator).to(images.device) for side in images.shape[2:])
    return shifted(images, *moves)


def _move(rows: int, side: int, generator: torch.Generator) -> Tensor:
    most = math.ceil(side * LARGEST_SHIFT)
    return torch.randint(-most, most + 1, (rows,), generator=generator, device=generator.device)


def _noise(images: Tensor, generator: torch.Generator) -> Tensor:
    spread = images.flatten(1).std(dim=1, correction=0)[:, None, None, None]
    drawn = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    return images + NOISE * spread * drawn


def _require_images(inputs: Tensor) -> None:
    if inputs.dim() != 4 or not inputs.is_floating_point():
        shape = " × ".join(map(str, inputs.shape))
        raise InputError(
            f"the rows are no images but {shape} {'numbers' if inputs.is_floating_point() else 'whole numbers'}",
            where="fit.augment",
            expected="rows × channels × height × width",
            do="leave augment out",
        )


CHANGES: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = MappingProxyType(
    {"flip": _flip, "rotate": _rotate, "crop": _crop, "noise": _noise}
)
"""Every change by its name in a recipe."""
