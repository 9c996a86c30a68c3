"""Clipped gradients by Opacus: for networks with layers that our own engine does not know.

The module is wrapped for one batch and leaves as it came: no hook stays and no `.grad` is touched.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rai.train.batches import Batch
from rai.train.gradients import answers
from rai.train.private.clipped_sum import (
    ClippedSum,
    Losses,
    coefficients,
    losses_of,
    of_no_rows,
    total,
    trainable,
)

LEFT_ON_PARAMETERS = ("grad_sample", "_current_grad_sample", "_norm_sample", "_forward_counter", "summed_grad")
LEFT_ON_MODULES = ("activations", "max_batch_len", "autograd_grad_sample_hooks", "ft_compute_sample_grad")


def hooks(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum:
    """The clipped sum with each row's gradient held in memory, by `opacus.GradSampleModule`.

    The module must be in training mode. Source: Opacus, arXiv:2109.12298.
    """
    from opacus import GradSampleModule

    if not len(batch.inputs):
        return of_no_rows(module, batch)
    learning = trainable(module)
    with _wrapped(module, GradSampleModule) as wrapped:
        found = losses_of(answers(wrapped, batch.inputs), losses, batch)
        _backward(found.sum(), learning)
        per_row = {name: _rows_of(parameter, found) for name, parameter in learning.items()}
        return total(per_row, found, max_grad_norm)


def ghost(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum:
    """The clipped sum from a second backward pass over losses scaled by the norms that the first one found.

    By `opacus.grad_sample.GradSampleModuleFastGradientClipping`; the module must be in training mode. Source: Li et al.
    2022 (arXiv:2110.05679).
    """
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    if not len(batch.inputs):
        return of_no_rows(module, batch)
    learning = trainable(module)
    with _wrapped(module, GradSampleModuleFastGradientClipping) as wrapped:
        found = losses_of(answers(wrapped, batch.inputs), losses, batch)
        _backward(found.sum(), learning, again=True)
        norms = wrapped.get_norm_sample().detach()
        wrapped.disable_hooks()
        sums = _backward((coefficients(norms, max_grad_norm) * found).sum(), learning)
        return ClippedSum(sums, found.detach(), norms)


@contextmanager
def _wrapped(module: nn.Module, wrapper: Any) -> Iterator[Any]:
    """`module` with Opacus' hooks on it, until the block ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of hooks on layers whose inputs need no gradient
        kinds = {each: each._is_full_backward_hook for each in module.modules()}  # noqa: SLF001 - torch never resets it
        try:
            yield wrapper(module, loss_reduction="sum", strict=False)
        finally:
            _leave_clean(module, kinds)


def _leave_clean(module: nn.Module, kinds: Mapping[nn.Module, bool | None]) -> None:
    for handle in getattr(module, "autograd_grad_sample_hooks", []):
        handle.remove()
    for parameter in module.parameters():
        _forget(parameter, LEFT_ON_PARAMETERS)
    for each, kind in kinds.items():
        _forget(each, LEFT_ON_MODULES)
        each._is_full_backward_hook = kind  # noqa: SLF001 - see above


def _forget(thing: object, names: tuple[str, ...]) -> None:
    for name in names:
        thing.__dict__.pop(name, None)


def _backward(loss: Tensor, learning: dict[str, nn.Parameter], *, again: bool = False) -> dict[str, Tensor]:
    found = torch.autograd.grad(
        loss, list(learning.values()), retain_graph=again, allow_unused=True, materialize_grads=True
    )
    return dict(zip(learning, found, strict=True))


def _rows_of(parameter: nn.Parameter, losses: Tensor) -> Tensor:
    """Each row's gradient as Opacus left it, (rows, *shape); zeros for a parameter that the pass never used."""
    found: Tensor | None = getattr(parameter, "grad_sample", None)
    return parameter.new_zeros(len(losses), *parameter.shape) if found is None else found
