"""What a site has spent of its rows' privacy: one small file on its own disk, over rounds, runs and restarts.

An account belongs to rows, in whatever order, and a delta. Steps are entered before they are made, so that a site
that is killed has entered too many and never too few. The file is whole or not there at all, and sealed as a ledger
is, so that a changed byte shows. Who deletes the file, or changes a row, opens an account anew: nothing but the site's
owner stands in the way of that.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.files import write_atomic
from rai.ledger import Phase as Told
from rai.ledger import Privacy
from rai.sealed import read_sealed, sealed
from rai.train.batches import Rows
from rai.train.private.accounting import Accounted, Phase, meter, spent
from rai.train.settings import Private

KIND = "rai site account 1"
PUT_BACK = "put the original back; until then nobody can say what was spent, and the site takes no part"
BUDGET_IS_SPENT = "its budget is spent"
HELD = "how many rows each site holds (of each class, where there are classes) and holds back"
MEASURED = "the loss and accuracy of the common model on each site's own held-out rows in each round"
BY_GROUP = "which groups each site knows, and counts of right and wrong answers by group on its own held-out rows"
UNNOISED = (HELD, MEASURED, BY_GROUP)
"""What is told of a site without noise whatever is promised; where its training is private, its training loss and its
weights have noise."""


class BudgetSpentError(InputError):
    """A site's rows have spent what their owner granted, so the site takes no part in the round."""


@dataclass(frozen=True)
class Account:
    """Where a site keeps its account: of which rows (SHA-256), for which delta, and the most that may be spent.

    `unit` is whose data the promise protects. Without a `budget` nothing stops; what was spent is known all the same.
    """

    path: Path
    data: str
    delta: float
    unit: str = "record"
    budget: float | None = None


def account_of(folder: Path, rows: Rows, private: Private, *, budget: float | None = None) -> Account:
    """Return the account of a site's rows in a folder of its own disk; nothing is written yet.

    `rows` are all of the site's, those held back included: which are held back may change from run to run, and the
    account must not; nor does it change with their order, or with what groups are known of them. `budget` is the
    largest epsilon that the rows may ever spend, earlier runs included; without one it is the promise's epsilon, if it
    has one. Other rows, or another delta, have another account.
    """
    data = in_any_order(rows)
    name = hashlib.sha256(f"{data} {private.delta!r}".encode()).hexdigest()[:32]
    most = private.epsilon if budget is None else budget
    return Account(folder / f"{name}.json", data, private.delta, private.unit, most)


def in_any_order(rows: Rows) -> str:
    """Return the SHA-256 of the rows' inputs and targets, which is the same in whatever order they come."""
    found = sorted(map(_digest, rows.inputs.numpy(), rows.targets.numpy()))
    return hashlib.sha256(f"{tuple(rows.inputs.shape)}\n".encode() + b"".join(found)).hexdigest()


def phases_so_far(account: Account) -> tuple[Phase, ...]:
    """Return all steps that were entered so far; none for an account without a file.

    Raises `InputError` where the file is not as it was written, or is of another unit, rows or delta.
    """
    if not account.path.exists():
        return ()
    content = _unaltered(account.path)
    for name in ("data", "delta", "unit"):
        if content[name] != getattr(account, name):
            what = f"is an account of {name} {content[name]!r}, and {getattr(account, name)!r} is asked for"
            raise InputError(what, where=account.path, do="keep accounts of different promises in different folders")
    return tuple(Phase(**each) for each in content["phases"])


def charge(account: Account, phase: Phase) -> tuple[Phase, ...]:
    """Enter steps that are about to be made, and return all steps so far; call it before any noise is drawn.

    Once this returns, the entry is on the disk. Raises `BudgetSpentError`, and enters nothing, where these steps would
    spend more than the budget.
    """
    with _locked(account.path):
        before = phases_so_far(account)
        after = _joined(before, phase)
        if account.budget is not None and not _within(after, account.delta, account.budget):
            raise BudgetSpentError(_refusal(account, before))
        write_atomic(account.path, _text(account, after))
    return after


