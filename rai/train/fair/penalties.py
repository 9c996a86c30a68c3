"""Gap penalties: the mean loss is made small together with a smooth stand-in for the gap between groups.

Sources: differences of mean decisions between groups as in Padala & Gujar 2020 (FNNC, arXiv:1811.00228) and Han et al.
2024 (FFB, arXiv:2306.09468); the Hilbert-Schmidt criterion of independence of Gretton et al. 2005, normalised.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from rai.train.batches import Batch
from rai.train.fair.job import Job
from rai.train.fair.schedule import Dial
from rai.train.fair.watched import fitted
from rai.train.losses import Task
from rai.train.trained import Trained

FEW = 8
"""With fewer rows of a group in a batch, the noise of their mean is as large as the gaps that are looked for."""
SHARP = 4.0
Measure = Callable[[Tensor, Tensor, int], Tensor]
"""From soft decisions (rows, columns), known codes (rows,) and the number of levels to one number, 0 for no gap."""


@dataclass(frozen=True)
class Penalty:
    """What the outputs of a batch are charged for a gap between groups, 0 where there is none.

    `levels` are how many each attribute has. Unknown codes (-1) and levels without a row in the batch take no part, so
    any batch can be charged.
    """

    task: Task
    criterion: str
    levels: tuple[int, ...]
    kind: str = "mean_difference"

    def __call__(self, outputs: Tensor, targets: Tensor, codes: Tensor) -> Tensor:
        """Return the penalty, a sum over attributes that can be differentiated by the outputs.

        `outputs` (rows, outputs), `targets` (rows,), `codes` (rows, attributes). A mean over the classes within which
        decisions are compared: one part for demographic parity, each true class for equalized odds, and for equal
        opportunity the positive class, or each class's own decision where there are more than two.
        """
        soft, measure = softened(self.task, outputs, targets), MEASURES[self.kind]
        parts = list(self.parts(targets, soft.shape[1]))
        total = soft.sum() * 0.0
        for place, levels in enumerate(self.levels):
            for part in parts:
                rows = part.rows & (codes[:, place] >= 0)
                total = total + measure(soft[rows][:, part.columns], codes[rows, place], levels) / len(parts)
        return total

    def parts(self, targets: Tensor, outputs: int) -> Iterator["Part"]:
        """Yield which rows are compared with one another, and which of their decisions; of two, one says it all."""
        labels, columns = targets.flatten(), slice(None) if outputs != 2 else slice(1, 2)
        if self.criterion == "demographic_parity":
            yield Part(torch.ones(len(targets), dtype=torch.bool, device=targets.device), columns)
        elif self.criterion == "equalized_odds":
            yield from (Part(labels == each, columns) for each in range(max(2, outputs)))
        elif outputs <= 2:
            yield Part(labels == 1, columns)
        else:
            yield from (Part(labels == each, slice(each, each + 1)) for each in range(outputs))


@dataclass(frozen=True)
class Part:
    """Rows (a mask) whose decisions, those in `columns`, should not differ between groups."""

    rows: Tensor
    columns: slice


def softened(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return soft decisions (rows, outputs): what is audited is a step, and this is a slope that can be descended.

    They are probabilities, those of more than two classes sharpened, or else their means can be alike while the largest
    of them are not. For regression they are the outputs in standard deviations of the batch's targets.
    """
    if task == "regression":
        spread = targets.reshape(outputs.shape).std(dim=0, correction=0)
        return outputs / torch.where(spread > 0, spread, 1.0)
    if outputs.shape[1] == 1:
        return torch.sigmoid(outputs)
    return torch.softmax(outputs if outputs.shape[1] == 2 else SHARP * outputs, dim=1)


