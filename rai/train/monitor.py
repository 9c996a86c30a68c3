"""Draws how training goes in TensorBoard or Weights & Biases: losses, metrics by group, and the inside of the network.

All of it stays in folders of this machine.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from rai.errors import InputError
from rai.evidence import SMALLEST_CELL
from rai.ledger import Epoch
from rai.subject import Groups
from rai.train.batches import Batch
from rai.train.looks import Observed, Spread, observed
from rai.train.losses import Task
from rai.train.settings import Monitor


def metrics_of(task: Task, outputs: Tensor, targets: Tensor, groups: Mapping[str, Groups]) -> dict[str, float]:
    """How right the outputs are over all rows, and for each level of each group: {"accuracy", "accuracy/sex=Female"}.

    Accuracy at 0.5 for binary and multilabel, of the largest logit for several classes; the mean absolute error for
    regression. `groups` hold codes in the order of the rows. A level with fewer than 5 rows is left out, so that no
    number speaks of a few people.
    """
    if not len(targets):
        return {}
    name = "absolute error" if task == "regression" else "accuracy"
    right = _right(task, outputs.detach(), targets).double().cpu().numpy()
    found = {name: float(right.mean())}
    for each in groups.values():
        for code, level in enumerate(each.levels):
            inside = right[each.mask(code)]
            if len(inside) >= SMALLEST_CELL:
                found[f"{name}/{each.name}={level}"] = float(inside.mean())
    return found


class Writer(Protocol):
    """A place where curves are drawn."""

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        """Put a point to each named curve."""

    def spreads(self, values: Mapping[str, Spread], epoch: int) -> None:
        """Put a histogram to each named layer."""

    def close(self) -> None:
        """Write what is left and let go of the files."""


@dataclass(frozen=True)
class Observer:
    """Looks every so many epochs, and hands what it sees and is told to the writers.

    `loss` is that of training, from outputs and targets to losses (rows,).
    """

    writers: tuple[Writer, ...]
    loss: Callable[[Tensor, Tensor], Tensor]
    every: int = 1

    def observe(self, module: nn.Module, batch: Batch, epoch: int) -> Observed | None:
        """Look at the module on a batch; None in epochs that are passed over, and for a batch of no rows."""
        if epoch % self.every or not len(batch):
            return None
        found = replace(observed(module, batch.inputs, lambda outputs: self.loss(outputs, batch.targets)), epoch=epoch)
        self._write({f"gradient norm/{name}": each.gradient for name, each in found.norms.items()}, epoch)
        self._write({f"dead units/{name}": share for name, share in found.dead.items()}, epoch)
        for writer in self.writers:
            writer.spreads(found.activations, epoch)
        return found

    def tell(self, epoch: Epoch) -> None:
        """Write the losses, the metrics and, where there is one, the epsilon of an epoch."""
        known = {"loss": epoch.loss, "validation loss": epoch.validation_loss, "epsilon": epoch.epsilon}
        self._write({name: value for name, value in known.items() if value is not None}, epoch.number)
        self._write(epoch.metrics, epoch.number)

    def _write(self, values: Mapping[str, float], epoch: int) -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        for writer in self.writers:
            writer.numbers(finite, epoch)


@contextlib.contextmanager
def observing(settings: Monitor, loss: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Observer]:
    """Open the places that the recipe names, and close them whatever happens. Nothing goes over the network.

    Raises `InputError` when a package is missing or `every` is no whole number from 1.
    """
    if settings.every < 1:
        raise InputError(f"is {settings.every}", where="monitor.every", expected="a whole number of epochs from 1")
    with contextlib.ExitStack() as opened:
        writers: list[Writer] = []
        for folder, maker in ((settings.tensorboard, TensorBoard), (settings.wandb, WeightsAndBiases)):
            if folder is not None:
                writers.append(maker(folder))
                opened.callback(writers[-1].close)
        yield Observer(tuple(writers), loss, settings.every)


class TensorBoard:
    """Event files in a folder, for `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _missing("tensorboard") from None
        self._files = SummaryWriter(folder)

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        """Put a point to each named curve."""
        for name, value in values.items():
            self._files.add_scalar(name, value, epoch)

    def spreads(self, values: Mapping[str, Spread], epoch: int) -> None:
        """Put a histogram to each named layer."""
        for name, each in values.items():
            total = sum(each.counts)
            self._files.add_histogram_raw(
                f"activations/{name}",
                min=each.edges[0],
                max=each.edges[-1],
                num=total,
                sum=total * each.mean,
                sum_squares=total * (each.deviation**2 + each.mean**2),
                bucket_limits=list(each.edges[1:]),
                bucket_counts=list(each.counts),
                global_step=epoch,
            )

    def close(self) -> None:
        """Write what is left and let go of the files."""
        self._files.close()


class WeightsAndBiases:
    """A Weights & Biases run kept offline in a folder; `wandb sync` is the owner's to call."""

    def __init__(self, folder: str) -> None:
        os.environ.update(WANDB_MODE="offline", WANDB_ERROR_REPORTING="false")  # read when the package is imported
        try:
            import wandb  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise _missing("wandb") from None
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._package = wandb
        self._run = wandb.init(project="rai", dir=folder, mode="offline")

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        """Put a point to each named curve."""
        self._run.log({**values, "epoch": epoch})

    def spreads(self, values: Mapping[str, Spread], epoch: int) -> None:
        """Put a histogram to each named layer."""
        drawn = {
            f"activations/{name}": self._package.Histogram(np_histogram=(np.array(each.counts), np.array(each.edges)))
            for name, each in values.items()
        }
        self._run.log({**drawn, "epoch": epoch})

    def close(self) -> None:
        """Write what is left and let go of the files."""
        self._run.finish()


def _missing(package: str) -> InputError:
    return InputError(
        f"the package {package} is not installed", where=f"monitor.{package}", do=f"pip install {package}"
    )


def _right(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """How right each row is, (rows,): 1 or 0, for several labels the share of them, for regression the error."""
    if task == "multiclass":
        return outputs.argmax(dim=1) == targets
    aims = targets.reshape(outputs.shape)
    found = (outputs - aims).abs() if task == "regression" else ((outputs >= 0) == (aims > 0.5)).double()
    return found.flatten(1).mean(dim=1)
