"""A site that is killed in the middle of a round, while its steps are being made. Arguments: folder, how."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rai.train.batches import Rows
from rai.train.federated import site_private
from rai.train.federated.site import Task, arrays_of
from rai.train.federated.site_account import account_of
from rai.train.private.steps import Steps
from rai.train.settings import Fit, Private

PRIVATE = Private(sample_rate=1 / 16, steps=48, delta=1e-5, expected_batch=4.0, noise_multiplier=1.0)


def rows():
    X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    return Rows(torch.from_numpy(X), torch.from_numpy((X[:, 0] > 0).astype(np.int64)), "multiclass")


def dying(gradients):
    made = []

    def then_killed(self, module, batch):
        made.append(gradients(self, module, batch))
        if len(made) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return made[-1]

    return then_killed


def main(folder, how):
    Steps.gradients = dying(Steps.gradients)
    if how == "late":  # a site that enters its steps when they are made, as it must not
        site_private.charge = lambda *_: ()
    module = nn.Linear(3, 2)
    task = Task(arrays_of(module), 1, 0, Fit(learning_rate=0.1), 1, rounds=3)
    site_private.learned_privately(module, rows(), task, PRIVATE, account_of(Path(folder), rows(), PRIVATE))


if __name__ == "__main__":
    main(*sys.argv[1:])
