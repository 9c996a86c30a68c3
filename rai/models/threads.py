"""How many processor threads should a small model be asked in? One: handing work out takes longer than doing it."""

import contextlib
from math import prod
from typing import Any

from rai.errors import InputError
from rai.subject import Subject

MOST_WEIGHTS = 1_000_000
MOST_NUMBERS = 4096


def threads_for(subject: Subject) -> contextlib.AbstractContextManager[Any]:
    """A block of code in which a small model and the arithmetic around it take one thread; a large one takes all.

    Small: rows of at most 4,096 numbers, and at most a million weights or only answers that can be seen. Audits ask
    thousands of times about a few rows, and threads that wait for one another in between cost more than they bring,
    most of all with other programs on the machine. The caller's number of threads comes back afterwards.
    """
    from threadpoolctl import threadpool_limits

    numbers = prod(subject.data.inputs.shape[1:])
    small = numbers <= MOST_NUMBERS and _weights(subject) <= MOST_WEIGHTS
    return threadpool_limits(limits=1) if small else contextlib.nullcontext()


def _weights(subject: Subject) -> int:
    try:
        return int(subject.model.inside(weights_of, None))
    except InputError:
        return 0


def weights_of(module: Any, _inputs: Any) -> int:
    """How many weights a PyTorch module has; 0 for anything else."""
    return sum(each.numel() for each in module.parameters()) if hasattr(module, "parameters") else 0
