"""Reweighing: rows count more or less in the loss, so that group and label are independent among the weighted rows.

Source: Kamiran & Calders 2012, "Data preprocessing techniques for classification without discrimination".
"""

import torch
from torch import Tensor

from rai.errors import InputError
from rai.train.batches import Batch
from rai.train.fair.job import Job
from rai.train.fair.watched import fitted
from rai.train.trained import Trained


def train(job: Job) -> Trained:
    """Train with the weights of Kamiran & Calders to the power `strength`; of several attributes, combinations count.

    The weights aim at demographic parity of the labels, whatever the criterion. A row with an unknown group weighs 1.
    Raises `InputError` for regression.
    """
    if job.rows.task not in ("binary", "multiclass") or job.rows.sensitive is None:
        what = f"is 'reweighing', and the task is {job.rows.task}"
        raise InputError(what, where="fair.method", expected="a task with classes", do="choose 'gap_penalty'")
    levels = [len(each.levels) for each in job.attributes]
    cells = _cells(job.rows.sensitive, levels)
    weights = weights_of(cells, job.rows.targets.long()) ** job.strength

    def weighted(losses: Tensor, _outputs: Tensor, batch: Batch) -> Tensor:
        return (losses * _weights_at(weights.to(losses), batch, levels)).mean()

    return fitted(job, objective=weighted)


def weights_of(cells: Tensor, labels: Tensor) -> Tensor:
    """Return P(cell) P(label) / P(cell, label) as a table (cells, labels); a pair without rows weighs 1.

    `cells` (rows,), -1 for unknown, which is not counted, and `labels` (rows,) are int64.
    """
    counted = cells >= 0
    shape = (int(cells.max()) + 1, int(labels.max()) + 1)
    places = cells[counted] * shape[1] + labels[counted]
    together = torch.bincount(places, minlength=shape[0] * shape[1]).reshape(shape).double()
    apart = together.sum(dim=1, keepdim=True) * together.sum(dim=0, keepdim=True)
    return torch.where(together > 0, apart / (together * together.sum()), 1.0)


def _cells(codes: Tensor, levels: list[int]) -> Tensor:
    """Which combination of levels each row has, -1 where one of them is unknown."""
    cells = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
    for place, many in enumerate(levels):
        cells = cells * many + codes[:, place]
    return torch.where((codes >= 0).all(dim=1), cells, -1)


def _weights_at(weights: Tensor, batch: Batch, levels: list[int]) -> Tensor:
    if batch.sensitive is None:
        raise RuntimeError("the rows of the batch carry no sensitive codes")
    cells = _cells(batch.sensitive, levels)
    found = weights[cells, batch.targets.long().flatten()]
    return torch.where(cells >= 0, found, 1.0)
