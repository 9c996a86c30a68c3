"""What a finished training writes down about itself: the ledger, versions, and how many operations it took."""

import copy
import platform
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import nn

from rai.ledger import Fingerprint, Ledger
from rai.train.batches import Rows
from rai.train.checkpoints import Clock
from rai.train.loop import State
from rai.train.setup import forked

ONE_BATCH = 64
PASSES = 3
"""Operations of a training step in forward passes: forward, and twice as much backward (Kaplan et al. 2020)."""


@dataclass(frozen=True)
class Finished:
    """A training that came to its end. `data` are all rows handed in; `made` is an ISO date, today's where empty."""

    module: nn.Module
    data: Fingerprint
    state: State
    clock: Clock
    flops_a_row: float | None
    recipe: Mapping[str, Any]
    seed: int
    split: Mapping[str, int] = field(default_factory=dict)
    made: str = ""


def ledger_of(run: Finished) -> Ledger:
    """Write the account of a training; its operations are 2 for each multiplication with addition, 3 passes a row."""
    flops = None if run.flops_a_row is None else PASSES * run.flops_a_row * run.state.rows
    doubt = () if flops is not None else ("floating-point operations could not be counted for this network",)
    return Ledger(
        rai=versions()["rai"],
        made=run.made or time.strftime("%Y-%m-%d"),
        model="",
        data=run.data,
        recipe=run.recipe,
        seed=run.seed,
        epochs=tuple(run.state.history),
        seconds=run.clock.seconds,
        cpu_seconds=run.clock.cpu_seconds,
        versions=versions(),
        split=run.split,
        parameters=sum(each.numel() for each in run.module.parameters()),
        flops=flops,
        warnings=doubt,
    )


def versions() -> dict[str, str]:
    """Python and the packages that the weights come from, each with its version."""
    try:
        own = version("rai")
    except PackageNotFoundError:
        own = "not installed"
    return {"rai": own, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def forward_flops(module: nn.Module, rows: Rows) -> float | None:
    """Operations of one row's way through the network, counted by torch on one batch; None where it cannot count.

    Multiplication and addition count as two; what is no matrix product or convolution is not counted.
    """
    from torch.utils.flop_counter import FlopCounterMode

    few = rows.inputs[:ONE_BATCH].to(next((each.device for each in module.parameters()), torch.device("cpu")))
    try:
        with warnings.catch_warnings(), forked(module), torch.no_grad():
            warnings.simplefilter("ignore")
            with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counted:
                copy.deepcopy(module).train()(few)  # fused layers of evaluation mode are not counted
    except Exception:  # noqa: BLE001 - a network that cannot be counted can still be trained
        return None
    total = counted.get_total_flops()
    return total / len(few) if total else None
