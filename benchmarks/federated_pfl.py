"""The same federation in Apple's pfl; run in a venv with pfl and torch.

Its own evaluation would go over the rows that sites learn from, before and after; ours is done in a callback instead.
"""

# mypy: disable-error-code="import-not-found, misc"
# It has a venv of its own, where no types are checked.

import asyncio
from typing import Any

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.federated_ways import BATCH, RATE, Job, Stamp, answer, held_loss, network_of, order


class Wrapped(nn.Module):
    """The perceptron with the two functions that pfl asks for."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch."""
        self.module.train()
        return functional.cross_entropy(self.module(inputs), labels)

    @torch.no_grad()
    def metrics(self, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
        """Loss of some rows."""
        return {
            "loss": Weighted(float(functional.cross_entropy(self.module(inputs), labels)) * len(labels), len(labels))
        }


class Rounds(TrainingProcessCallback):
    """Counts rounds, and measures the common model after each."""

    def __init__(self, job: Job, module: nn.Module, stamp: Stamp) -> None:
        self.job, self.module, self.stamp, self.number, self.found = job, module, stamp, 1, float("nan")

    def after_central_iteration(
        self, _metrics: Metrics, _model: Any, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """End a round."""
        self.found, self.number = held_loss(self.module, self.job), central_iteration + 2
        self.stamp()
        return False, Metrics()


def pfl(job: Job, stamp: Stamp) -> float:
    """All rounds, in pfl's simulation."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    module, sites = network_of(job), len(job.sizes)
    rounds = Rounds(job, module, stamp)

    def rows(site: int) -> PyTorchTensorDataset:
        part = job.learned[site]
        part = part.at(order(len(part), rounds.number, site))
        return PyTorchTensorDataset((part.inputs, part.labels), user_id=str(site))

    data = FederatedDataset(rows, get_user_sampler("minimize_reuse", list(range(sites))))
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=job.rounds,
            evaluation_frequency=job.rounds + 1,
            train_cohort_size=sites,
            val_cohort_size=None,
        ),
        SimulatedBackend(data, data, postprocessors=[WeightByDatapoints()]),
        PyTorchModel(Wrapped(module), torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        NNTrainHyperParams(local_batch_size=BATCH, local_num_epochs=1, local_learning_rate=RATE),
        NNEvalHyperParams(local_batch_size=None),
        [rounds],
        send_metrics_to_platform=False,
    )
    return rounds.found


def run() -> None:
    """Do the job of the command line."""
    answer(pfl)
