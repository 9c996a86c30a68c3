"""Thresholds that are adjusted after training, by each row's likely group, or by its group where that is handed in.

The network learns as it would without a criterion; then a second one learns how likely each group is, and where the
first says yes is moved by that. The answers stay deterministic, and nobody's group is asked for when they are given.
Sources: Hardt et al. 2016 (arXiv:1610.02413), Menon & Williamson 2018, Zeng et al. 2022 (arXiv:2202.09724).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from rai.card import Head, Network
from rai.errors import InputError
from rai.ledger import Ledger, Mitigation
from rai.networks.adjusted import Adjusted, adjusted
from rai.networks.thresholded import Thresholded, thresholded
from rai.subject import Floats
from rai.train.batches import Rows
from rai.train.fair.cells import Combinations, Terms, combinations, terms
from rai.train.fair.group_model import codes_of, labelled, network_of, teach
from rai.train.fair.job import Attribute, Job
from rai.train.fair.offsets import Ground, prices
from rai.train.fair.seen import Reading, Seen, ground_of, joined, known_by_heart, seen
from rai.train.fair.watched import after_each, outputs_of
from rai.train.fitting import fit
from rai.train.settings import Fair, Fit
from rai.train.setup import copied
from rai.train.trained import Trained

FLATTENING = {"equalized_odds": 2.0}
"""What the logits of the groups are divided by, 1 where nothing is said.

The best rule for equalized odds values many rows of an all but certain group alike, and would decide on them by a hair.
Divided by 2, the logits still tell these rows apart, and the gap on new rows is nearer to that which was sought.
"""
SLOWEST = 0.05
"""The least that the worth of a yes may rise with its probability, so that a group's threshold is one number."""
BY_GROUP = {"equalized_odds": "demographic_parity"}
"""For which criterion's terms prices are sought where groups are known: one threshold a group, whatever is wanted."""
LEAST = 30
"""Levels with fewer rows of a kind than this are not counted: their rate is chance, and could cost all others dear."""


@dataclass(frozen=True)
class Adjustable:
    """A trained network with all that is needed to narrow its gap by any share; a curve costs no further training.

    `groups` is the network that tells groups apart and its ledger, None where each row's group is handed in. `on` says
    on which rows prices are sought.
    """

    base: nn.Module
    reading: Reading
    groups: Trained | None
    combinations: Combinations
    attributes: tuple[Attribute, ...]
    moved: Terms
    ground: Ground
    flattening: float
    on: str

    def at(self, strength: float) -> nn.Module:
        """Return the network with the share `strength` of its gap gone, on the rows that this was sought on."""
        found = prices(self.ground, strength)
        weights = np.einsum("t,td,tyk->dyk", found, self.ground.price_owners, self.moved.pulls)
        made = self._by_group(weights[0]) if self.groups is None else self._by_likely_group(weights, self.groups.model)
        return made.eval()

    def _by_likely_group(self, weights: Floats, groups: nn.Module) -> nn.Module:
        module = adjusted(
            base=self.base,
            groups=groups,
            combinations=weights.shape[2],
            classes=weights.shape[1],
            head=self.reading.head,
            threshold=self.reading.threshold,
            flattening=self.flattening,
        )
        module.weights.copy_(torch.from_numpy(weights))
        return module

    def _by_group(self, weights: Floats) -> nn.Module:
        threshold, levels = self.reading.threshold, [len(each.levels) for each in told(self.attributes)]
        module = thresholded(base=self.base, levels=levels, head=self.reading.head, threshold=threshold)
        ends = (threshold + weights[0]) / np.maximum(1.0 - weights[1] + weights[0], SLOWEST)
        places = tuple(torch.from_numpy(self.combinations.codes[:, : len(levels)].T))
        module.costs[places] = torch.from_numpy(ends - threshold).to(module.costs)
        return module


def train(job: Job) -> Trained:
    """Train as without a criterion, then adjust; the ledger holds the time and the parameters of both networks.

    Raises `InputError` for a task without classes.
    """
    require_classes(job.rows)
    aids = {**job.aids, "after_epoch": after_each(job)}
    base = fit(job.network, job.rows, settings=job.settings, validation=job.held, **aids)
    found = adjustable(base.model, job.rows, job.attributes, job.fair, job.settings, job.held)
    return Trained(module := found.at(job.strength), _account(base.ledger, found, module, job))


