"""What is looked at after each epoch: the rows held back, the caller's own metrics, and whether to go on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from rai.ledger import Epoch
from rai.train.batches import Rows
from rai.train.gradients import answers
from rai.train.loop import State
from rai.train.losses import Loss
from rai.train.setup import forked

PIECE = 1024
Worth = Callable[[Epoch], float | None]
"""How bad an epoch is, its metrics and validation loss being known; None where that cannot be said. Early stopping
keeps the smallest."""
AfterEpoch = Callable[[nn.Module, Epoch], Mapping[str, float]]
"""A caller's look at the module, in evaluation mode and with its last gradients, after an epoch: metrics by name."""


@dataclass(frozen=True)
class Review:
    """Looks at a module after each epoch without changing it, and without touching the draws of training.

    With `patience`, the best weights are kept in the state, and training stops after so many epochs without a smaller
    `worth`, which is the validation loss where nothing else is said.
    """

    module: nn.Module
    held: Rows | None
    loss: Loss
    patience: int | None = None
    also: AfterEpoch | None = None
    worth: Worth | None = None

    def __call__(self, epoch: Epoch, state: State) -> Epoch:
        """Return the epoch with its validation loss and metrics; `state` learns what is best so far."""
        self.module.eval()
        with forked(self.module):
            loss = None if self.held is None else mean_loss(self.module, self.held, self.loss)
            found = replace(epoch, validation_loss=loss)
            given = {} if self.also is None else self.also(self.module, found)
        found = replace(found, metrics={str(name): float(value) for name, value in given.items()})
        if self.patience is not None:
            worth = found.validation_loss if self.worth is None else self.worth(found)
            _judge(self.module, worth, state, self.patience)
        return found


def mean_loss(module: nn.Module, rows: Rows, loss: Loss) -> float:
    """Return the mean loss of all rows, the module being in evaluation mode; in pieces of 1,024 rows."""
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    total = 0.0
    with torch.no_grad():
        for positions in torch.split(torch.arange(len(rows)), PIECE):
            batch = rows.batch(positions).to(device)
            total += float(loss(answers(module, batch.inputs), batch.targets).sum(dtype=torch.float64))
    return total / len(rows)


def _judge(module: nn.Module, worth: float | None, state: State, patience: int) -> None:
    if worth is not None and (state.best_loss is None or worth < state.best_loss):
        state.best = {name: each.detach().clone() for name, each in module.state_dict().items()}
        state.best_loss, state.stale = worth, 0
    else:
        state.stale += 1
        state.stopped = state.stale >= patience
