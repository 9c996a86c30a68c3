"""Training that is watched: accuracy and gaps on the rows held back after each epoch, and which epoch is kept."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from rai.ledger import Epoch
from rai.train.batches import Rows
from rai.train.fair.gaps import gap_name, measured
from rai.train.fair.job import Job
from rai.train.fitting import fit
from rai.train.gradients import answers
from rai.train.review import AfterEpoch, Worth
from rai.train.trained import Trained

PIECE = 1024
FAR = 1e6


def outputs_of(module: nn.Module, rows: Rows) -> Tensor:
    """Return what the module answers to all rows, (rows, outputs), on the CPU, in pieces of 1,024 rows."""
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        return torch.cat([answers(module, piece.to(device)).cpu() for piece in torch.split(rows.inputs, PIECE)])


def gaps_on(module: nn.Module, rows: Rows, job: Job) -> dict[str, float]:
    """Return accuracy and gaps of the module, in evaluation mode, on rows that carry the job's sensitive codes."""
    outputs = outputs_of(module, rows).float().numpy()
    return measured(rows.task, outputs, rows.targets.numpy(), rows.sensitive, job.attributes)


def after_each(job: Job) -> AfterEpoch:
    """Return a look after each epoch: accuracy and gaps on the rows held back, and what the caller wants besides."""
    also: AfterEpoch | None = job.aids.get("after_epoch")

    def look(module: nn.Module, epoch: Epoch) -> Mapping[str, float]:
        found = {} if job.held is None else gaps_on(module, job.held, job)
        return {**found, **(also(module, epoch) if also is not None else {})}

    return look


def worth_of(job: Job) -> Worth:
    """Return what an epoch is judged by, smaller being better: its loss, and far more whatever gap is not tolerated.

    So the epoch kept has a gap of at most `fair.tolerance` on the rows held back, and among such ones the smallest
    loss; where there is none, it has the smallest gap. One whose gap cannot be measured is not kept.
    """

    def worth(epoch: Epoch) -> float | None:
        gap = epoch.metrics.get(gap_name(job.fair.criterion))
        if gap is None or epoch.validation_loss is None:
            return None
        return epoch.validation_loss + FAR * max(0.0, gap - job.fair.tolerance)

    return worth


def fitted(job: Job, **more: Any) -> Trained:
    """Train the job's network on its rows, watching the criterion; `more` are the keywords of `fit` that make a method.

    A run that goes on from a checkpoint must be asked for the same criterion as before.
    """
    given = {**job.aids, "after_epoch": after_each(job), "worth": worth_of(job), "fixed": {"fair": asdict(job.fair)}}
    return fit(job.network, job.rows, settings=job.settings, validation=job.held, **{**given, **more})
