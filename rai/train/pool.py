"""Processes that work beside this one, each with one thread, on something that all of them were handed once."""

import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from rai.errors import InputError
from rai.train.warm import warm

Made = TypeVar("Made")
Work = Callable[[Any, Any], Made]
"""A piece of work: a function that a module defines, from what all were handed and what is asked to what it makes."""


@dataclass(frozen=True)
class Pool:
    """Processes that are ready, and the file with what all of them were handed."""

    executor: ProcessPoolExecutor
    packed: Path

    def submit(self, work: Work[Made], asked: Any) -> "Future[Made]":
        """Let some process do a piece of work."""
        return self.executor.submit(_done, self.packed, work, asked)


@contextmanager
def pool(shared: Any, jobs: int) -> Iterator[Pool]:
    """Lend so many processes; whatever ends the loan, work that has not begun is not begun any more.

    Raises `InputError` for a network that cannot be handed over, and where a process ends for a reason of its own.
    """
    try:
        content = pickle.dumps(shared)
    except Exception:  # noqa: BLE001 - pickle raises other kinds for each thing that it cannot write
        what = "cannot be handed to other processes"
        raise InputError(what, where="network", do="define its class in a module, or use jobs=1") from None
    with tempfile.TemporaryDirectory(prefix="rai-work-") as folder:
        packed = Path(folder, "work")
        packed.write_bytes(content)
        executor = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
        try:
            with _whole():
                yield Pool(executor, packed)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise InputError(
            "one of the processes ended before its work was done",
            where="jobs",
            do="call it again with jobs=1 (from a script, under if __name__ == '__main__')",
        ) from None


def _begin() -> None:
    """Make a process ready: one thread, and Ctrl-C is heard by the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    warm()


def _done(packed: Path, work: Work[Made], asked: Any) -> Made:
    if not packed.exists():  # a process has its next piece in hand before anybody could call that off
        raise CancelledError
    return work(_unpacked(packed), asked)


@lru_cache(maxsize=1)
def _unpacked(packed: Path) -> Any:
    return pickle.loads(packed.read_bytes())  # noqa: S301 - the process that started this one has written it
