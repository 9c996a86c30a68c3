"""Training with a differential privacy promise: what goes in, what comes out, and the account of both."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rai.errors import InputError
from rai.ledger import Canaries, Epoch
from rai.train.account import Finished, forward_flops, ledger_of
from rai.train.augment import augmented
from rai.train.batches import Batch, Rows
from rai.train.checkpoints import Clock, Keeper, restore
from rai.train.checks import require_settings
from rai.train.given import Given, rows_given
from rai.train.gradients import answers
from rai.train.loop import Hooks, Machine, Plan, State, Watch, run
from rai.train.losses import Loss, Task, loss_of_raw
from rai.train.optimisers import optimizer_of, rate_of
from rai.train.parallel import made_alike, own_noise, totals, wait, world
from rai.train.private.accounting import meter
from rai.train.private.budget import Budget, Charge, new_budget, resumed_budget
from rai.train.private.canaries import candidates, planted, toss, with_canaries
from rai.train.private.clipped import Chosen, chosen
from rai.train.private.compare import compared, require_held
from rai.train.private.gradients_loop import loop
from rai.train.private.preflight import require_tight
from rai.train.private.promise import promise_of, require_private_settings
from rai.train.private.sampling import units_of
from rai.train.private.shards import shard, together
from rai.train.private.statement import Kept, with_privacy
from rai.train.private.steps import Steps
from rai.train.review import AfterEpoch, Review
from rai.train.settings import Fit, Private
from rai.train.setup import copied, device_of, finish, freeze, initialize, require_frozen
from rai.train.threads import threads_for
from rai.train.trained import Trained

DEFAULTS = Fit()
FEW = 2
FIXED = ("unit", "max_grad_norm", "expected_batch", "canaries")


@dataclass(frozen=True)
class Aids:
    """What a caller may hand in beside network, data and settings; `fit_private` says what each of them is."""

    watch: Watch | None
    after_epoch: AfterEpoch | None
    checkpoint: Path | None
    resume: bool
    made: str
    origin: str


@dataclass(frozen=True)
class Start:
    """Where a run begins, or goes on."""

    state: State
    clock: Clock
    charge: Charge
    canaries: Canaries | None


def fit_private(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    network: nn.Module,
    data: Given,
    *,
    private: Private | None = None,
    settings: Fit = DEFAULTS,
    task: Task | None = None,
    validation: Given | None = None,
    watch: Watch | None = None,
    after_epoch: AfterEpoch | None = None,
    checkpoint: Path | str | None = None,
    resume: bool = False,
    made: str = "",
    origin: str = "",
    **promise: Any,
) -> Trained:
    """Train a copy of the network so that no single unit of the data shows, and return it with its ledger.

    Say `private`, or its words one by one: `epsilon` or `noise_multiplier`, `delta`, `sample_rate`, `steps`,
    `expected_batch`, `max_grad_norm`. All are public numbers: nothing follows from how many rows there are. All rows
    of `data` are trained on; `settings.epochs`, `batch_size` and `validation` mean nothing here. Rows of `validation`
    are outside the promise, and so is what `after_epoch(module, epoch)` returns. Losses in the ledger are noisy, and
    the noise is part of epsilon; what `watch` hears is not noisy.

    `checkpoint` names a file that is written a hundred times a run, on Ctrl-C and at the end; `resume` goes on from it
    and spends what is left of the budget. Raises `InputError` for a network that would break the promise (naming the
    layer), for changed data, and for words that would break it, such as `poisson_sampling`. `origin` is the SHA-256 of
    the file that the network's first weights came from; what that file knows of the rows is outside the promise.
    Inside `rai.train.parallel.joined()` each process that torchrun started holds a part of the units.
    Source: Abadi et al. 2016 (arXiv:1607.00133).
    """
    require_settings(settings)
    require_private_settings(settings)
    promised = promise_of(private, promise)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise InputError("needs a checkpoint to go on from", where="resume", do="name the checkpoint's file")
    module = copied(network).to(device_of(settings))
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        initialize(module, settings.initialization)
        made_alike(module)
        rows = rows_given(data, module, task)
        held = None if validation is None else rows_given(validation, module, rows.task)
        aids = Aids(watch, after_epoch, path, resume, made, origin)
        return _trained(module, rows, held, settings, promised, aids)


def _trained(module: nn.Module, rows: Rows, held: Rows | None, settings: Fit, promise: Private, aids: Aids) -> Trained:
    """Train on all rows, and give back the module as it came, but for its weights."""
    require_held(promise, held)
    require_frozen(module, settings.freeze)
    before, flops, loss = copied(module), forward_flops(module, rows), loss_of_raw(rows.task)
    mine = shard(rows, promise.unit)
    waived = _preflight(module, rows, loss, settings, promise)
    generator = torch.Generator().manual_seed(settings.seed)
    machine = Machine(module, optimizer_of(settings, module.parameters()), {"augment": generator})
    start = _start(machine, rows, settings, promise, aids)
    budget, state = start.charge.budget, start.state
    engine = _engine(module, rows, loss, promise)
    units = with_canaries(units_of(mine, promise.unit), len(mine), start.canaries)
    steps = Steps(units, promise, own_noise(budget.noise_multiplier), loss, engine.clipped)
    review = partial(_reviewed, Review(module, held, loss, None, aids.after_epoch), steps)
    hooks = Hooks(partial(freeze, module, settings), review, start.charge.keep, aids.watch)
    wait()  # until all have read the checkpoint that the first of them is about to write anew
    start.charge.keep(state, now=False)
    plan = _plan(_with_planted(mine, module, start.canaries), steps, settings, budget, generator)
    with threads_for(flops, promise.expected_batch, settings.device):
        run(plan, machine, state, hooks)
    finish(module, before)
    state.rows = round(totals([state.rows])[0])
    told = _told(module, rows, held, start, settings)
    told = replace(told, flops_a_row=flops, recipe={**told.recipe, "private": asdict(promise)}, made=aids.made)
    price = compared(module, before, rows, held, (settings, promise)) if promise.compare and held is not None else {}
    kept = Kept(budget, state.step, engine.name, waived, start.canaries, price)
    return Trained(module, with_privacy(ledger_of(told), kept))


def _told(module: nn.Module, rows: Rows, held: Rows | None, start: Start, settings: Fit) -> Finished:
    """What every training tells of itself."""
    split = {"train": len(rows), "validation": 0 if held is None else len(held)}
    fingerprint, recipe = rows.fingerprint, asdict(settings)
    return Finished(module, fingerprint, start.state, start.clock, None, recipe, settings.seed, split=split)


def _preflight(module: nn.Module, rows: Rows, loss: Loss, settings: Fit, promise: Private) -> tuple[str, ...]:
    """Look for holes in the network as it will be trained: at first, and with all of it learning if that comes."""
    few = Batch(rows.inputs[:FEW], rows.targets[:FEW]).to(settings.device)
    found: dict[str, None] = {}
    for epoch in {0, settings.unfreeze_after or 0}:
        tried = copied(module)
        freeze(tried, settings, epoch)
        waived = require_tight(tried, loss, few, gradients=promise.gradients, waive=promise.waive)
        found |= dict.fromkeys(waived)
    freeze(module, settings, 0)
    return tuple(found)


def _start(machine: Machine, rows: Rows, settings: Fit, promise: Private, aids: Aids) -> Start:
    """Begin with a whole budget, or go on with what a checkpoint says is left of it."""
    unchanging = _unchanging(rows, settings, promise, aids.origin)
    if aids.resume and aids.checkpoint is not None:
        restored = restore(aids.checkpoint, machine, unchanging)
        state, clock, extra = restored.state, restored.clock, restored.extra
        state.step, found = int(extra["charged"]), extra["canaries"]
        budget = resumed_budget(promise, extra["budget"], state.step)
        canaries = None if found is None else Canaries(found["seed"], tuple(found["included"]))
    else:
        state, clock, budget, canaries = State(), Clock(), new_budget(promise), toss(promise.canaries)
    charge = Charge(budget, state.step)
    said = {"canaries": None if canaries is None else asdict(canaries)}
    charge.keeper = Keeper(aids.checkpoint, machine, unchanging, clock, lambda: {**charge.written(), **said})
    return Start(state, clock, charge, canaries if world().first else None)


def _unchanging(rows: Rows, settings: Fit, promise: Private, origin: str) -> dict[str, Any]:
    """What must be the same for a run to go on; how much is promised, and in how many steps, may change."""
    fixed = {f"private.{name}": getattr(promise, name) for name in FIXED}
    fixed["the file of the first weights"] = origin
    return {**asdict(settings), **fixed, "data": rows.fingerprint.sha256, "task": rows.task}


def _engine(module: nn.Module, rows: Rows, loss: Loss, promise: Private) -> Chosen:
    """How rows' gradients are clipped, chosen by the time of one batch of the expected size; groups have one way."""
    if promise.unit != "record":
        return Chosen("group by group", loop, {}, {})
    device = next(each.device for each in module.parameters())
    size = min(max(1, round(promise.expected_batch)), promise.physical_batch)
    some = torch.arange(size) % len(rows)
    return chosen(module, loss, rows.batch(some).to(device), promise.max_grad_norm, promise.gradients)


