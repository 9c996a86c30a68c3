"""One site's part of a round with a promise to its rows: Poisson samples, clipped sums, noise, and an entry before.

The steps are those of `rai.train.fit_private`; the account of them is `site_account`. How many rows a site holds is as
private as they are, so what it sends back names a public number in its place.
"""

import contextlib
from dataclasses import replace
from functools import lru_cache, partial

import torch
from torch import nn

from rai.errors import InputError
from rai.train.augment import augmented
from rai.train.batches import Rows
from rai.train.federated.proximal import pulled
from rai.train.federated.site import Task, Update, arrays_of, length, load, seed_of
from rai.train.federated.site_account import Account, charge
from rai.train.loop import Hooks, Machine, Plan, State, run
from rai.train.losses import loss_of_raw
from rai.train.optimisers import optimizer_of, rate_of
from rai.train.private.accounting import Phase, noise_for
from rai.train.private.clipped import chosen
from rai.train.private.clipped_sum import Clipped
from rai.train.private.gradients_loop import loop
from rai.train.private.preflight import require_tight
from rai.train.private.promise import promise_of, require_private_settings
from rai.train.private.sampling import units_of
from rai.train.private.steps import Steps
from rai.train.settings import Private
from rai.train.setup import forked, freeze

FEW = 2
MARGIN = 1e-3
"""The noise for an epsilon is found for this share less, so that the last round is not refused for rounding."""


def with_noise(private: Private) -> Private:
    """Return the promise with the noise that its epsilon takes over all its steps; epsilon stays, as the budget.

    The server finds it once and sends it to all sites, for it hangs on public numbers alone. Raises `InputError` for a
    promise that holds nothing, and for canaries and a twin without privacy, which sites do not know.
    """
    for name in ("canaries", "compare"):
        if getattr(private, name):
            raise InputError("is not known to sites that learn together", where=f"private.{name}", do="leave it out")
    found = private.noise_multiplier
    if private.epsilon is None or found is None:
        promise_of(private, {})
    if found is None and private.epsilon is not None:
        found = _noise(private.epsilon * (1 - MARGIN), private.delta, private.sample_rate, private.steps)
    if not found or found <= 0:
        raise InputError(f"is {found!r}", where="private.noise_multiplier", expected="a number above 0")
    return replace(private, noise_multiplier=found)


def steps_before(private: Private, rounds: int, number: int) -> int:
    """Return how many of a promise's steps are made before round `number`, from 1, where they are dealt out evenly."""
    return private.steps * (number - 1) // rounds


def public_examples(private: Private) -> int:
    """Return how many rows a site is said to learn from: what batch and rate ask for, whatever the site holds."""
    return max(1, round(private.expected_batch / private.sample_rate))


def looked_at(module: nn.Module, rows: Rows, task: Task, private: Private) -> Clipped:
    """Look for holes in the network as it will be trained, and return how its rows' gradients are clipped.

    What is frozen is also looked at as it will be when it learns. The answer hangs on the network and not on whose rows
    they are: many sites in one process may share it. Raises `InputError` for a network that would break the promise,
    naming the layer.
    """
    with forked(module):
        few = rows.batch(torch.arange(FEW) % len(rows)).to(task.fit.device)
        for epoch in dict.fromkeys((task.fit.unfreeze_after or _epoch(task), _epoch(task))):
            freeze(module, task.fit, epoch)
            require_tight(module, loss_of_raw(rows.task), few, gradients=private.gradients, waive=private.waive)
        return _way(module, rows, task, private)


def learned_privately(
    module: nn.Module, rows: Rows, task: Task, private: Private, account: Account, *, clipped: Clipped | None = None
) -> Update:
    """Make this round's share of the promise's steps on a site's rows, and return what is to be sent back.

    All of it may be told: weights and loss have noise, and `examples` is a public number. The steps are on the account
    before the first of them is made. Raises `BudgetSpentError` where that would be too much, and `InputError` for a
    network or settings that would break the promise. `clipped` is what `looked_at` gave for the same network; without
    it the network is looked at anew. The module ends up changed; torch's own generator does not.
    """
    require_private_settings(task.fit)
    promise = with_noise(private)
    load(module, task.state)
    way = clipped or looked_at(module, rows, task, promise)
    loss = loss_of_raw(rows.task)
    steps = Steps(units_of(rows, promise.unit), promise, promise.noise_multiplier or 0.0, loss, way)
    with forked(module):
        torch.manual_seed(seed_of(task))
        plan = _plan(module, rows, task, steps)
        if plan.steps:
            charge(account, Phase(steps.noise_multiplier, promise.sample_rate, plan.steps))
        machine = Machine(module, optimizer_of(task.fit, module.parameters()))
        run(plan, machine, State(), Hooks(lambda _: freeze(module, task.fit, _epoch(task))))
    arrays = arrays_of(module)
    told = steps.curve.read(promise.expected_batch)
    return Update(arrays, public_examples(promise), told, length(task.state, arrays))


@lru_cache(maxsize=16)
def _noise(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    return noise_for(epsilon, delta, sample_rate=sample_rate, steps=steps)


def _epoch(task: Task) -> int:
    """How many epochs are over when the round begins; what is frozen then is frozen for the whole round."""
    return (task.round - 1) * task.epochs


def _way(module: nn.Module, rows: Rows, task: Task, promise: Private) -> Clipped:
    """How gradients are clipped: our own book-keeping where it gives the true sum, since it is quick to begin."""
    if promise.unit != "record":
        return loop
    size = min(max(1, round(promise.expected_batch)), promise.physical_batch)
    batch = rows.batch(torch.arange(size) % len(rows)).to(task.fit.device)
    loss, most = loss_of_raw(rows.task), promise.max_grad_norm
    if promise.gradients == "auto":
        with contextlib.suppress(InputError):
            return chosen(module, loss, batch, most, "book_keeping").clipped
    return chosen(module, loss, batch, most, promise.gradients).clipped


def _plan(module: nn.Module, rows: Rows, task: Task, steps: Steps) -> Plan:
    """The steps of this round. What follows the noise (L1, a shorter gradient, the pull back) asks no row."""
    fit, promise = task.fit, steps.promise
    first, last = (steps_before(promise, task.rounds, task.round + each) for each in (0, 1))
    rate = rate_of(fit, per_epoch=max(1, round(1 / promise.sample_rate)), steps=promise.steps)
    generator = torch.Generator().manual_seed(seed_of(task))
    return Plan(
        rows,
        steps.draw,
        pulled(steps.gradients, module, task.proximal),
        lambda step: rate(first + step),
        last - first,
        max(1, last - first),
        l1=fit.l1,
        max_grad_norm=fit.max_grad_norm,
        augment=partial(augmented, which=fit.augment, generator=generator) if fit.augment else None,
        device=fit.device,
    )
