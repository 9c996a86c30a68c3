"""Training in one call: any torch module, any of four tasks, and an account of how it was done."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rai.errors import InputError
from rai.train.account import Finished, forward_flops, ledger_of
from rai.train.augment import augmented
from rai.train.batches import Rows, shuffled, steps_in
from rai.train.checkpoints import Clock, Keeper, restore
from rai.train.checks import require_settings
from rai.train.given import Given, Parts, parts_of, rows_given
from rai.train.gradients import Objective, mean_loss, plain
from rai.train.loop import Gradients, Hooks, Machine, Plan, State, Watch, run
from rai.train.losses import Loss, Task, balanced, loss_of
from rai.train.optimisers import ONE_RATE, grouped, optimizer_of, rate_of
from rai.train.parallel import made_alike, shared
from rai.train.review import AfterEpoch, Review, Worth
from rai.train.settings import Fit
from rai.train.setup import copied, device_of, finish, forked, freeze, initialize, require_frozen
from rai.train.threads import threads_for
from rai.train.trained import Trained

DEFAULTS = Fit()


@dataclass(frozen=True)
class Aids:
    """What a caller may hand in beside network, data and settings; `fit` says what each of them is."""

    gradients: Gradients | None = None
    loss: Loss | None = None
    objective: Objective | None = None
    watch: Watch | None = None
    before_epoch: Callable[[int], None] | None = None
    after_epoch: AfterEpoch | None = None
    worth: Worth | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False
    made: str = ""
    origin: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)


def fit(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    network: nn.Module,
    data: Given,
    *,
    settings: Fit = DEFAULTS,
    task: Task | None = None,
    validation: Given | None = None,
    gradients: Gradients | None = None,
    loss: Loss | None = None,
    objective: Objective | None = None,
    watch: Watch | None = None,
    before_epoch: Callable[[int], None] | None = None,
    after_epoch: AfterEpoch | None = None,
    worth: Worth | None = None,
    rates: Mapping[str, float] = ONE_RATE,
    checkpoint: Path | str | None = None,
    resume: bool = False,
    made: str = "",
    origin: str = "",
    fixed: Mapping[str, Any] | None = None,
) -> Trained:
    """Train a copy of the network on labelled rows and return it with its ledger; the network itself stays as it is.

    `data` is `rai.subject.Data` or a pair (X, y) of arrays or tensors; `task` is told from labels and outputs where it
    can be. A share `settings.validation` of the rows is held back by label and group, or `validation` is used instead.
    `loss` maps outputs and targets to a loss a row; `objective` maps a batch's losses, its outputs and the batch to
    what is made small in place of the mean loss; `gradients` sets `.grad` in place of both (L1 and `max_grad_norm`
    still follow). `watch` hears of every step; `before_epoch(number)` is called before the first step of an epoch
    (from 0), also where a run goes on within it; `after_epoch(module, epoch)` returns metrics. `worth(epoch)`, smaller
    being better, is what early stopping judges by; without it, that is the validation loss. `rates` multiplies the
    learning rate of parameters by how their names begin, and clips and shrinks these apart from the rest.

    Every draw hangs on `settings.seed`; the caller's random generators are not touched. `checkpoint` names a file that
    is written every 10 seconds, on Ctrl-C and at the end; `resume` goes on from it, to the same weights bit for bit, or
    raises `InputError` where data, settings or network are not the same. `InputError` also names any wrong setting,
    row or label, and a loss that is no number any more. `origin` is the SHA-256 of the file that the network's first
    weights came from; it must be the same for a run to go on, and so must all that `fixed` names. Inside
    `rai.train.parallel.joined()` the processes that torchrun started share the work; the first alone writes
    checkpoints.
    """
    require_settings(settings)
    module = copied(network).to(device_of(settings))
    aids = Aids(
        gradients=gradients,
        loss=loss,
        objective=objective,
        watch=watch,
        before_epoch=before_epoch,
        after_epoch=after_epoch,
        worth=worth,
        rates=rates,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        resume=resume,
        made=made,
        origin=origin,
        fixed=fixed or {},
    )
    with forked(module):
        torch.manual_seed(settings.seed)
        initialize(module, settings.initialization)
        made_alike(module)
        rows = rows_given(data, module, task)
        given = None if validation is None else rows_given(validation, module, rows.task)
        parts = parts_of(rows, given, share=settings.validation, seed=settings.seed)
        return _trained(module, rows, parts, settings, aids)


def _trained(module: nn.Module, rows: Rows, parts: Parts, settings: Fit, aids: Aids) -> Trained:
    """Train on the parts, and give back the module as it came, but for its weights."""
    if settings.early_stopping is not None and parts.held is None:
        raise InputError("needs rows held back", where="fit.early_stopping", do="set validation, or hand rows in")
    require_frozen(module, settings.freeze)
    before, flops = copied(module), forward_flops(module, parts.train)
    loss = _loss(parts.train, settings, aids)
    generator = torch.Generator().manual_seed(settings.seed)
    machine = Machine(module, optimizer_of(settings, grouped(module, aids.rates)), {"augment": generator})
    promise = {**_promise(rows, parts, settings), "the file of the first weights": aids.origin, **aids.fixed}
    state, clock = _start(machine, promise, aids)
    keeper = Keeper(aids.checkpoint, machine, promise, clock)
    review = Review(module, parts.held, loss, settings.early_stopping, aids.after_epoch, aids.worth)
    hooks = Hooks(partial(_before_epoch, module, settings, aids), review, keeper.keep, aids.watch)
    with threads_for(flops, settings.batch_size, settings.device):
        run(_plan(parts.train, loss, settings, aids, generator), machine, state, hooks)
    if state.best is not None:
        module.load_state_dict(state.best)
    finish(module, before)
    split = {"train": len(parts.train), "validation": 0 if parts.held is None else len(parts.held)}
    told = Finished(
        module, rows.fingerprint, state, clock, flops, asdict(settings), settings.seed, split=split, made=aids.made
    )
    return Trained(module, ledger_of(told))


def _before_epoch(module: nn.Module, settings: Fit, aids: Aids, epoch: int) -> None:
    freeze(module, settings, epoch)
    if aids.before_epoch is not None:
        aids.before_epoch(epoch)


def _loss(train: Rows, settings: Fit, aids: Aids) -> Loss:
    if aids.loss is not None or settings.class_weight is None:
        return aids.loss or loss_of(train.task)
    if train.task == "regression":
        raise InputError("is given for regression", where="fit.class_weight", expected="a task with classes")
    return loss_of(train.task, balanced(train.task, train.targets).to(device_of(settings)))


def _plan(train: Rows, loss: Loss, settings: Fit, aids: Aids, generator: torch.Generator) -> Plan:
    per_epoch = steps_in(len(train), settings.batch_size)
    steps = settings.epochs * per_epoch
    return Plan(
        train,
        shuffled(len(train), settings.batch_size, settings.seed),
        shared(aids.gradients or _gradients(loss, settings, aids)),
        rate_of(settings, per_epoch=per_epoch, steps=steps),
        steps,
        per_epoch,
        l1=settings.l1,
        max_grad_norm=settings.max_grad_norm,
        augment=_augment(settings, generator),
        device=settings.device,
    )


def _gradients(loss: Loss, settings: Fit, aids: Aids) -> Gradients:
    return plain(loss, objective=aids.objective or mean_loss, mixed_precision=settings.mixed_precision)


def _augment(settings: Fit, generator: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor] | None:
    return partial(augmented, which=settings.augment, generator=generator) if settings.augment else None


def _promise(rows: Rows, parts: Parts, settings: Fit) -> Mapping[str, Any]:
    """What must be the same for a run to go on."""
    held = None if parts.held is None else parts.held.fingerprint.sha256
    return {**asdict(settings), "data": rows.fingerprint.sha256, "validation data": held, "task": rows.task}


def _start(machine: Machine, promise: Mapping[str, Any], aids: Aids) -> tuple[State, Clock]:
    if not aids.resume:
        return State(), Clock()
    if aids.checkpoint is None:
        raise InputError("needs a checkpoint to go on from", where="resume", do="name the checkpoint's file")
    restored = restore(aids.checkpoint, machine, promise)
    return restored.state, restored.clock
