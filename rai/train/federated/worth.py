"""What the federation was worth to each site: how it would do alone, and what its updates brought."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from rai.errors import InputError
from rai.train.batches import Rows
from rai.train.federated.book import Sheet
from rai.train.federated.contribution import MOST, Contributions, Played, shapley
from rai.train.federated.job import Job
from rai.train.federated.site import Evaluated, Task, evaluated, learned, load
from rai.train.splits import split, strata

VALUED_ROWS = 2048
MOST_OPERATIONS = 5e13
"""Floating-point operations that the valuation of contributions may take; some minutes of one core."""


def alone(job: Job, site: int) -> float | None:
    """Return the accuracy (for regression r2) of the site's own model on the rows that it held back.

    The model starts from the same weights and makes as many passes over the site's rows as the site made in all rounds.
    None without rows held back, and where the loss became no number.
    """
    part = job.sites.parts[site]
    if part.held is None:
        return None
    epochs = job.federated.rounds * job.federated.local_epochs
    try:
        learned(job.module, part.train, Task(job.start, 1, job.fit.seed, job.fit, epochs, site=site))
    except InputError:
        return None
    return evaluated(job.module, part.held, {}).accuracy


def contributions(job: Job, book: Sequence[Sheet], flops: float | None) -> Contributions:
    """Return what each site's updates brought, in accuracy (for regression in less loss) on all sites' held-out rows.

    At most 2,048 held-out rows are looked at, drawn evenly from all. Where that would take too long there is a reason
    in place of values.
    """
    rows = _pooled([part.held for part in job.sites.parts if part.held is not None], job.fit.seed)
    if rows is None:
        return Contributions(None, "no site held rows back to value the common model by")
    if any(not sheet.start for sheet in book):
        why = f"exact values are for at most {MOST} sites, and there are {len(job.sites.parts)}"
        return Contributions(None, why)
    models = sum(2 ** len(sheet.updates) for sheet in book)
    if (flops or 0.0) * len(rows) * models > MOST_OPERATIONS:
        return Contributions(None, f"{models:,} models of this size would have to be valued")
    played = [Played(sheet.start, sheet.updates, sheet.weights) for sheet in book]
    return shapley(played, len(job.sites.parts), lambda state: _value(job.module, rows, state))


def _value(module: nn.Module, rows: Rows, state: Mapping[str, NDArray[Any]]) -> float:
    load(module, state)
    seen: Evaluated = evaluated(module, rows, {})
    worth = seen.accuracy if seen.decided or seen.loss is None else -seen.loss
    return float("nan") if worth is None else worth


def _pooled(held: Sequence[Rows], seed: int) -> Rows | None:
    """The held-out rows of all sites, or an even draw from them."""
    if not held:
        return None
    first = held[0]
    inputs, targets = torch.cat([each.inputs for each in held]), torch.cat([each.targets for each in held])
    rows = Rows(inputs, targets, first.task)
    if len(rows) <= VALUED_ROWS:
        return rows
    some = split(strata(targets.numpy(), {}), VALUED_ROWS / len(rows), seed).held
    return rows.take(torch.from_numpy(some))
