"""Small trainings that run alone or as one of several processes, each of which runs this file as a script."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rai.subject import Groups
from rai.train.batches import Batch, Rows
from rai.train.fitting import fit
from rai.train.gradients import plain
from rai.train.loop import Hooks, Machine, Plan, State, run
from rai.train.losses import loss_of
from rai.train.parallel import added, joined, made_alike, own_noise, world
from rai.train.private import fit_private
from rai.train.private.gradients_loop import loop
from rai.train.private.sampling import poisson, units_of
from rai.train.private.shards import shard
from rai.train.private.steps import Steps
from rai.train.settings import Fit, Private

LOSS = loss_of("binary")
STEPS, RATE = 12, 0.06
PROMISE = Private(RATE, STEPS, 1e-3, expected_batch=2.4, noise_multiplier=1.0, max_grad_norm=0.3)
SIZE = 2
"""How many processes share the work; alone, one process draws what both would have drawn."""


class Net(nn.Module):
    """A perceptron with a layer that nothing reaches, whose weights must stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        self.idle = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)  # type: ignore[no-any-return]


def net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def rows() -> Rows:
    inputs = torch.randn(41, 4, generator=torch.Generator().manual_seed(3))
    team = Groups("team", ("a", "b", "c"), np.arange(41) % 3)
    return Rows(inputs, (inputs[:, 0] > 0).float(), "binary", {"team": team})


def parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in module.named_parameters()}


def plainly() -> Any:
    """Batches of 7 rows, the last of 6, and rows held back; a batch of 1 row leaves the second process without any."""
    settings = Fit(epochs=4, batch_size=7, learning_rate=0.05, weight_decay=0.1, max_grad_norm=0.5, early_stopping=9)
    trained = fit(net(), rows(), settings=settings)
    single = fit(net(), rows(), settings=Fit(epochs=1, batch_size=1))
    computed = list[int]()

    def counting(module: nn.Module, batch: Batch) -> Tensor:
        computed.append(len(batch))
        return plain(LOSS)(module, batch)

    fit(net(), rows(), settings=Fit(epochs=1, batch_size=7), gradients=counting)
    losses = [(each.loss, each.validation_loss) for each in trained.ledger.epochs]
    return {
        "parameters": parameters(trained.model),
        "losses": losses,
        "single": parameters(single.model),
        "rows": computed,
    }


def normalised() -> Any:
    """Batch normalisation, judged on rows held back after every epoch, so that processes must judge alike."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    settings = Fit(epochs=12, batch_size=12, learning_rate=0.3, early_stopping=1)
    trained = fit(module, rows(), settings=settings)
    losses = [each.validation_loss for each in trained.ledger.epochs]
    return {"state": trained.model.state_dict(), "losses": losses}


def drawn() -> Callable[[int], Tensor]:
    """Poisson samples of the own shard, or, alone, of all shards: the same coins by the same streams."""
    here, every = world(), len(rows())
    ranks = [here.rank] if here.size > 1 else list(range(SIZE))
    coins = {rank: np.random.default_rng([7, rank]) for rank in ranks}

    def sampler(_step: int) -> Tensor:
        mine = {rank: poisson(len(range(rank, every, SIZE)), RATE, coins[rank]) for rank in ranks}
        return mine[here.rank] if here.size > 1 else torch.cat([rank + SIZE * mine[rank] for rank in ranks])

    return sampler


def privately(std: float) -> Any:
    """The steps of private training on shards, by the explicit loop, with noise of the first process alone."""
    held, module = shard(rows()), net()
    steps = Steps(units_of(held, "record"), PROMISE, own_noise(std), LOSS, loop)
    steps = replace(steps, noise=np.random.default_rng([11, world().rank]))  # known noise, to be compared
    seen, sampler = list[int](), drawn()

    def counted(step: int) -> Tensor:
        found = sampler(step)
        seen.append(len(found))
        return found

    machine = Machine(module, torch.optim.SGD(module.parameters(), lr=0.5, momentum=0.9))
    plan = Plan(held, counted, added(steps.gradients), lambda _: 0.5, STEPS, STEPS)
    run(plan, machine, State(), Hooks(lambda _: None))
    return {"parameters": parameters(module), "seen": seen}


def noise() -> Any:
    """One step by the front door, with hardly a row in it: what a wide layer's weights move by is the noise."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 500), nn.Tanh(), nn.Linear(500, 1))
    settings = Fit(optimizer="sgd", learning_rate=1.0)
    promise = Private(0.01, 1, 1e-3, expected_batch=1.0, noise_multiplier=2.0, gradients="book_keeping")
    trained = fit_private(module, rows(), private=promise, settings=settings)
    start, end = (nn.utils.parameters_to_vector(each.parameters()).detach() for each in (module, trained.model))
    claimed = trained.ledger.privacy
    assert claimed is not None
    return {"moved": {"all": end - start}, "claimed": claimed.noise_multiplier}


def alike() -> Any:
    """Networks that start differently are made as the first one is, buffers too."""
    torch.manual_seed(world().rank)
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    module(torch.randn(5, 3))
    made_alike(module)
    return module.state_dict()


def trainings() -> dict[str, Any]:
    """All of them."""
    private = {"private": privately(0.0), "noisy": privately(1.0)}
    return {"plain": plainly(), "normalised": normalised(), "alike": alike(), "noise": noise(), **private}


if __name__ == "__main__":
    with joined() as here:
        torch.save(trainings(), Path(sys.argv[1]) / f"{here.rank}.pt")
