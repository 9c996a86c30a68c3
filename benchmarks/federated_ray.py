"""The same federation in plain Flower on Ray, as its users write it; run in a venv with flwr[simulation] and torch.

Ray has as many workers as the machine has cores, each with one thread.
"""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from torch import nn

from benchmarks.federated_ways import Job, Stamp, answer, learn, network_of, read, seen

WORKERS: Any = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
app = ClientApp()


@lru_cache(maxsize=1)
def job() -> Job:
    """The job, read once in each worker."""
    torch.set_num_threads(1)
    return read(os.environ["FEDERATED_JOB"])


def handed(message: Message) -> nn.Module:
    """The network with the weights of a message."""
    module = network_of(job())
    module.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    return module


@app.train()
def train(message: Message, context: Context) -> Message:
    """Learn from a site's rows."""
    config: Any = message.content["config"]
    site, number = int(context.node_config["partition-id"]), int(config["server-round"])
    module = handed(message)
    rows = job().learned[site]
    told = MetricRecord({"loss": learn(module, rows, number, site), "num-examples": len(rows)})
    content = RecordDict({"arrays": ArrayRecord(module.state_dict()), "metrics": told})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Measure the common model on a site's held-out rows."""
    module = handed(message)
    rows = job().held[int(context.node_config["partition-id"])]
    loss, accuracy = seen(module, rows)
    told = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(rows)})
    return Message(RecordDict({"metrics": told}), reply_to=message)


class Stamped(FedAvg):
    """Flower's FedAvg, which says when a round is done."""

    stamp: Stamp

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Join what sites say."""
        found = super().aggregate_evaluate(server_round, replies)
        self.stamp()
        return found


def flower(given: Job, stamp: Stamp) -> float:
    """All rounds, in Flower's simulation."""
    sites, server, losses = len(given.sizes), ServerApp(), []

    @server.main()
    def main(grid: Grid, _context: Context) -> None:
        strategy = Stamped(min_train_nodes=sites, min_evaluate_nodes=sites, min_available_nodes=sites)
        strategy.stamp = stamp
        result = strategy.start(grid, ArrayRecord(dict(given.state)), given.rounds)
        loss: Any = result.evaluate_metrics_clientapp[given.rounds]["loss"]
        losses.append(float(loss))

    run_simulation(server, app, sites, backend_config=WORKERS)
    return losses[0]


def run() -> None:
    """Do the job of the command line."""
    os.environ["FEDERATED_JOB"] = sys.argv[-2]  # for the workers
    answer(flower)
