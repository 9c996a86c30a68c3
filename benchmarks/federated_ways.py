"""One federation learned in a process of its own: by a plain loop of torch, or by rai, one site by one or all at once.

The command line ends with WAY JOB ANSWER; to the file ANSWER goes when each round ended, and the last loss on held-out
rows. The loop draws the rows of a batch as rai does, so that only rounding tells their losses apart. Beside
torch and numpy nothing is imported above: the ways of Flower and pfl learn with what stands here, in a venv each.
"""

import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SEED, RATE, BATCH, HIDDEN, HELD = 0, 0.1, 32, 64, 1 / 6
Stamp = Callable[[], None]
"""Called at the end of each round."""


@dataclass(frozen=True)
class Part:
    """Some rows of one site."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, positions: Tensor) -> "Part":
        """The rows at these positions, or where a mask says so."""
        return Part(self.inputs[positions], self.labels[positions])


@dataclass(frozen=True)
class Job:
    """So many rounds, all sites' rows one below the other, which of them are held back, and the first weights."""

    rounds: int
    rows: Part
    sizes: list[int]
    held_back: Tensor
    state: Mapping[str, Tensor]

    @cached_property
    def sites(self) -> list[Part]:
        """All rows of each site."""
        return [Part(*each) for each in zip(*(_cut(self.sizes, each) for each in self._rows), strict=True)]

    @cached_property
    def learned(self) -> list[Part]:
        """The rows that each site learns from."""
        return [part.at(~held) for part, held in self._with_held]

    @cached_property
    def held(self) -> list[Part]:
        """The rows that each site holds back."""
        return [part.at(held) for part, held in self._with_held]

    @property
    def _rows(self) -> tuple[Tensor, Tensor]:
        return self.rows.inputs, self.rows.labels

    @property
    def _with_held(self) -> Iterator[tuple[Part, Tensor]]:
        return zip(self.sites, _cut(self.sizes, self.held_back), strict=True)


def _cut(sizes: list[int], rows: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, sizes)


def write(job: Job, path: Path) -> None:
    """Write a job for other processes to read."""
    kept = {"rounds": job.rounds, "sizes": job.sizes, "held": job.held_back, "state": dict(job.state)}
    torch.save({"inputs": job.rows.inputs, "labels": job.rows.labels, **kept}, path)


def read(path: str) -> Job:
    """Read a job."""
    kept = torch.load(path, weights_only=True)
    return Job(kept["rounds"], Part(kept["inputs"], kept["labels"]), kept["sizes"], kept["held"], kept["state"])


def network(inputs: int) -> nn.Module:
    """The perceptron that all ways train."""
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))


def network_of(job: Job) -> nn.Module:
    """The perceptron with a job's first weights."""
    module = network(job.rows.inputs.shape[1])
    module.load_state_dict(job.state)
    return module


def order(rows: int, number: int, site: int) -> Tensor:
    """The order of a site's rows in a round, counted from 1; as rai draws it."""
    seed = int(np.random.SeedSequence([SEED, number, site]).generate_state(1)[0])
    return torch.from_numpy(np.random.default_rng([seed, zlib.crc32(b"order of rows"), 0]).permutation(rows))


def batches(rows: int, number: int, site: int) -> tuple[Tensor, ...]:
    """Positions of the rows of each step; a last batch of a single row goes with the one before it, as in rai."""
    many = max(1, rows // BATCH + (rows % BATCH > (1 if rows > BATCH else 0)))
    return torch.tensor_split(order(rows, number, site), [place * BATCH for place in range(1, many)])


def learn(module: nn.Module, part: Part, number: int, site: int) -> float:
    """Train on a site's rows for one pass, and return the mean loss."""
    optimizer, total = torch.optim.SGD(module.parameters(), lr=RATE), 0.0
    module.train()
    for positions in batches(len(part), number, site):
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(part.inputs[positions]), part.labels[positions])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(positions)
    return total / len(part)


@torch.no_grad()
def seen(module: nn.Module, part: Part) -> tuple[float, float]:
    """Mean loss and accuracy on some rows."""
    module.eval()
    outputs = module(part.inputs)
    right = (outputs.argmax(1) == part.labels).float().mean()
    return float(functional.cross_entropy(outputs, part.labels)), float(right)


def held_loss(module: nn.Module, job: Job) -> float:
    """Mean loss over the rows that all sites hold back, measured site by site."""
    counted = [(len(part), seen(module, part)[0]) for part in job.held if len(part)]
    return sum(rows * loss for rows, loss in counted) / sum(rows for rows, _ in counted)


def loop(job: Job, stamp: Stamp) -> float:
    """The limit: one site after the other in torch, the weighted mean of their weights, nothing else."""
    module, state, loss = network_of(job), job.state, float("nan")
    total = sum(map(len, job.learned))
    for number in range(1, job.rounds + 1):
        mean = {name: torch.zeros_like(each) for name, each in state.items()}
        for site, part in enumerate(job.learned):
            module.load_state_dict(state)
            learn(module, part, number, site)
            for name, each in module.state_dict().items():
                mean[name].add_(each, alpha=len(part) / total)
        state = mean
        module.load_state_dict(state)
        loss = held_loss(module, job)
        stamp()
    return loss


def ours(job: Job, stamp: Stamp, *, vmap: bool) -> float:
    """The runtime of rai on one machine."""
    from rai.train import Fit, fit_federated
    from rai.train.loop import Moment
    from rai.train.settings import Federated

    class Stamps:
        def step(self, _moment: Moment) -> None:
            stamp()

    federation = fit_federated(
        network_of(job),
        [(each.inputs, each.labels) for each in job.sites],
        federated=Federated(rounds=job.rounds, vmap=vmap, alone=False, contributions=False),
        settings=Fit(batch_size=BATCH, optimizer="sgd", learning_rate=RATE, momentum=0.0, validation=HELD, seed=SEED),
        watch=Stamps(),
    ).ledger.federation
    if federation is None or federation.rounds[-1].loss is None:
        raise RuntimeError("no round was finished")
    return federation.rounds[-1].loss


def answer(work: Callable[[Job, Stamp], float]) -> None:
    """Do the work on the job that the command line names, and write down when rounds ended and what came of it."""
    torch.set_num_threads(1)
    stamps: list[tuple[float, float]] = []
    loss = work(read(sys.argv[-2]), lambda: stamps.append((time.monotonic(), time.process_time())))
    said = {"wall": [wall for wall, _ in stamps], "cpu": [cpu for _, cpu in stamps], "loss": loss}
    Path(sys.argv[-1]).write_text(json.dumps(said), encoding="utf-8")


WAYS: Mapping[str, Callable[[Job, Stamp], float]] = {
    "loop": loop,
    "local": lambda job, stamp: ours(job, stamp, vmap=False),
    "vmap": lambda job, stamp: ours(job, stamp, vmap=True),
}


def run() -> None:
    """Do the job of the command line in the way that it names."""
    answer(WAYS[sys.argv[-3]])
