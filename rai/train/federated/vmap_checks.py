"""Whether sites can learn at the same time: what in settings, rows or network stands in the way, in words."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rai.train.batches import Batch, Rows
from rai.train.federated.site import Task
from rai.train.federated.vmap_stack import gradients_of
from rai.train.gradients import answers
from rai.train.losses import Loss, loss_of
from rai.train.settings import Fit

FEW = 3
CLOSE = 1e-3
"""Gradients of one site and of the same among several differ by at most this share of the largest number."""
SAME = ("round", "fit", "epochs", "proximal", "rounds")
KEPT = 6
"""Copies of the weights that a site holds while it learns: weights, gradient, optimizer, and what is being made."""
ALONE = {
    "device": "cpu",
    "mixed_precision": False,
    "augment": (),
    "class_weight": None,
    "unfreeze_after": None,
}
"""Settings of a site's training with which sites can learn together."""


def obstacle(module: nn.Module, rows_of_sites: Sequence[Rows], tasks: Sequence[Task]) -> str:
    """Return why these sites cannot learn at the same time, "" where they can.

    The module holds the common weights, ready to be trained. It is tried on a few rows of the first site, beside the
    same rows one fewer, and held against the plain gradient; it leaves as it came.
    """
    first = tasks[0]
    found = _settings(first.fit) or _unlike(rows_of_sites, tasks)
    if found:
        return found
    for name, each in module.named_modules():
        if isinstance(each, _BatchNorm) and each.training:
            return f"{name or 'the network'} ({type(each).__name__}) mixes the rows of a batch"
    return _tried(module, rows_of_sites[0])


def numbers_of(module: nn.Module, rows: Rows, fit: Fit) -> int:
    """Return about how many numbers one site holds while it learns: weights, rows, a batch, what layers make of it."""
    made = 0

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal made
        made += output.numel() if isinstance(output, Tensor) else 0

    handles = [each.register_forward_hook(count) for each in module.modules()]
    with torch.no_grad():
        module(rows.inputs[:1])
    for each in handles:
        each.remove()
    weights = sum(each.numel() for each in module.parameters() if each.requires_grad)
    batch = min(len(rows), fit.batch_size + 1) * (rows.inputs[0].numel() + 2 * made)
    return KEPT * weights + rows.inputs.numel() + batch


def _settings(fit: Fit) -> str:
    wrong = [f"fit.{name} is {getattr(fit, name)!r}" for name, usual in ALONE.items() if getattr(fit, name) != usual]
    return wrong[0] if wrong else ""


def _unlike(rows_of_sites: Sequence[Rows], tasks: Sequence[Task]) -> str:
    """Why the sites are too different to be put one above the other."""
    task = tasks[0]
    for name in SAME:
        if any(getattr(each, name) != getattr(task, name) for each in tasks):
            return f"the sites were given different values of {name}"
    if not all(each.state is task.state or _equal(each.state, task.state) for each in tasks):
        return "the sites begin with different weights"
    if not all(len(each) for each in rows_of_sites):
        return "a site has no rows"
    if len({_kind(each) for each in rows_of_sites}) > 1:
        return "the rows of the sites differ in shape or kind"
    return ""


def _kind(rows: Rows) -> tuple[object, ...]:
    return (rows.inputs.shape[1:], rows.inputs.dtype, rows.targets.shape[1:], rows.targets.dtype, rows.task)


def _equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def _tried(module: nn.Module, rows: Rows) -> str:
    """Why the network cannot be computed for several sites at once, seen on a few rows with and without the last."""
    loss, few = loss_of(rows.task), torch.arange(FEW) % len(rows)
    batch, buffers = rows.batch(few), {name: each.clone() for name, each in module.named_buffers()}
    weights = {name: each.detach() for name, each in module.named_parameters() if each.requires_grad}
    both = {name: each.expand(2, *each.shape).clone() for name, each in weights.items()}
    counted = torch.arange(FEW) < torch.tensor([[FEW], [FEW - 1]])
    pair = (torch.stack([batch.inputs] * 2), torch.stack([batch.targets] * 2))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns where it would go through the sites in a loop after all
        try:
            found, _ = gradients_of(module, loss)(both, *pair, counted)
            truth = [_plain(module, loss, rows.batch(few[:size]), list(weights)) for size in (FEW, FEW - 1)]
        except Warning:
            return "torch would compute this network for one site after another"
        except Exception as error:  # noqa: BLE001 - torch raises many kinds for what it cannot batch
            return f"torch cannot compute this network for several sites at once ({type(error).__name__})"
    if any(not torch.equal(each, buffers[name]) for name, each in module.named_buffers()):
        return "a buffer of the network changes in training"
    return _difference(found, truth)


def _plain(module: nn.Module, loss: Loss, batch: Batch, names: Sequence[str]) -> dict[str, Tensor | None]:
    """The gradient of the mean loss; None for a parameter that the loss does not reach."""
    learning = dict(module.named_parameters())
    mean = loss(answers(module, batch.inputs), batch.targets).mean()
    found = torch.autograd.grad(mean, [learning[name] for name in names], allow_unused=True)
    return dict(zip(names, found, strict=True))


def _difference(found: Mapping[str, Tensor], truth: Sequence[Mapping[str, Tensor | None]]) -> str:
    largest = max((float(each.abs().max()) for each in truth[0].values() if each is not None), default=0.0)
    for name, each in found.items():
        for site, true in enumerate(alone[name] for alone in truth):
            if true is None:
                return f"the loss does not reach {name}"
            if not torch.allclose(each[site], true, rtol=CLOSE, atol=CLOSE * largest):
                return f"the gradient of {name} hangs on the other rows of a batch, or on other sites"
    return ""
