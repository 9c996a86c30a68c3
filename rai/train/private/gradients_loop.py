"""Clipped gradients, one row after another: slow and plain, so that every faster way can be held against it."""

import torch
from torch import Tensor, nn

from rai.train.batches import Batch
from rai.train.gradients import answers
from rai.train.private.clipped_sum import ClippedSum, Losses, losses_of, of_no_rows, total, trainable


def loop(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum:
    """The clipped sum from one forward and one backward pass for each row alone.

    A row's gradient can depend on no other row here, whatever the network does. Raises `InputError` when a gradient is
    not finite or the losses are not one a row.
    """
    if not len(batch.inputs):
        return of_no_rows(module, batch)
    learning = trainable(module)
    found, gradients = [], []
    for row in range(len(batch.inputs)):
        alone = Batch(batch.inputs[row : row + 1], batch.targets[row : row + 1])
        loss = losses_of(answers(module, alone.inputs), losses, alone)
        found.append(loss.detach())
        gradients.append(_gradient(loss.sum(), list(learning.values())))
    per_row = {name: torch.stack(rows) for name, rows in zip(learning, zip(*gradients, strict=True), strict=True)}
    return total(per_row, torch.cat(found), max_grad_norm)


def _gradient(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor, ...]:
    if not parameters or not loss.requires_grad:
        return tuple(torch.zeros_like(each) for each in parameters)
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
