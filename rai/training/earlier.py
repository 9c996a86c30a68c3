"""Earlier trainings on the same rows: tuning is spending, also where it was done by training again."""

from dataclasses import replace
from pathlib import Path

from rai.errors import InputError
from rai.ledger import Ledger, Run, read_ledger
from rai.training.workshop import LEDGER

UNCOUNTED = "which epsilon does not count"


def ledger_before(folder: Path, name: str = LEDGER) -> Ledger | None:
    """The ledger of the training whose model will be replaced, or None; raise `InputError` for one that was changed."""
    path = folder / name
    if not path.exists():
        return None
    try:
        return read_ledger(path)
    except InputError as problem:
        raise InputError(
            f"cannot be read, so what was spent on these rows is unknown ({problem})",
            where=path,
            do="restore it, or train into another folder",
        ) from None


def counted(now: Ledger, before: Ledger | None) -> Ledger:
    """The ledger with the runs of an earlier one on the same rows, and with that training itself, entered first.

    The same rows: of one fingerprint, or from a file that both recipes name alike.
    """
    if before is None or not (before.data.sha256 == now.data.sha256 or _file(before) == _file(now)):
        return now
    runs = (*before.runs, _run(before))
    if now.privacy is None:
        return replace(now, runs=(*runs, *now.runs))
    hole = f"{len(runs)} earlier run{'s' * (len(runs) > 1)} on the same rows, {UNCOUNTED}"
    holes = _holes_before(before) if _gone_on(before, now) else (hole,)
    return replace(now, runs=(*runs, *now.runs), privacy=replace(now.privacy, waived=(*now.privacy.waived, *holes)))


def _gone_on(before: Ledger, now: Ledger) -> bool:
    """Whether the same sites went on from their accounts of the same rows: then epsilon counts both trainings."""
    old, new = before.privacy, now.privacy
    if old is None or new is None or before.data.sha256 != now.data.sha256:
        return False
    same = _sites(before) == _sites(now) != () and (before.seed, old.delta) == (now.seed, new.delta)
    return same and new.steps > old.steps


def _sites(ledger: Ledger) -> tuple[object, ...]:
    """Who held which rows, but for what came of it."""
    sites = () if ledger.federation is None else ledger.federation.sites
    return tuple((each.name, each.rows, dict(each.classes)) for each in sites)


def _holes_before(ledger: Ledger) -> tuple[str, ...]:
    waived = () if ledger.privacy is None else ledger.privacy.waived
    return tuple(each for each in waived if each.endswith(UNCOUNTED))


def _file(ledger: Ledger) -> object:
    return ledger.recipe.get("data", {}).get("train", ledger.data.sha256)


def _run(ledger: Ledger) -> Run:
    """A training as one of the runs: its seed and number of epochs, its last losses, and what it promised."""
    last = ledger.epochs[-1] if ledger.epochs else None
    losses = {} if last is None else {"loss": last.loss, "validation loss": last.validation_loss}
    told = {name: value for name, value in losses.items() if value is not None}
    spent = None if ledger.privacy is None else ledger.privacy.epsilon
    return Run({"earlier training": ledger.made, "seed": ledger.seed, "epochs": len(ledger.epochs)}, told, spent)
