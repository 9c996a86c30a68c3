"""What every way of clipping hands back: the sum over rows of each row's gradient, none longer than a limit."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.train.batches import Batch

Losses = Callable[[Tensor, Tensor], Tensor]
"""Maps outputs and targets to one loss a row, (rows,)."""


@dataclass(frozen=True)
class ClippedSum:
    """The sum of the rows' gradients, each scaled down to the limit where it was longer; no noise, no mean.

    `sums` has a tensor for every trainable parameter by its name, of the parameter's shape. `losses` (rows,) and
    `norms` (rows,), the lengths before clipping, are detached; neither is private, so neither may be published.
    """

    sums: dict[str, Tensor]
    losses: Tensor
    norms: Tensor


Clipped = Callable[[nn.Module, Losses, Batch, float], ClippedSum]
"""A way to get the clipped sum of a module, its losses, a batch and `max_grad_norm`. Source: arXiv:1607.00133."""


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter that learns, by name; one that two layers share stands there once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def coefficients(norms: Tensor, max_grad_norm: float) -> Tensor:
    """What each row's gradient is multiplied by, (rows,): 1 up to the limit, then what brings its norm to the limit.

    Raises `InputError` when a norm is no finite number, for then no scaling can keep the promise.
    """
    if not math.isfinite(norms.sum()):
        raise InputError(
            f"the gradient of {int((~norms.isfinite()).sum())} of {len(norms)} rows is not a finite number",
            where="private training",
            do="lower the learning rate, or look for wrong numbers in the data",
        )
    return norms.clamp(min=max_grad_norm).reciprocal_().mul_(max_grad_norm)


def losses_of(outputs: Tensor, losses: Losses, batch: Batch) -> Tensor:
    """One loss a row, (rows,); raise `InputError` when there are more or fewer, as a mean over rows would be."""
    found = losses(outputs, batch.targets)
    if found.shape != batch.inputs.shape[:1]:
        raise InputError(
            f"has shape {tuple(found.shape)} for {len(batch.inputs)} rows",
            where="loss",
            expected="one number a row, never their mean or sum",
        )
    return found


def of_no_rows(module: nn.Module, batch: Batch) -> ClippedSum:
    """The clipped sum of an empty batch: zeros. A Poisson sampler may draw nobody, and noise is still added."""
    learning = trainable(module)
    first = next(iter(learning.values()), batch.inputs)
    return ClippedSum(
        {name: torch.zeros_like(parameter) for name, parameter in learning.items()}, *first.new_zeros(2, 0).detach()
    )


def total(per_row: Mapping[str, Tensor], losses: Tensor, max_grad_norm: float) -> ClippedSum:
    """Clip and add gradients that are held row by row, each (rows, *the parameter's shape)."""
    norms = norms_of(per_row.values(), losses)
    scale = coefficients(norms, max_grad_norm)
    sums = {name: (scale @ each.flatten(1)).view(each.shape[1:]) for name, each in per_row.items()}
    return ClippedSum(sums, losses.detach(), norms)


def norms_of(per_row: Iterable[Tensor], losses: Tensor) -> Tensor:
    """The length of each row's whole gradient, (rows,), over all parameters together."""
    lengths = [torch.linalg.vector_norm(each.flatten(1), dim=1) for each in per_row]
    return torch.linalg.vector_norm(torch.stack(lengths), dim=0) if lengths else torch.zeros_like(losses)