def privacy_of(account: Account, private: Private, *, gradients: str = "book-keeping") -> Privacy:
    """Return a site's promise to its rows in the words of the ledger: that of all steps ever made on them.

    Raises `InputError` for an account without steps, for then nothing was promised.
    """
    phases = phases_so_far(account)
    if not phases:
        raise InputError("holds no steps", where=account.path, do="train first")
    found = _spent(phases, account.delta)
    return Privacy(
        unit=account.unit,
        epsilon=found.value,
        delta=account.delta,
        noise_multiplier=phases[-1].noise_multiplier,
        max_grad_norm=private.max_grad_norm,
        sample_rate=phases[-1].sample_rate,
        steps=sum(each.steps for each in phases),
        expected_batch=private.expected_batch,
        accountant=found.accountant,
        alternatives=dict(found.alternatives),
        gradients=gradients,
        phases=tuple(Told(**asdict(each)) for each in phases) if len(phases) > 1 else (),
    )


def spent_at_most(accounts: Iterable[Account]) -> float | None:
    """Return the largest epsilon that any of the accounts has spent so far, quickly and never too little (RDP).

    None where nobody has entered a step.
    """
    found = [_quickly(phases, each.delta) for each in accounts if (phases := phases_so_far(each))]
    return max(found, default=None)


def largest(promises: Iterable[Privacy]) -> Privacy | None:
    """Return the promise with the largest epsilon, which is what a federation promises to every row of every site.

    Each row lies in one site, so neither the sum nor the mean over sites means anything. None where nobody promised.
    """
    return max(promises, key=lambda each: each.epsilon, default=None)


def _digest(inputs: NDArray[Any], targets: NDArray[Any]) -> bytes:
    """One row's, with numbers as they are in `Rows.fingerprint`: whatever kind of them a network takes."""
    kind = np.float64 if inputs.dtype.kind == "f" else np.int64
    return hashlib.sha256(inputs.astype(kind).tobytes() + targets.astype(np.float64).tobytes()).digest()


def _joined(before: tuple[Phase, ...], phase: Phase) -> tuple[Phase, ...]:
    """The phases with one more, which makes the last one longer where noise and rate are the same."""
    if before and replace(before[-1], steps=phase.steps) == phase:
        return (*before[:-1], replace(phase, steps=before[-1].steps + phase.steps))
    return (*before, phase)


@lru_cache(maxsize=256)
def _within(phases: tuple[Phase, ...], delta: float, budget: float) -> bool:
    """Whether the phases keep to the budget: by the quick accountant, or else by the tight one."""
    return _quickly(phases, delta) <= budget or _spent(phases, delta).value <= budget


@lru_cache(maxsize=256)
def _spent(phases: tuple[Phase, ...], delta: float) -> Accounted:
    """The epsilon of all steps; computed once for all sites of a federation that have made the same."""
    return spent(phases, delta)


@lru_cache(maxsize=256)
def _quickly(phases: tuple[Phase, ...], delta: float) -> float:
    *before, now = phases
    return meter(before, now, delta)(now.steps)


def _refusal(account: Account, before: tuple[Phase, ...]) -> str:
    now = f"{_spent(before, account.delta).value:.4g}"
    return f"{BUDGET_IS_SPENT}: epsilon is {now}, and another round would go over {account.budget:.4g}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time enter steps; the lock of a process that was killed is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a+b") as handle:
        _lock(handle)
        yield


def _lock(handle: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def _text(account: Account, phases: tuple[Phase, ...]) -> str:
    content = {
        "kind": KIND,
        "data": account.data,
        "delta": account.delta,
        "unit": account.unit,
        "phases": [asdict(each) for each in phases],
    }
    return sealed(content)


def _unaltered(path: Path) -> dict[str, Any]:
    """What the file says, when it is byte for byte what was written."""
    content = read_sealed(path, do=PUT_BACK)
    if content.get("kind") != KIND:
        raise InputError("is no account of this kind", where=path, expected=f"{KIND!r}", do=PUT_BACK)
    return content
