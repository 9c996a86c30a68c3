"""The steps of one site in one round, made with as little around them as can be."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from rai.errors import InputError
from rai.train.interrupts import deferred
from rai.train.loop import Machine, Plan, restrain


def walked(plan: Plan, machine: Machine, before_epoch: Callable[[int], None]) -> float:
    """Make all steps and return the mean loss; `rai.train.loop.run` without what only a long training needs.

    A site makes few and small steps, often: nothing is told, kept or looked at in between but Ctrl-C.
    """
    found = []
    with deferred() as asked:
        for step in range(plan.steps):
            if step % plan.per_epoch == 0:
                before_epoch(step // plan.per_epoch)
            found.append(_stepped(plan, machine, step))
            asked.heed()
    loss = float(torch.cat(found).mean(dtype=torch.float64))
    if not math.isfinite(loss):
        raise InputError("the loss is no number any more", where="training", do="choose a smaller learning_rate")
    return loss


def _stepped(plan: Plan, machine: Machine, step: int) -> Tensor:
    batch = plan.rows.batch(plan.sampler(step))
    if plan.device != "cpu":
        batch = batch.to(plan.device)
    if plan.augment is not None:
        batch = replace(batch, inputs=plan.augment(batch.inputs))
    for group in machine.optimizer.param_groups:
        group["lr"] = plan.rate(step)
        for each in group["params"]:
            each.grad = None  # what `zero_grad` does, which takes as long as a layer of a small network
    losses = plan.gradients(machine.module, batch)
    if plan.l1 or plan.max_grad_norm is not None:
        restrain(machine.optimizer, plan)
    machine.optimizer.step()
    return losses
