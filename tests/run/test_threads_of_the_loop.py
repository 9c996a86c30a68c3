"""The loop asks a small model in one thread, so that waiting threads cost nothing and sums come out alike."""

import numpy as np
import torch

import rai


def test_every_audit_of_a_small_model_runs_in_one_thread_and_gives_the_callers_back():
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)

    def score(table):
        seen.add(torch.get_num_threads())
        return 1 / (1 + np.exp(-table[:, 0]))

    X = np.random.default_rng(0).normal(size=(60, 3))
    rai.audit(score, X, (X[:, 0] > 0).astype(int), head="probability")
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert 1 in seen
    assert after == 2
