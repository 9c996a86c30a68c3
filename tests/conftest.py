"""Settings of all tests: one thread each, no deadline for property tests, and in CI these draw the same cases.

Workers that each start a thread for every core wait for one another far longer than they compute. The processes that
tests start inherit the setting, and a test that is about threads asks for them itself. It is read when torch, numpy
and scikit-learn are first imported, so it stands before all of them.
"""

import os
import signal
import socket
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

LONGEST = 120
"""Seconds after which a process that a test started is ended."""


@pytest.fixture(scope="session")
def in_processes() -> Callable[..., list[int]]:
    """Do each work that is given in a process of its own, all at a time, and return how each ended.

    Each process is a copy of this one, so it need not load torch again, and what it changes stays there. It ends with
    0, with the number that the work left with, with 1 after any other exception, or with less than 0 when killed.
    """

    def done(*works: Callable[[], object]) -> list[int]:
        from rai.train.warm import warm

        warm()
        children = [_forked(work) for work in works]
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    return done


@pytest.fixture(scope="session")
def in_two_processes(in_processes: Callable[..., list[int]]) -> Callable[[Callable[[int], object]], list[int]]:
    """Do a work, which is handed 0 or 1, in two processes that are told what torchrun would have told them."""

    def done(work: Callable[[int], object]) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}

        def one(rank: int) -> None:
            os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank))
            work(rank)

        return in_processes(partial(one, 0), partial(one, 1))

    return done


def _forked(work: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads; the copy waits for none of them
        child = os.fork()
    return child or _end_after(work)


def _end_after(work: Callable[[], object]) -> NoReturn:
    import torch

    code = 1
    try:
        signal.alarm(LONGEST)
        torch.set_num_threads(1)
        work()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on with the other tests
        traceback.print_exc()
    finally:
        os._exit(code)
