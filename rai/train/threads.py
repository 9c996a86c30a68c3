"""In how many threads should a network learn? A small one in one: handing work out takes longer than doing it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

MOST_WORK = 2**24
"""Floating-point operations of one step's way forward up to which a network is small."""


def threads_for(flops: float | None, rows: float, device: str) -> AbstractContextManager[None]:
    """A block of code in which a small network learns in one thread of torch; a large one takes all.

    `flops` are the operations of one row's way forward, None where nobody knows; `rows` are those of a step. Threads
    that wait for one another after every small step cost more than they bring, most of all beside another busy
    program. The caller's number of threads comes back afterwards.
    """
    small = device == "cpu" and flops is not None and flops * rows <= MOST_WORK
    return one_thread() if small else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch, so that sums are added up in the same order whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
