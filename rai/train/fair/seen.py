"""What a trained network and the one that tells groups apart say of rows: the ground on which thresholds are moved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rai.card import Head
from rai.networks.odds import chances, logits
from rai.subject import Floats, Ints
from rai.train.fair.cells import Terms
from rai.train.fair.group_model import Labelled
from rai.train.fair.offsets import Ground
from rai.train.fair.watched import outputs_of

DETECTED = 3.0
"""Rows that were learned from are left out once their loss is smaller by so many standard errors."""


@dataclass(frozen=True)
class Reading:
    """How a network's outputs are read, and from which probability of class 1 it says class 1."""

    head: Head
    threshold: float = 0.5

    def chances(self, module: nn.Module, labelled: Labelled) -> Tensor:
        """Return the probability of each class, (rows, classes), float64."""
        return chances(logits(outputs_of(module, labelled.rows).double(), self.head))


@dataclass(frozen=True)
class Seen:
    """Rows by their actual class and combination, and `likely` (rows, classes, combinations), which sums to 1.

    `losses` (rows, networks) is how wrong each network is about them.
    """

    labels: Ints
    cells: Ints
    likely: Floats
    losses: Floats

    @property
    def counts(self) -> Ints:
        """How many rows there are of each class and combination, (classes, combinations)."""
        found = np.zeros(self.likely.shape[1:], dtype=np.int64)
        np.add.at(found, (self.labels, self.cells), 1)
        return found


def seen(sure: Tensor, groups: Tensor | None, labelled: Labelled, many: int, flattening: float) -> Seen:
    """Put together what both networks say of rows.

    `sure` (rows, classes) are probabilities. `groups` are the outputs of the network that tells `many` combinations
    apart, None where each row's own is handed in.
    """
    labels, cells = labelled.labels, labelled.cells
    everyone = torch.arange(len(labels))
    losses = [-sure[everyone, labels].clamp(min=torch.finfo(sure.dtype).tiny).log()]
    if groups is None:
        alike = nn.functional.one_hot(cells, many)[:, None, :].to(sure.dtype)
    else:
        found = groups.double().reshape(len(groups), sure.shape[1], many)
        losses.append(-found.log_softmax(dim=2)[everyone, labels, cells])
        alike = (found / flattening).softmax(dim=2)
    likely = sure[:, :, None] * alike
    return Seen(labels.numpy(), cells.numpy(), likely.numpy(), torch.stack(losses, dim=1).numpy())


def known_by_heart(learned: Seen, held: Seen) -> bool:
    """Whether either network is better on the rows that it learned from than on others, by more than chance would."""
    difference = held.losses.mean(axis=0) - learned.losses.mean(axis=0)
    spread = sum(each.losses.var(axis=0) / len(each.losses) for each in (learned, held))
    return bool((difference > DETECTED * np.sqrt(spread)).any())


def joined(parts: Sequence[Seen]) -> Seen:
    """Return all rows as one."""
    names = ("labels", "cells", "likely", "losses")
    return Seen(*(np.concatenate([getattr(each, name) for each in parts]) for name in names))


def ground_of(rows: Seen, moved: Terms, wanted: Terms, threshold: float) -> Ground:
    """Return the ground on which prices for the terms `moved` are sought that make the terms `wanted` small."""
    sure = rows.likely.sum(axis=2)
    worth = sure[:, 1:] - threshold if sure.shape[1] == 2 else sure
    return Ground(
        worth,
        moved.seen(rows.likely),
        wanted.actual(rows.labels, rows.cells),
        moved.owners(worth.shape[1]),
        wanted.owners(worth.shape[1]),
    )
