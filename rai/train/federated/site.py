"""What one site does with its own rows: learn from them for a round, and see how good the common model is on them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rai.errors import InputError
from rai.subject import UNKNOWN, Groups
from rai.train.augment import augmented
from rai.train.batches import Batch, Rows, shuffled, steps_in
from rai.train.fair.gaps import decisions
from rai.train.federated.counts import group_counts
from rai.train.federated.proximal import pulled
from rai.train.federated.walking import walked
from rai.train.gradients import answers, plain
from rai.train.loop import Gradients, Machine, Plan
from rai.train.losses import Loss, balanced, loss_of
from rai.train.optimisers import optimizer_of, rate_of
from rai.train.settings import Fit
from rai.train.setup import forked, freeze

PIECE = 1024
MEANS: Mapping[str, Loss] = {
    "binary": functional.binary_cross_entropy_with_logits,
    "multiclass": functional.cross_entropy,
    "regression": functional.mse_loss,
}
"""The mean loss of a batch as torch computes it in one go; `rai.train.losses` says what each is."""
Arrays = Mapping[str, NDArray[Any]]
"""The weights and buffers of a network by name, as in its `state_dict`."""
Counts = Mapping[str, Mapping[str, tuple[int, int, int, int]]]
"""By attribute and level: true negatives, false positives, false negatives and true positives."""


@dataclass(frozen=True)
class Task:
    """What a site is asked to do in a round, counted from 1: go on from `state` for `epochs` passes over its own rows.

    `seed` is that of the federation. `site` is the site's number: its draws hang on seed, round and site alone.
    `proximal` is the weight of half the squared distance from `state` in the loss (Li et al. 2020, arXiv:1812.06127).
    A schedule of the learning rate goes on over all `rounds`; the optimizer starts anew in each.
    """

    state: Arrays
    round: int
    seed: int
    fit: Fit
    epochs: int
    proximal: float = 0.0
    site: int = 0
    rounds: int = 1


@dataclass(frozen=True)
class Update:
    """What a site sends back: its weights, from how many rows it learned, its mean loss, and how far it moved."""

    arrays: dict[str, NDArray[Any]]
    examples: int
    loss: float
    norm: float


@dataclass(frozen=True)
class Evaluated:
    """How good a model is on a site's held-out rows; `correct` is how many of `examples` it decides rightly.

    `accuracy` is r2 for regression, where nothing is `decided`; None says that it is not defined on these rows.
    """

    loss: float | None
    accuracy: float | None
    examples: int
    counts: Counts = field(default_factory=dict)
    correct: float = 0.0
    decided: bool = False


Learner = Callable[[nn.Module, Rows, Task], Update]
"""How a site learns: from a module to work in, its rows and what it is asked to do, to what it sends back."""


@dataclass(frozen=True)
class Home:
    """What a site has: rows to learn from, rows held back, how it learns, and a module to work in.

    `attributes` names all levels of each sensitive attribute that any site may have.
    """

    module: nn.Module
    rows: Rows
    held: Rows | None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    learn: Learner | None = None


def seed_of(task: Task) -> int:
    """Return the seed of a site's draws in a round; it hangs on the federation's seed, the round and the site alone."""
    return int(np.random.SeedSequence([task.seed, task.round, task.site]).generate_state(1)[0])


def arrays_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of the module's weights and buffers as arrays, by name."""
    return {name: each.detach().cpu().numpy().copy() for name, each in module.state_dict().items()}


def load(module: nn.Module, state: Arrays) -> None:
    """Put weights and buffers into the module; raise `InputError` where names or shapes are not those of the module."""
    own = module.state_dict()
    for name in sorted(own.keys() ^ state.keys()):
        raise InputError(f"the common model and the network differ in {name!r}", where="network", do="use one network")
    with torch.no_grad():
        for name, tensor in own.items():
            given = np.asarray(state[name])
            if given.shape != tuple(tensor.shape):
                what = f"{name!r} has shape {given.shape} in the common model and {tuple(tensor.shape)} here"
                raise InputError(what, where="network", do="use one network")
            tensor.copy_(torch.from_numpy(given if given.flags.writeable else given.copy()))


def learned(module: nn.Module, rows: Rows, task: Task) -> Update:
    """Train the module on the site's rows, from the common state on, and return what is to be sent back.

    The module ends up changed; torch's own random generator does not. Raises `InputError` where the loss is no number.
    """
    load(module, task.state)
    seed = seed_of(task)
    with forked(module):
        _seed(module, seed)
        generator = torch.Generator().manual_seed(seed)
        plan = _plan(module, rows, task, seed, generator)
        machine = Machine(module, optimizer_of(task.fit, module.parameters()))
        loss = walked(plan, machine, partial(_before_epoch, module, task))
    arrays = arrays_of(module)
    return Update(arrays, len(rows), loss, length(task.state, arrays))


def length(before: Arrays, after: Arrays) -> float:
    """Return how far the weights moved, as the length of all their changes laid end to end (whole numbers left out)."""
    moved = (after[name] - before[name] for name in after if after[name].dtype.kind == "f")
    return math.sqrt(sum(float(np.vdot(each, each)) for each in moved))


