"""How wrong a model's answers are, one number a row: the quantity that training makes small."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Task = Literal["binary", "multiclass", "multilabel", "regression"]
Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs (rows, outputs) and targets to one loss a row, shape (rows,)."""


def losses(task: Task, outputs: Tensor, targets: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Return the loss of each row, shape (rows,); no rows give no losses.

    "binary": one logit a row and targets 0.0 or 1.0, cross-entropy. "multiclass": logits (rows, classes) and class
    positions (int64), cross-entropy. "multilabel": logits (rows, labels) and targets of 0.0 or 1.0 in the same shape,
    the mean cross-entropy of a row's labels. "regression": the squared error, its mean where a row has several values.
    `class_weight` multiplies a row's loss by its class's weight: (2,) for binary, (classes,) for multiclass, and
    (2, labels) for multilabel, whose labels are weighted one by one.
    """
    match task:
        case "multiclass":
            found = functional.cross_entropy(outputs, targets, reduction="none")
            return found if class_weight is None else found * class_weight[targets]
        case "regression":
            return (outputs - targets.reshape(outputs.shape)).square().flatten(1).mean(dim=1)
        case _:
            aims = targets.reshape(outputs.shape)
            found = functional.binary_cross_entropy_with_logits(outputs, aims, reduction="none")
            return (found if class_weight is None else found * _chosen(aims, class_weight)).flatten(1).mean(dim=1)


def loss_of(task: Task, class_weight: Tensor | None = None) -> Loss:
    """Return the loss of a task as a function of outputs and targets alone."""
    return partial(_losses, task=task, class_weight=class_weight)


def loss_of_raw(task: Task) -> Loss:
    """Return the loss of a task on a module's raw outputs, which may be one number a row without a second dimension."""
    loss = loss_of(task)

    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss(outputs if outputs.dim() > 1 else outputs[:, None], targets)

    return each


def balanced(task: Task, targets: Tensor) -> Tensor:
    """Return weights that make every class count as much as any other: rows / (classes x rows of the class).

    The shape is what `losses` takes; sklearn's "balanced". A class without rows weighs 1 and is not counted.
    """
    if task == "multilabel":
        return torch.stack([_inverse(column, 2) for column in targets.long().T], dim=1)
    labels = targets.long().flatten()
    return _inverse(labels, 2 if task == "binary" else int(labels.max()) + 1)


def _losses(outputs: Tensor, targets: Tensor, *, task: Task, class_weight: Tensor | None) -> Tensor:
    return losses(task, outputs, targets, class_weight)


def _chosen(targets: Tensor, class_weight: Tensor) -> Tensor:
    negative, positive = class_weight
    return torch.where(targets > 0.5, positive, negative)


def _inverse(labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes).double()
    present = (counts > 0).sum()
    return torch.where(counts > 0, len(labels) / (present * counts), 1.0).float()
