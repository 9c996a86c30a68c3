"""The trials of a trade-off curve: each method at each strength with each seed, trained and measured on other rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

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
from rai.train.pool import pool
from rai.train.settings import Fair, Fit
from rai.train.threads import one_thread
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
        with one_thread():
            found = trial(work, each)
        yield each, found


def _together(work: Work, wanted: Sequence[Asked], jobs: int) -> Iterator[tuple[Asked, Trial]]:
    with pool(work, min(jobs, len(wanted))) as processes:
        futures = {processes.submit(trial, each): each for each in wanted}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _tell(watch: Watch | None, done: int, of: int, trial: Trial) -> None:
    if watch is not None:
        watch(done, of, trial)


def _fingerprint(rows: Rows) -> list[str]:
    codes = b"" if rows.sensitive is None else rows.sensitive.numpy().tobytes()
    return [rows.fingerprint.sha256, key_of({"codes": codes.hex()})]
