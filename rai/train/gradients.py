"""The plain source of gradients: the mean loss of a batch, or what else is to be made small, differentiated."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.train.batches import Batch
from rai.train.loop import Gradients
from rai.train.losses import Loss

Objective = Callable[[Tensor, Tensor, Batch], Tensor]
"""From the losses of a batch (rows,), its outputs (rows, outputs) and the batch itself to one number to make small."""


def mean_loss(losses: Tensor, _outputs: Tensor, _batch: Batch) -> Tensor:
    """The objective of training without a criterion: the mean of the losses."""
    return losses.mean()


def plain(loss: Loss, *, objective: Objective = mean_loss, mixed_precision: bool = False) -> Gradients:
    """Return a source that sets `.grad` to the gradient of the objective on a batch; no rows set none.

    With `mixed_precision` the forward pass runs in bfloat16 where torch deems it good enough.
    """

    def gradients(module: nn.Module, batch: Batch) -> Tensor:
        if not len(batch):
            return torch.zeros(0)
        with torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=mixed_precision):
            outputs = answers(module, batch.inputs)
        exact = outputs.float() if mixed_precision else outputs
        found = loss(exact, batch.targets)
        torch.autograd.backward(objective(found, exact, batch))
        return found.detach()

    return gradients


def answers(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the module's outputs (rows, outputs); raise `InputError` where it gives anything else."""
    found = module(inputs)
    if not isinstance(found, Tensor) or found.dim() < 1 or len(found) != len(inputs):
        what = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise InputError(
            f"answers {len(inputs)} rows with {what}",
            where="network",
            expected="one tensor of shape (rows, outputs)",
            do="wrap it in a module that returns the logits",
        )
    return found if found.dim() > 1 else found[:, None]
