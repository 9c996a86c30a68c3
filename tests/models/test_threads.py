"""A small model is asked in one thread, a large one in all; and the caller's number of threads comes back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai.card import Card, Head
from rai.models import bare
from rai.models.threads import threads_for
from rai.subject import Data, Player, Subject


def subject_of(score, columns=8):
    X = np.zeros((20, columns), dtype=np.float32)
    data = Data("table", X, X, None, {}, tuple(Player(f"x{each}", (each,)) for each in range(columns)))
    return Subject("s", replace(bare(score, X[:1]), head=Head.LOGIT), data, Card("binary", classes=("no", "yes")))


def net(hidden=16):
    return torch.nn.Sequential(torch.nn.Linear(8, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("score", "threads"), [(net(), 1), (lambda table: table[:, 0], 1), (net(hidden=200_000), 2)])
def test_a_small_model_is_asked_in_one_thread_and_a_large_one_in_all(score, threads):
    subject = subject_of(score)
    with threads_for(subject):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_large_rows_are_asked_in_all_threads():
    subject = subject_of(lambda table: table[:, 0], columns=4097)
    with threads_for(subject):
        assert torch.get_num_threads() == 2
