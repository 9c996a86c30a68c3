"""Shares the work of training among several processes, started by `torchrun`, that end with the same parameters.

Plain training: every process draws the same batch from the same seed, takes its part of it, and the gradients are
averaged over all rows. Private training: every process holds a shard of the protected units and tosses their coins by
itself; the clipped sums of all are added, with the noise of the first process alone. A coin for each unit at one rate
is the same draw whoever tosses it, so the promise is that of one process on all rows.

>>> from rai import train
>>> with joined() as here:
...     trained = train.fit(network, data, checkpoint="checkpoint.pt")
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from rai.errors import InputError
from rai.train.batches import Batch
from rai.train.loop import Gradients

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LOST = "another of the processes ended before this one"


@dataclass(frozen=True)
class World:
    """Which of the processes this is, from 0, and how many there are. The first one writes the files."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes, draws the noise and shows progress."""
        return self.rank == 0


def world() -> World:
    """Return the place of this process among those that train together; one that trains alone is the first of one."""
    if not distributed.is_available() or not distributed.is_initialized():
        return World()
    return World(distributed.get_rank(), distributed.get_world_size())


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Meet the other processes that `torchrun` started, and part when done; without torchrun, train alone.

    They talk over gloo, through the memory of the CPU, whatever device computes. Raises `InputError` when only a part
    of what torchrun says is there.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield World()
        return
    missing = [name for name in NEEDED if name not in os.environ]
    if missing:
        raise InputError(f"{missing[0]} is not set", where="torchrun", do="start with: torchrun --nproc-per-node N …")
    with _talking():
        distributed.init_process_group("gloo")
    try:
        yield world()
    finally:
        distributed.destroy_process_group()


def shared(gradients: Gradients) -> Gradients:
    """Return a source that divides each batch among the processes: for plain training, where all draw the same batch.

    `gradients` sets `.grad` to that of the mean loss of the rows it is handed, or to None where there are none. Every
    process ends with the gradient of the whole batch's mean loss, and the losses of all its rows in their order. What
    layers keep of a batch, such as batch normalisation's means, is that of the first process' part, so that all judge
    the rows held back alike; such layers alone make a difference to one process on the whole batch.
    """
    if world().size == 1:
        return gradients

    def source(module: nn.Module, batch: Batch) -> Tensor:
        here = world()
        mine = slice(here.rank, None, here.size)
        sensitive = None if batch.sensitive is None else batch.sensitive[mine]
        part = Batch(batch.inputs[mine], batch.targets[mine], sensitive)
        losses = gradients(module, part)
        _add_up(module, len(part) / max(1, len(batch)))
        _copy_first(module.buffers())
        return _woven(losses, len(batch), here)

    return source


def added(gradients: Gradients) -> Gradients:
    """Return a source that adds up over processes: for private training, each process with its own shard.

    `gradients` sets `.grad` to (clipped sum + noise) / expected batch of all processes together, and is called by each
    for every step, for an empty batch too. Its noise must be that of `own_noise`, or it would count several times.
    The losses (rows,) stay those of the own shard.
    """
    if world().size == 1:
        return gradients

    def source(module: nn.Module, batch: Batch) -> Tensor:
        losses = gradients(module, batch)
        _add_up(module, 1.0)
        return losses

    return source


def own_noise(std: float) -> float:
    """The standard deviation of the noise that this process adds: all of it in the first, none in the others."""
    return std if world().first else 0.0


def made_alike(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first, such as before training where seeds may differ."""
    _copy_first(itertools.chain(module.parameters(), module.buffers()))


def totals(values: Sequence[float]) -> list[float]:
    """Each of the numbers added up over all processes, which must all ask for it."""
    if world().size == 1:
        return list(values)
    found = torch.tensor(values, dtype=torch.float64)
    with _talking():
        distributed.all_reduce(found)
    return [float(each) for each in found]


def wait() -> None:
    """Wait until all processes have come to this place."""
    totals([0.0])


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """Say in one line that there is nobody left to talk to; what torch says of it is long and names sockets."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(LOST, where="torchrun", do="read what it said, then train anew or with --resume") from None


def _copy_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of the first process."""
    if world().size == 1:
        return
    with torch.no_grad():
        for each in tensors:
            sent = each.detach().cpu().contiguous()
            with _talking():
                distributed.broadcast(sent, src=0)
            each.copy_(sent)


def _add_up(module: nn.Module, weight: float) -> None:
    """Make each `.grad` the sum over processes of weight × `.grad`; one that no process has stays None.

    A process without a gradient, for want of rows, takes part with zeros. All goes in one message.
    """
    moving = [each for each in module.parameters() if each.requires_grad]
    if world().size == 1 or not moving:
        return
    parts = [torch.zeros_like(each) if each.grad is None else weight * each.grad for each in moving]
    present = torch.tensor([float(each.grad is not None) for each in moving])
    whole = torch.cat([*(each.flatten().cpu() for each in parts), present])
    with _talking():
        distributed.all_reduce(whole)
    *sums, known = torch.split(whole, [*(each.numel() for each in moving), len(moving)])
    for each, found, holders in zip(moving, sums, known.tolist(), strict=True):
        each.grad = found.view(each.shape).to(each) if holders else None


def _woven(losses: Tensor, rows: int, here: World) -> Tensor:
    """The losses of all parts of a batch in the order of its rows: row i was the (i // size)-th of process i % size."""
    if here.size == 1:
        return losses
    own = torch.zeros(-(-rows // here.size), dtype=torch.float64)
    own[: len(losses)] = losses.detach().cpu()
    parts = [torch.zeros_like(own) for _ in range(here.size)]
    with _talking():
        distributed.all_gather(parts, own)
    return torch.stack(parts, dim=1).flatten()[:rows].to(losses)
