"""The trials of a trade-off curve: each method at each strength with each seed, trained and measured on other rows."""

import pickle
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rai.errors import InputError
from rai.ledger import Trial
from rai.train.account import versions
from rai.train.batches import Rows
from rai.train.fair.cache import identity, keep, key_of, recalled
from rai.train.fair.fitting import fit_fair
from rai.train.fair.gaps import measured
from rai.train.fair.points import BASELINE
from rai.train.fair.sensitive import Marked
from rai.train.fair.watched import outputs_of
from rai.train.fitting import fit
from rai.train.settings import Fair, Fit
from rai.train.trained import Trained
from rai.train.warm import warm

FAILED = "failed: "
"""How the warning of a trial begins that could not be trained."""
Watch = Callable[[int, int, Trial], None]
"""Hears of each trial when it is there: how many there are now, of how many, and the trial."""


@dataclass(frozen=True)
class Asked:
    """One trial that is wanted."""

    method: str
    strength: float
    seed: int


@dataclass(frozen=True)
class Work:
    """What all trials of a curve share: the network, the rows to learn from, and the rows to measure on, with codes."""

    network: nn.Module
    learned: Marked
    test: Rows
    fair: Fair
    settings: Fit
    cache: Path | None = None

    def key(self, asked: Asked) -> str:
        """Return the SHA-256 of everything that determines what comes of a trial. The baseline knows no criterion."""
        fair = None if asked.method == BASELINE else asdict(self.fair_of(asked))
        return key_of({**self._shared, "fair": fair, "trial": asdict(asked)})

    def fair_of(self, asked: Asked) -> Fair:
        """Return the settings of one trial."""
        said: dict[str, Any] = {"method": asked.method, "strength": asked.strength}
        return replace(self.fair, **said)

    @cached_property
    def _shared(self) -> Mapping[str, Any]:
        return {
            "network": identity(self.network),
            "rows": _fingerprint(self.learned.rows),
            "test": _fingerprint(self.test),
            "attributes": [asdict(each) for each in self.learned.attributes],
            "names": list(self.learned.names),
            "task": self.learned.rows.task,
            "fit": {**asdict(self.settings), "seed": None},
            "versions": {name: versions()[name] for name in ("rai", "torch")},
        }


def trials(work: Work, wanted: Sequence[Asked], *, jobs: int = 1, watch: Watch | None = None) -> tuple[Trial, ...]:
    """Return a trial for each that is wanted, in that order; those in the cache are not trained again.

    With several `jobs`, that many processes train at a time, each with one thread, and give the very same numbers. Each
    trial is kept when it is done, so what comes after (Ctrl-C, a crash) loses none of those. A trial that raises
    `InputError` has no values and says so in its warnings; `InputError` is raised when all of them do, or when a
    process ends for a reason of its own.
    """
    kept = {each: recalled(work.cache, work.key(each)) for each in wanted}
    found = {each: trial for each, trial in kept.items() if trial is not None}
    for place, trial in enumerate(found.values()):
        _tell(watch, place + 1, len(wanted), trial)
    missing = [each for each in wanted if each not in found]
    make = _alone if jobs == 1 or len(missing) < 2 else _together
    for asked, trial in make(work, missing, jobs):
        found[asked] = trial
        _tell(watch, len(found), len(wanted), trial)
    if wanted and all(not each.values for each in found.values()):
        line = found[wanted[0]].warnings[0].removeprefix(FAILED)
        raise InputError(f"none of {len(wanted)} trials could be trained; the first: {line}", where="frontier")
    return tuple(found[each] for each in wanted)


def trial(work: Work, asked: Asked) -> Trial:
    """Train and measure one trial, and keep it; one that cannot be trained is not kept."""
    before = time.process_time()
    try:
        trained = _trained(work, asked)
    except InputError as error:
        return Trial(asked.method, asked.strength, asked.seed, warnings=(f"{FAILED}{error}",))
    seconds = time.process_time() - before
    outputs = outputs_of(trained.model, work.test).float().numpy()
    values = measured(work.test.task, outputs, work.test.targets.numpy(), work.test.sensitive, work.learned.attributes)
    found = Trial(asked.method, asked.strength, asked.seed, values, seconds, trained.ledger.warnings)
    keep(work.cache, work.key(asked), found)
    return found


def _trained(work: Work, asked: Asked) -> Trained:
    settings, rows = replace(work.settings, seed=asked.seed), work.learned.rows
    if asked.method == BASELINE:
        return fit(work.network, rows, settings=settings)
    return fit_fair(work.network, rows, sensitive=work.learned.names, fair=work.fair_of(asked), settings=settings)


def _alone(work: Work, wanted: Sequence[Asked], _jobs: int) -> Iterator[tuple[Asked, Trial]]:
    if wanted:
        warm()
    for each in wanted:
        with _one_thread():
            found = trial(work, each)
        yield each, found


def _together(work: Work, wanted: Sequence[Asked], jobs: int) -> Iterator[tuple[Asked, Trial]]:
    with _pool(min(jobs, len(wanted))) as pool, _packed(work) as packed:
        futures = {pool.submit(_next, packed, each): each for each in wanted}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise InputError(
                "one of the processes ended before its trial was done",
                where="jobs",
                do="call it again with jobs=1 (from a script, under if __name__ == '__main__'); what is kept stays",
            ) from None


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Lend processes; whatever ends the loan, trials that have not begun are not begun any more."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _packed(work: Work) -> Iterator[Path]:
    """Put what all trials share into a file for the processes to read, and take it away afterwards."""
    try:
        content = pickle.dumps(work)
    except Exception:  # noqa: BLE001 - pickle raises other kinds for each thing that it cannot write
        what = "cannot be handed to other processes"
        raise InputError(what, where="network", do="define its class in a module, or use jobs=1") from None
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder, "work")
        packed.write_bytes(content)
        yield packed


def _begin() -> None:
    """Make a process of the pool ready: one thread, and Ctrl-C is heard while it trains alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    warm()


def _next(packed: Path, asked: Asked) -> Trial:
    if not packed.exists():  # a process has its next trial in hand before anybody could call that off
        raise CancelledError
    return trial(_unpacked(packed), asked)


@lru_cache(maxsize=1)
def _unpacked(packed: Path) -> Work:
    found: Work = pickle.loads(packed.read_bytes())  # noqa: S301 - the process that started this one has written it
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """As many threads as a process of the pool has, so that sums are added up in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tell(watch: Watch | None, done: int, of: int, trial: Trial) -> None:
    if watch is not None:
        watch(done, of, trial)


def _fingerprint(rows: Rows) -> list[str]:
    codes = b"" if rows.sensitive is None else rows.sensitive.numpy().tobytes()
    return [rows.fingerprint.sha256, key_of({"codes": codes.hex()})]
