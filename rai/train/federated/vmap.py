"""Many sites that learn at the same time: one batched computation in place of one site after another.

The weights of all sites lie one above the other, and each step moves all of them (`torch.func.vmap`; the idea is that
of FedJAX, Ro et al. 2021, arXiv:2108.02117). Batches that are shorter than others are filled up with rows that count
nothing. What comes out is what `rai.train.federated.site.learned` gives site by site, but for rounding. It pays where
networks are small and the time goes into calling torch; a large network is as quick site by site, or quicker.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.subject import Ints
from rai.train.batches import Rows, order_of, steps_in
from rai.train.federated.site import Task, Update, length, load, seed_of
from rai.train.federated.vmap_checks import numbers_of, obstacle
from rai.train.federated.vmap_stack import Stack, stacked
from rai.train.losses import loss_of
from rai.train.optimisers import Rate, rate_of
from rai.train.setup import forked, freeze

MOST_NUMBERS = 2**24
"""So many numbers (64 MiB of float32) of weights, gradients, optimizer and batches are held at once, or one site's."""


@dataclass(frozen=True)
class Site:
    """One of the sites: its place among those handed in, its rows and its task."""

    place: int
    rows: Rows
    task: Task

    @cached_property
    def per_epoch(self) -> int:
        """How many steps one pass over the rows takes."""
        return steps_in(len(self.rows), self.task.fit.batch_size)

    @cached_property
    def steps(self) -> int:
        """How many steps the site makes in the round."""
        return self.task.epochs * self.per_epoch

    def order(self) -> Ints:
        """The positions of the rows of all passes, one after the other, as the site by itself would draw them."""
        seed = seed_of(self.task)
        return np.concatenate([order_of(len(self.rows), seed, epoch) for epoch in range(self.task.epochs)])


def learned_together(
    module: nn.Module, rows_of_sites: Sequence[Rows], tasks: Sequence[Task]
) -> list[Update | InputError] | str:
    """Train one network on the rows of each site, all at the same time, and return what each site sends back.

    Where that cannot be done (layers that draw at random or remember rows, settings that sites do not share), return
    the reason in words instead, and train site by site. A site whose loss is no number any more gets an `InputError` in
    its place; others are not touched by it. Memory is bounded: so many sites learn at once as `MOST_NUMBERS` allows.
    """
    if not tasks:
        return []
    sites = [Site(place, *each) for place, each in enumerate(zip(rows_of_sites, tasks, strict=True))]
    found: dict[int, Update | InputError] = {}
    with forked(module):
        first = tasks[0]
        load(module, first.state)
        freeze(module, first.fit, (first.round - 1) * first.epochs)
        if reason := obstacle(module, rows_of_sites, tasks):
            return reason
        for some in _chunks(module, sites):
            found |= zip((each.place for each in some), _together(module, some), strict=True)
    return [found[place] for place in range(len(sites))]


def _chunks(module: nn.Module, sites: Sequence[Site]) -> Iterator[list[Site]]:
    """Sites that learn at once, the longest first; a rate that changes is shared by sites with as many steps only."""
    fit = sites[0].task.fit
    steady = fit.schedule == "constant" and not fit.warmup
    left = sorted(sites, key=lambda each: (-each.steps, each.place))
    while left:
        alike = [each for each in left if steady or each.steps == left[0].steps]
        taken = max(1, MOST_NUMBERS // numbers_of(module, left[0].rows, fit))
        yield alike[:taken]
        left = left[min(taken, len(alike)) :]


def _together(module: nn.Module, sites: Sequence[Site]) -> list[Update | InputError]:
    """Train sites, ordered by falling number of steps, and return what each sends back."""
    first = sites[0]
    stack = stacked(module, loss_of(first.rows.task), first.task.fit, sites=len(sites), proximal=first.task.proximal)
    feed, rate = _Feed(sites), _rate(first)
    steps = np.array([each.steps for each in sites])
    total, sound = torch.zeros(len(sites), dtype=torch.float64), torch.ones(len(sites), dtype=torch.bool)
    for step in range(first.steps):
        active = int((steps > step).sum())
        stack.narrow(active)
        inputs, targets, counted = feed.batch(step, active)
        losses = stack.step(inputs, targets, counted, rate(step)).where(counted, 0.0)
        sound[:active] &= losses.isfinite().all(dim=1)
        total[:active] += losses.sum(dim=1, dtype=torch.float64)
    return [
        _sent(stack, place, each, float(total[place])) if sound[place] else _lost(each)
        for place, each in enumerate(sites)
    ]


def _sent(stack: Stack, place: int, site: Site, total: float) -> Update:
    arrays, rows = stack.arrays(place), len(site.rows)
    return Update(arrays, rows, total / (rows * site.task.epochs), length(site.task.state, arrays))


def _lost(site: Site) -> InputError:
    do = "choose a smaller learning_rate, set max_grad_norm, or scale the inputs"
    return InputError("the loss is no number any more", where=f"training of site {site.task.site}", do=do)


class _Feed:
    """Hands out the batches of a step, (sites, rows, …), and which of their rows count."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.inputs = torch.cat([each.rows.inputs for each in sites])
        self.targets = torch.cat([each.rows.targets for each in sites])
        self.size = sites[0].task.fit.batch_size
        self.rows = np.array([len(each.rows) for each in sites])
        self.per_epoch = np.array([each.per_epoch for each in sites])
        starts = np.cumsum(self.rows) - self.rows
        orders = [each.order() + start for each, start in zip(sites, starts, strict=True)]
        self.order = np.concatenate(orders)
        lengths = np.array([len(each) for each in orders])
        self.firsts = np.cumsum(lengths) - lengths

    def batch(self, step: int, active: int) -> tuple[Tensor, Tensor, Tensor]:
        rows, per_epoch = self.rows[:active], self.per_epoch[:active]
        epoch, place = np.divmod(step, per_epoch)
        first = self.firsts[:active] + epoch * rows + place * self.size
        sizes = np.where(place == per_epoch - 1, rows - place * self.size, self.size)[:, None]
        along = np.arange(sizes.max())
        counted = along < sizes
        index = torch.from_numpy(self.order[first[:, None] + np.where(counted, along, 0)])
        return self.inputs[index], self.targets[index], torch.from_numpy(counted)


def _rate(site: Site) -> Rate:
    """The learning rate at a step of the round, by a schedule over the whole federation."""
    task = site.task
    rate = rate_of(task.fit, per_epoch=site.per_epoch, steps=max(task.rounds, task.round) * site.steps)
    return lambda step: rate((task.round - 1) * site.steps + step)
