"""What the server writes down: for each round who replied, who was left out and why, and how the common model fared."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from rai.ledger import Epoch, Reply, Round
from rai.train.federated.counts import GAPS, gaps_of, summed
from rai.train.federated.site import Arrays, Evaluated

NUMBER = 8
"""Bytes of one number of a reply."""


@dataclass
class Sheet:
    """One round as it goes: it is filled in while replies come, by site counted from 0.

    `start` is the common state sent out, `end` the one that came of it. `weights` say how much each reply that was
    joined counted, and `updates` hold their states while they are needed. `evaluations` are of the common model at the
    end of the round.
    """

    number: int
    start: Arrays
    end: Arrays
    asked: tuple[int, ...] = ()
    examples: dict[int, int] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    norms: dict[int, float] = field(default_factory=dict)
    excluded: dict[int, str] = field(default_factory=dict)
    updates: dict[int, Arrays] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    evaluations: dict[int, Evaluated] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int = 0
    started: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    @property
    def loss(self) -> float | None:
        """The mean loss of training over the rows of all sites that were joined."""
        return _mean([(self.losses[site], self.examples[site]) for site in self.weights])

    @property
    def held_loss(self) -> float | None:
        """The common model's mean loss over the held-out rows of all sites."""
        return _mean([(each.loss, each.examples) for each in self.evaluations.values() if each.loss is not None])

    @property
    def values(self) -> dict[str, float]:
        """Accuracy and gaps between groups over the held-out rows of all sites, exact from sums; {} for regression."""
        return values_of(list(self.evaluations.values()))


@dataclass(frozen=True)
class Server:
    """What the server does beside joining; each is a place to plug something in.

    `drawn(round)` says which sites are asked. `weights(sheet, before)` may say how much each reply counts in place of
    its rows, `before` being the round before. `mean(updates, start)` joins updates itself and hands the strategy one
    mean, as client-level privacy does. `averaged` names what is averaged whatever the strategy does with the rest.
    `heard(sheet)` is told of each finished round.
    """

    sites: int
    rounds: int
    epochs: int
    drawn: Callable[[int], Sequence[int]]
    most_examples: int | None = None
    weights: Callable[[Sheet, Sheet | None], Mapping[int, float]] | None = None
    mean: Callable[[Sequence[Arrays], Arrays], dict[str, NDArray[Any]]] | None = None
    averaged: frozenset[str] = frozenset()
    keep: bool = False
    heard: Callable[[Sheet], None] = lambda _sheet: None


def size_of(arrays: Arrays) -> int:
    """Return the bytes of arrays, without the few that name them."""
    return sum(each.nbytes for each in arrays.values())


def values_of(evaluations: Sequence[Evaluated]) -> dict[str, float]:
    """Return accuracy and gaps between groups over the rows of all sites together, those that are defined."""
    decided = [each for each in evaluations if each.examples and each.decided]
    rows = sum(each.examples for each in decided)
    if not rows:
        return {}
    gaps = gaps_of(summed([each.counts for each in decided]))
    shown = {name: gaps[name] for name in GAPS if name in gaps}
    return {"accuracy": sum(each.correct for each in decided) / rows, **shown}


def round_of(sheet: Sheet, names: Sequence[str]) -> Round:
    """Return a finished round as the ledger has it; a site that was only asked to evaluate learned from 0 rows."""
    sites = sorted({*sheet.asked, *sheet.evaluations})
    return Round(
        sheet.number,
        {names[site]: _reply(sheet, site) for site in sites},
        sheet.held_loss,
        sheet.values,
        sheet.bytes_down,
        sheet.bytes_up,
        sheet.seconds,
    )


def epoch_of(sheet: Sheet, *, hidden: bool = False) -> Epoch | None:
    """Return a round as an epoch of training; a round that joined no reply is none.

    While it is `hidden` who took part, the loss of training is not told: in its place stands that of the common model
    on the rows that all sites held back, and without such rows there is no epoch.
    """
    loss = sheet.held_loss if hidden else sheet.loss
    return None if loss is None else Epoch(sheet.number, loss, sheet.held_loss, sheet.values)


def _reply(sheet: Sheet, site: int) -> Reply:
    seen = sheet.evaluations.get(site, Evaluated(None, None, 0))
    return Reply(
        sheet.examples.get(site, 0),
        seen.loss,
        seen.accuracy,
        sheet.norms.get(site),
        {name: dict(levels) for name, levels in seen.counts.items()},
        sheet.excluded.get(site, ""),
        seen.examples,
    )


def _mean(parts: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, rows) for value, rows in parts if value is not None]
    total = sum(rows for _, rows in known)
    return sum(value * rows for value, rows in known) / total if total else None