def mean_difference(soft: Tensor, codes: Tensor, levels: int) -> Tensor:
    """Return how far the levels' mean decisions are from the mean of all rows, the mean over levels.

    With two levels this is half the gap, whatever its sign: an absolute value, unlike a square, still pulls when the
    gap is small. Of several columns it is the total variation, half the sum, so that one logit and two cost the same.
    """
    member = functional.one_hot(codes, levels).to(soft)
    sizes = member.sum(dim=0)
    present = sizes > 0
    if int(present.sum()) < 2:
        return soft.sum() * 0.0
    means = member[:, present].T @ soft / sizes[present, None]
    return (means - soft.mean(dim=0)).abs().mean(dim=0).sum() / min(2, soft.shape[1])


def hsic(soft: Tensor, codes: Tensor, levels: int) -> Tensor:
    """Return the normalised Hilbert-Schmidt criterion between decisions and group: 0 for independent, at most 1.

    A Gaussian kernel compares decisions, as wide as these are spread; groups are alike or not. Unlike means, it also
    sees differences of spread and shape. Takes memory and time with the square of the rows.
    """
    member = functional.one_hot(codes, levels).to(soft)
    if int((member.sum(dim=0) > 0).sum()) < 2:
        return soft.sum() * 0.0
    scaled = soft / soft.detach().std(dim=0, correction=0).clamp_min(1e-6)
    alike = torch.exp(-(scaled[:, None] - scaled[None]).square().sum(dim=2) / 2)
    first, second = _centred(alike), _centred(member @ member.T)
    scale = first.square().sum() * second.square().sum()
    return (first * second).sum() / scale.clamp_min(1e-12).sqrt()


MEASURES: dict[str, Measure] = {"mean_difference": mean_difference, "hsic": hsic}


def train(job: Job) -> Trained:
    """Train with the penalty, weighted by the strength, added to the mean loss.

    A batch must hold enough rows of each group, within each class that is compared, for their mean to say something:
    the ledger warns where the smallest has fewer than 8 on average.
    """
    dial = Dial(job.strength, job.fair.warm_start, job.fair.ramp)
    levels = tuple(len(each.levels) for each in job.attributes)
    penalty = Penalty(job.rows.task, job.fair.criterion, levels, job.fair.penalty)
    trained = fitted(job, objective=partial(_charged, penalty=penalty, dial=dial), before_epoch=dial.turn)
    warnings = (*trained.ledger.warnings, *_too_few(job, penalty))
    return replace(trained, ledger=replace(trained.ledger, warnings=warnings))


def _charged(losses: Tensor, outputs: Tensor, batch: Batch, *, penalty: Penalty, dial: Dial) -> Tensor:
    """The mean loss and the penalty together; a criterion that does not count yet is not computed."""
    if not dial.now or batch.sensitive is None:
        return losses.mean()
    return losses.mean() + dial.now * penalty(outputs, batch.targets, batch.sensitive)


def _too_few(job: Job, penalty: Penalty) -> Iterator[str]:
    """The warning for batches so small that noise is taken for a gap."""
    size = job.settings.batch_size
    fewest = _smallest(job, penalty) * size / len(job.rows)
    if job.strength and size < len(job.rows) and fewest < FEW:
        yield (
            f"a batch of {size:,} rows holds {fewest:.1f} of the smallest group compared, so noise is taken for a gap; "
            f"at least {FEW} are needed, as in batches of {math.ceil(size * FEW / fewest):,}"
        )


def _smallest(job: Job, penalty: Penalty) -> int:
    """How many rows the smallest group has within any part that is compared."""
    rows, codes = job.rows, job.rows.sensitive
    if codes is None:
        raise RuntimeError("the rows of the job carry no sensitive codes")
    outputs = int(rows.targets.max()) + 1 if rows.task == "multiclass" else 1
    sizes = [
        torch.bincount(column[part.rows & (column >= 0)])
        for part in penalty.parts(rows.targets, outputs)
        for column in codes.T
    ]
    return min((int(each[each > 0].min()) for each in sizes if len(each)), default=len(rows))


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(dim=0) - kernel.mean(dim=1, keepdim=True) + kernel.mean()