def adjustable(  # noqa: PLR0913 - a network and how it is read, rows and who is in them, and what is asked for
    base: nn.Module,
    rows: Rows,
    attributes: tuple[Attribute, ...],
    fair: Fair,
    settings: Fit,
    held: Rows | None = None,
    *,
    reading: Reading | None = None,
) -> Adjustable:
    """Learn from rows with codes of the attributes what a trained network's answers are to be adjusted by.

    The network of the groups learns from `rows` with `settings`. Prices are sought on `rows` and `held` together, but
    on `held` alone where either network knows the rows it learned from by heart. Without `reading`, one output is the
    logit of class 1, and several are logits. Raises `InputError` for a task without classes, and for groups that are
    handed in beside several classes.
    """
    require_classes(rows)
    base = copied(base).cpu().eval()
    how = reading or _reading(base, rows)
    found = combinations(codes_of(rows))
    learned, *aside = [
        each for each in (labelled(each, found) for each in (rows, held) if each is not None) if len(each.rows)
    ]
    sure = [how.chances(base, each) for each in (learned, *aside)]
    shape = (sure[0].shape[1], len(found))
    groups = (
        None if _handed(fair, rows, shape[0]) else teach(base, learned, aside[0] if aside else None, shape, settings)
    )
    apart = [None if groups is None else outputs_of(groups.model, each.rows) for each in (learned, *aside)]
    flattening = FLATTENING.get(fair.criterion, 1.0)
    views = [seen(*each, shape[1], flattening) for each in zip(sure, apart, (learned, *aside), strict=True)]
    used, on = _used(views)
    wanted = terms(fair.criterion, used.counts, found, attributes, least=LEAST)
    by_group = BY_GROUP.get(fair.criterion, fair.criterion)
    moved = wanted if groups else terms(by_group, used.counts, found, attributes, least=LEAST)
    ground = ground_of(used, moved, wanted, how.threshold)
    return Adjustable(base, how, groups, found, attributes, moved, ground, flattening, on)


def _handed(fair: Fair, rows: Rows, classes: int) -> bool:
    """Whether each row's group is handed in; raise `InputError` where it has no place, or makes no single threshold."""
    table = rows.inputs.dim() == 2 and rows.inputs.is_floating_point()
    if fair.attribute_at_predict and (classes > 2 or not table):
        what = f"there are {classes} classes" if table else "a row is no list of numbers"
        raise InputError(what, where="fair.attribute_at_predict", expected="tables of two classes", do="leave it off")
    return fair.attribute_at_predict


def described(module: nn.Module, base: Network) -> Network:
    """Return what a card says of an adjusted network whose base is the card's network `base`; its head is logits.

    A card that names it needs the head "logit" where the base gives one number a row, "logits" where it gives more.
    """
    if isinstance(module, Thresholded):
        own: dict[str, str | bool | int | float | tuple[int, ...]] = {"levels": module.levels}
        kind, parts = "thresholded", {"base": base}
    elif isinstance(module, Adjusted):
        _, classes, many = module.weights.shape
        own = {"combinations": many, "classes": classes, "flattening": module.flattening}
        kind, parts = "adjusted", {"base": base, "groups": network_of(module.groups, base, classes * many)}
    else:
        raise InputError(f"is a {type(module).__name__}", where="network", expected="an adjusted network")
    return Network(kind, {**own, "head": str(module.head), "threshold": module.threshold}, parts)


def told(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """Return the attributes that a network is told of at predict time: each, but for the combination of the others."""
    *single, last = attributes
    return tuple(single) if len(single) > 1 and last.name == " × ".join(each.name for each in single) else attributes


def require_classes(rows: Rows) -> None:
    """Raise `InputError` where there are no classes to decide between."""
    if rows.task not in {"binary", "multiclass"}:
        what = f"is 'threshold', and the task is {rows.task}"
        raise InputError(what, where="fair.method", expected="a task with classes", do="choose 'gap_penalty'")


def _reading(base: nn.Module, rows: Rows) -> Reading:
    outputs = outputs_of(base, rows.take(torch.arange(min(2, len(rows)))))
    return Reading(Head.LOGIT if outputs.shape[1] == 1 else Head.LOGITS)


def _used(views: Sequence[Seen]) -> tuple[Seen, str]:
    """The rows that prices are sought on, and what they are called."""
    if len(views) == 1:
        return views[0], "the rows that were learned from"
    if known_by_heart(*views):
        return views[1], "the rows held back"
    return joined(views), "the rows that were learned from and those held back"


def _account(ledger: Ledger, found: Adjustable, module: nn.Module, job: Job) -> Ledger:
    """The base's ledger, with the time, operations and parameters of the groups' network added."""
    details: dict[str, float | str] = {"thresholds sought on": found.on, "combinations": len(found.combinations)}
    told_of = Mitigation(job.fair.criterion, job.fair.sensitive, "threshold", job.strength, details=details)
    also = [] if found.groups is None else [found.groups.ledger]
    flops = [each.flops for each in (ledger, *also)]
    return replace(
        ledger,
        seconds=sum(each.seconds for each in (ledger, *also)),
        cpu_seconds=sum(each.cpu_seconds for each in (ledger, *also)),
        flops=None if None in flops else sum(each for each in flops if each is not None),
        parameters=sum(each.numel() for each in module.parameters()),
        warnings=tuple(dict.fromkeys([*(line for each in (ledger, *also) for line in each.warnings), *_scarce(job)])),
        mitigation=told_of,
    )


def _scarce(job: Job) -> Iterator[str]:
    """Name the levels that are too rare to be counted."""
    for column, each in zip(codes_of(job.rows).T, job.attributes, strict=True):
        rare = [level for code, level in enumerate(each.levels) if (column == code).sum() < LEAST]
        if rare:
            yield f"of {each.name}, levels with fewer than {LEAST} rows were not counted: {', '.join(rare)}"