def evaluated(module: nn.Module, rows: Rows | None, attributes: Mapping[str, tuple[str, ...]]) -> Evaluated:
    """Measure the module as it is on a site's held-out rows; `attributes` names all levels that any site may have.

    A level without a row here counts zeros, so all sites answer with the same names. Regression has no counts.
    """
    if rows is None:
        return Evaluated(None, None, 0, _counts(None, None, _declared({}, attributes, 0)))
    module.eval()
    outputs, loss = _seen(module, rows)
    if rows.task == "regression":
        return Evaluated(loss, _r2(outputs, rows.targets), len(rows))
    if rows.task == "multilabel":
        right = float(((outputs > 0) == (rows.targets.reshape(outputs.shape) > 0.5)).double().mean())
        return Evaluated(loss, right, len(rows), correct=right * len(rows), decided=True)
    labels, predicted = rows.targets.numpy().ravel().astype(np.int64), decisions(outputs.numpy())
    correct = int((labels == predicted).sum())
    counts = _counts(labels, predicted, _declared(rows.groups, attributes, len(rows)))
    return Evaluated(loss, correct / len(rows), len(rows), counts, correct, decided=True)


def loss_for(rows: Rows, fit: Fit) -> Loss:
    """Return the loss that a site's training makes small, its classes weighted by the site's own rows where asked."""
    return loss_of(rows.task, balanced(rows.task, rows.targets) if fit.class_weight else None)


def _plan(module: nn.Module, rows: Rows, task: Task, seed: int, generator: torch.Generator) -> Plan:
    fit = task.fit
    per_epoch = steps_in(len(rows), fit.batch_size)
    steps, first = task.epochs * per_epoch, (task.round - 1) * task.epochs * per_epoch
    rate = rate_of(fit, per_epoch=per_epoch, steps=max(task.rounds, task.round) * steps)
    return Plan(
        rows,
        shuffled(len(rows), fit.batch_size, seed),
        _gradients(module, rows, task),
        lambda step: rate(first + step),
        steps,
        per_epoch,
        l1=fit.l1,
        max_grad_norm=fit.max_grad_norm,
        augment=partial(augmented, which=fit.augment, generator=generator) if fit.augment else None,
        device=fit.device,
    )


def _seed(module: nn.Module, seed: int) -> None:
    """Seed torch's own draws, those of dropout; on the CPU without telling devices that nobody uses, which is slow."""
    if next(module.parameters()).device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _gradients(module: nn.Module, rows: Rows, task: Task) -> Gradients:
    fit = task.fit
    source: Gradients
    if rows.task in MEANS and not fit.class_weight and not fit.mixed_precision:
        source = partial(_quick, MEANS[rows.task])
    else:
        source = plain(loss_for(rows, fit), mixed_precision=fit.mixed_precision)
    return pulled(source, module, task.proximal)


def _quick(mean: Loss, module: nn.Module, batch: Batch) -> Tensor:
    """Set `.grad` as `plain` does, with the mean taken by torch at once: a site of few rows makes many small steps."""
    outputs = answers(module, batch.inputs)
    found = mean(outputs, batch.targets if batch.targets.dtype == torch.int64 else batch.targets.reshape(outputs.shape))
    found.backward()  # type: ignore[no-untyped-call]
    return found.detach().expand(len(batch))


def _before_epoch(module: nn.Module, task: Task, epoch: int) -> None:
    freeze(module, task.fit, (task.round - 1) * task.epochs + epoch)


def _seen(module: nn.Module, rows: Rows) -> tuple[Tensor, float]:
    """The outputs of all rows, and their mean loss."""
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        found = [answers(module, each.to(device)).cpu() for each in torch.split(rows.inputs, PIECE)]
        outputs = torch.cat(found)
        return outputs, float(loss_of(rows.task)(outputs, rows.targets).mean(dtype=torch.float64))


def _r2(outputs: Tensor, targets: Tensor) -> float | None:
    truth = targets.reshape(outputs.shape).double()
    spread = (truth - truth.mean(dim=0)).square().mean(dim=0)
    if not bool((spread > 0).all()):
        return None
    return float(1.0 - ((outputs.double() - truth).square().mean(dim=0) / spread).mean())


def _declared(groups: Mapping[str, Groups], attributes: Mapping[str, tuple[str, ...]], rows: int) -> dict[str, Groups]:
    """The site's groups with exactly the levels that are declared; a level nobody declared is unknown."""
    return {name: _recoded(name, groups.get(name), levels, rows) for name, levels in attributes.items()}


def _recoded(name: str, own: Groups | None, levels: tuple[str, ...], rows: int) -> Groups:
    if own is None:
        return Groups(name, levels, np.full(rows, UNKNOWN, dtype=np.int64))
    if own.levels == levels:
        return own
    place = np.array([levels.index(each) if each in levels else UNKNOWN for each in own.levels] + [UNKNOWN])
    return replace(own, levels=levels, codes=place[own.codes])


def _counts(labels: Any, predicted: Any, groups: Mapping[str, Groups]) -> Counts:
    nobody = np.zeros(0, dtype=np.int64)
    return group_counts(nobody if labels is None else labels, nobody if predicted is None else predicted, groups)
