"""The one loop of all training: ask for gradients, step, count; plain and private training differ in what they hand in.

Time is counted in steps; an epoch is `per_epoch` of them. A `Plan` says what happens at a step:

- `sampler(step)` gives the positions of the step's rows (int64, maybe none). Plain training shuffles; private training
  draws a Poisson sample from its own generator. It is asked once a step, in order, so a generator of its own is in step
  with the count; list that generator in `generators` and a checkpoint keeps its state.
- `gradients(module, batch)` sets `.grad` of every trainable parameter and returns the losses (rows,), detached. It is
  called for an empty batch too: a private source then still sets `.grad`, to noise. A source that sets none makes the
  step do nothing. `.grad` is None when it is called.
- `rate(step)` is the learning rate; a group of the optimizer's parameters may multiply it by a `rate` of its own.

After the source, and before the step, come `l1` and `max_grad_norm` (of the whole gradient); private training leaves
both at None. `Machine` holds what moves, `State` what was counted so far: with them and the generators, a run that was
stopped after any step goes on to the same bits. Signals of Ctrl-C wait for the end of a step.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.ledger import Epoch
from rai.train.batches import Batch, Rows
from rai.train.interrupts import Asked, deferred

Gradients = Callable[[nn.Module, Batch], Tensor]
Sampler = Callable[[int], Tensor]


@dataclass(frozen=True)
class Moment:
    """Where a run stands after a step: `loss` is the mean of this epoch so far, None while it has seen no row.

    `part` is what is counted as an epoch: in a federation it is a round, which is a step as well, and in a stress test
    a whole training, of which each round is a step.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float | None
    epsilon: float | None = None
    part: Literal["epoch", "round", "stress run"] = "epoch"


class Watch(Protocol):
    """Whoever wants to know how training goes, such as a progress bar."""

    def step(self, moment: Moment) -> None:
        """Hear of a step that was just made."""


@dataclass(frozen=True)
class Plan:
    """What happens at every step; see the words at the head of this file.

    `augment` changes the inputs of a batch at random. `epsilon(steps)` is what so many steps have cost; it is asked
    after each, so it must be quick.
    """

    rows: Rows
    sampler: Sampler
    gradients: Gradients
    rate: Callable[[int], float]
    steps: int
    per_epoch: int
    l1: float | None = None
    max_grad_norm: float | None = None
    epsilon: Callable[[int], float] | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Machine:
    """What moves: module, optimizer, and by name the generators that sampler, gradients and augmentation draw from."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)


@dataclass
class State:
    """What was counted so far. It changes at every step; all else here is fixed.

    `total` and `seen` are the losses and rows of the epoch under way, `rows` all rows seen. `best` are the weights with
    the smallest validation loss (or what else epochs are judged by), kept where training may stop early.
    """

    step: int = 0
    total: float = 0.0
    seen: int = 0
    rows: int = 0
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    best_loss: float | None = None
    stale: int = 0
    stopped: bool = False


@dataclass(frozen=True)
class Hooks:
    """What is done beside the steps.

    `before_epoch(number)` makes the module ready (training mode, what is frozen); it is called before the first step of
    a run that goes on, too. `after_epoch(epoch, state)` may put validation loss and metrics to the epoch, and may set
    `state.stopped`. `keep(state, now)` writes a checkpoint when one is due, or at once where `now`.
    """

    before_epoch: Callable[[int], None]
    after_epoch: Callable[[Epoch, State], Epoch] = lambda epoch, _: epoch
    keep: Callable[[State, bool], None] = lambda _state, _now: None
    watch: Watch | None = None


def run(plan: Plan, machine: Machine, state: State, hooks: Hooks) -> None:
    """Make the steps that are left, or fewer where `state.stopped` says so; `state` and the module end up changed.

    Ctrl-C is heard at the end of a step: a checkpoint is kept, then KeyboardInterrupt raised. A loss that is no number
    raises `InputError`.
    """
    fresh = True
    with deferred() as asked:
        while state.step < plan.steps and not state.stopped:
            if fresh or state.step % plan.per_epoch == 0:
                hooks.before_epoch(state.step // plan.per_epoch)
                fresh = False
            _step(plan, machine, state)
            _tell(plan, state, hooks, asked)
    hooks.keep(state, True)  # noqa: FBT003 - the checkpoint of a finished run is due


def _step(plan: Plan, machine: Machine, state: State) -> None:
    batch = _batch(plan, state.step)
    machine.optimizer.zero_grad(set_to_none=True)
    losses = plan.gradients(machine.module, batch)
    _require_number("the loss", bool(losses.isfinite().all()), plan, state.step)
    restrain(machine.optimizer, plan)
    for each in machine.optimizer.param_groups:
        each["lr"] = plan.rate(state.step) * each.get("rate", 1.0)
    machine.optimizer.step()
    state.step += 1
    state.total += float(losses.sum(dtype=torch.float64))
    state.seen += len(batch)
    state.rows += len(batch)


def _batch(plan: Plan, step: int) -> Batch:
    batch = plan.rows.batch(plan.sampler(step)).to(plan.device)
    return batch if plan.augment is None else replace(batch, inputs=plan.augment(batch.inputs))


def _require_number(what: str, finite: bool, plan: Plan, step: int) -> None:  # noqa: FBT001 - it is what is required
    if not finite:
        raise InputError(
            f"{what} is no number any more in epoch {step // plan.per_epoch + 1}, learning rate {plan.rate(step):.3g}",
            where="training",
            do="choose a smaller learning_rate, set max_grad_norm, or scale the inputs",
        )


def restrain(optimizer: torch.optim.Optimizer, plan: Plan) -> None:
    """Put the gradient of L1 to the gradients, then make those of each group as short as `max_grad_norm`.

    A group with a `rate` of its own is no part of the network that is made, so L1 is not for it.
    """
    for group in optimizer.param_groups:
        if plan.l1 and "rate" not in group:
            for each in group["params"]:
                if each.grad is not None:
                    each.grad.add_(each.detach().sign(), alpha=plan.l1)
        if plan.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(group["params"], plan.max_grad_norm)


def _tell(plan: Plan, state: State, hooks: Hooks, asked: Asked) -> None:
    """End the epoch where it ends, tell who watches, keep a checkpoint where due, and heed Ctrl-C."""
    epsilon = None if plan.epsilon is None else plan.epsilon(state.step)
    moment = Moment(
        state.step,
        plan.steps,
        (state.step - 1) // plan.per_epoch + 1,
        math.ceil(plan.steps / plan.per_epoch),
        state.total / state.seen if state.seen else None,
        epsilon,
    )
    with asked.also():
        if state.step % plan.per_epoch == 0 or state.step == plan.steps:
            _end_epoch(moment, plan, state, hooks)
        if hooks.watch is not None:
            hooks.watch.step(moment)
    hooks.keep(state, asked.now)
    asked.heed()


def _end_epoch(moment: Moment, plan: Plan, state: State, hooks: Hooks) -> None:
    """Enter the epoch; one that saw no row has no loss and is left out."""
    if moment.loss is not None:
        epoch = hooks.after_epoch(Epoch(moment.epoch, moment.loss, epsilon=moment.epsilon), state)
        finite = epoch.validation_loss is None or math.isfinite(epoch.validation_loss)
        _require_number("the validation loss", finite, plan, moment.step - 1)
        state.history.append(epoch)
    state.total, state.seen = 0.0, 0


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that may move."""
    return [each for each in module.parameters() if each.requires_grad]
