"""What is looked at while a network learns: metrics of the rows held back, and layers where learning has stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from rai.ledger import Epoch
from rai.train.batches import Batch, Rows
from rai.train.given import Given, parts_of, rows_given
from rai.train.gradients import answers
from rai.train.looks import Observed, warnings_of
from rai.train.losses import Task, loss_of
from rai.train.monitor import Observer, metrics_of, observing
from rai.train.settings import Fit, Monitor

FEW = 256
"""Rows of training that are looked at after an epoch."""
PIECE = 1024


@dataclass(frozen=True)
class Looks:
    """After each epoch: metrics by group on the rows held back, and a look at every layer on a few training rows.

    Hand it to `fit` as `after_epoch`. `seen` grows with every look.
    """

    observer: Observer
    few: Batch
    held: Rows | None
    seen: list[Observed] = field(default_factory=list)

    def __call__(self, module: nn.Module, epoch: Epoch) -> Mapping[str, float]:
        """Look, write the curves to where somebody wants them, and return the metrics."""
        found = {} if self.held is None else _metrics(module, self.held)
        device = next(each.device for each in module.parameters())
        look = self.observer.observe(module, self.few.to(device), epoch.number)
        self.seen.extend([look] if look is not None else [])
        self.observer.tell(replace(epoch, metrics=found))
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """Layers whose gradients vanished or exploded, or whose units are dead, by name."""
        return warnings_of(self.seen)


@contextmanager
def watched(
    module: nn.Module, data: Given, *, task: Task | None, settings: Fit, monitor: Monitor | None
) -> Iterator[Looks]:
    """Open the places that `monitor` names for as long as the network learns from these rows by these settings."""
    rows = rows_given(data, module, task)
    parts = parts_of(rows, None, share=settings.validation, seed=settings.seed)
    few = Batch(parts.train.inputs[:FEW], parts.train.targets[:FEW])
    with observing(monitor or Monitor(), loss_of(rows.task)) as observer:
        yield Looks(observer, few, parts.held)


def _metrics(module: nn.Module, held: Rows) -> Mapping[str, float]:
    device = next(each.device for each in module.parameters())
    with torch.no_grad():
        pieces = [answers(module, each.to(device)).cpu() for each in torch.split(held.inputs, PIECE)]
    return metrics_of(held.task, torch.cat(pieces), held.targets, held.groups)