def _with_planted(rows: Rows, module: nn.Module, canaries: Canaries | None) -> Rows:
    if canaries is None:
        return rows
    device = next(each.device for each in module.parameters())
    with torch.no_grad(), torch.random.fork_rng():
        outputs = answers(module, rows.inputs[:1].to(device)).shape[1]
    embeddings = [each.num_embeddings for each in module.modules() if isinstance(each, nn.Embedding)]
    tokens = embeddings[0] if embeddings and not rows.inputs.is_floating_point() else None
    return planted(rows, candidates(canaries, rows.inputs, task=rows.task, outputs=outputs, tokens=tokens), canaries)


def _plan(rows: Rows, steps: Steps, settings: Fit, budget: Budget, generator: torch.Generator) -> Plan:
    """The steps of the loop. An epoch is as many as one pass over the rows would take in the mean, by the rate."""
    promise = budget.promise
    per_epoch = max(1, round(1 / promise.sample_rate))
    so_far = meter(budget.before, budget.phases(budget.start)[-1], promise.delta)
    most = inf if promise.epsilon is None else promise.epsilon  # the noise keeps it by PLD, which is tighter
    return Plan(
        rows,
        steps.draw,
        together(steps),
        rate_of(settings, per_epoch=per_epoch, steps=promise.steps),
        promise.steps,
        per_epoch,
        l1=settings.l1,
        max_grad_norm=settings.max_grad_norm,
        epsilon=lambda step: min(so_far(step - budget.start), most),
        augment=partial(augmented, which=settings.augment, generator=generator) if settings.augment else None,
        device=settings.device,
    )


def _reviewed(review: Review, steps: Steps, epoch: Epoch, state: State) -> Epoch:
    """The epoch with the noisy loss in place of the true one, which is no part of the promise."""
    return review(replace(epoch, loss=steps.curve.read(steps.promise.expected_batch)), state)
