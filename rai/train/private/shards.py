"""Private training among several processes: each holds a part of the protected units, and none holds one in part."""

import torch
from torch import Tensor, nn

from rai.train.batches import Batch, Rows
from rai.train.loop import Gradients
from rai.train.parallel import added, totals, world
from rai.train.private.sampling import units_of
from rai.train.private.steps import Steps


def shard(rows: Rows, unit: str = "record") -> Rows:
    """The rows that this process holds in private training: every so many-th unit, with all of its rows.

    `unit` is "record" or "group:COLUMN". No unit lies in two shards, so that its gradient is clipped as a whole.
    """
    here, units = world(), units_of(rows, unit)
    if here.size == 1:
        return rows
    if units.members is None:
        return rows.take(torch.arange(len(rows))[here.rank :: here.size])
    mine = [torch.zeros(0, dtype=torch.int64), *units.members[here.rank :: here.size]]
    return rows.take(torch.cat(mine).sort().values)


def together(steps: Steps) -> Gradients:
    """The source of gradients that adds up the shards of all processes, and their losses in the noisy curve too.

    `steps` must draw the noise of `rai.train.parallel.own_noise`, on gradients and on losses.
    """
    if world().size == 1:
        return steps.gradients
    source = added(steps.gradients)

    def gradients(module: nn.Module, batch: Batch) -> Tensor:
        before = steps.curve.total
        losses = source(module, batch)
        (found,) = totals([steps.curve.total - before])
        steps.curve.total = before + found
        return losses

    return gradients
