"""Several processes that learn for sites give what one gives, and what goes wrong in one of them is told."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rai.errors import InputError
from rai.train import Fit
from rai.train.federated import fit_federated
from rai.train.settings import Federated, Private
from rai.train.threads import one_thread

Pair = tuple[np.ndarray, np.ndarray]
Some = Callable[..., Pair]


class Draws(nn.Module):
    """A network that draws at random and remembers rows, so that sites cannot share one batched computation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer each row."""
        return self.body(rows)


def test_the_bytes_are_those_of_one_process_in_one_thread(some: Some, quick: Federated, plain_fit: Fit) -> None:
    """One of the sites has rows that no loss is a number on; it is left out in both for the same reason."""
    sites = [some(60 + 20 * place, seed=place) for place in range(4)]
    sites[2] = (sites[2][0] * np.float32(1e30), sites[2][1])
    settings = replace(quick, strategy="fedprox", local_epochs=2)
    with one_thread():
        torch.manual_seed(0)
        network = Draws()
        alone = fit_federated(network, sites, federated=settings, settings=plain_fit)
        drawn = torch.get_rng_state()
        several = fit_federated(network, sites, federated=replace(settings, jobs=2), settings=plain_fit)
    assert torch.equal(drawn, torch.get_rng_state())
    for name, each in alone.model.state_dict().items():
        assert torch.equal(each, several.model.state_dict()[name])
        assert bool(torch.isfinite(each).all())
    told = [found.ledger.federation for found in (alone, several)]
    assert told[0] is not None
    assert told[1] is not None
    reasons = [[each.replies["site 3"].excluded for each in one.rounds] for one in told if one is not None]
    assert reasons[0] == reasons[1]
    assert all(reasons[0])
    assert several.ledger.cpu_seconds > alone.ledger.cpu_seconds, "what other processes used is counted"


def test_what_several_processes_cannot_do_is_refused(
    network: nn.Module, some: Some, quick: Federated, plain_fit: Fit
) -> None:
    with pytest.raises(InputError, match=r"^federated\.jobs: is 2 beside vmap; choose one"):
        fit_federated(network, some(), federated=replace(quick, jobs=2, vmap=True), settings=plain_fit)
    with pytest.raises(InputError, match=r"^federated\.jobs: is 0; expected"):
        fit_federated(network, some(), federated=replace(quick, jobs=0), settings=plain_fit)
    network.extra = lambda: None
    with pytest.raises(InputError, match=r"^network: cannot be handed to other processes"):
        fit_federated(network, some(), federated=replace(quick, jobs=2), settings=plain_fit)


def test_sites_that_promise_something_learn_one_by_one_and_the_ledger_says_so(
    network: nn.Module, some: Some, quick: Federated, plain_fit: Fit
) -> None:
    private = Private(sample_rate=0.25, steps=2, delta=1e-5, expected_batch=16, noise_multiplier=1.0)
    given = replace(quick, jobs=2, rounds=1)
    found = fit_federated(network, some(), federated=given, settings=plain_fit, private=private)
    assert "sites learned one by one: each site learns in its own way" in found.ledger.warnings
