"""What else was tried on the same rows: tuning is spending."""

from collections.abc import Iterator, Mapping

from rai.audits._exhibits import number
from rai.audits.training.rows import stated, unstated
from rai.evidence import Evidence, Measurement, Table
from rai.ledger import Ledger, Privacy, Run

MOST = 30
"""Runs are listed up to so many, kept and best ones first."""
NO_PRIVACY = "the ledger promises no differential privacy"
NO_RUNS = "The ledger names no other run on the same rows; runs that nobody wrote down are not accounted for."
BASIC = (
    "Tuned epsilon is the plain sum over all runs, and their deltas add up as well; composition theorems that are "
    "tighter (Papernot and Steinke 2022) were not used."
)


def evidence(ledger: Ledger) -> Evidence:
    """All runs together: what they spent, and a table of them."""
    caveat = BASIC if ledger.runs and ledger.privacy else NO_RUNS
    shapes = (_table(ledger.runs),) if ledger.runs else ()
    said = (caveat,) if ledger.privacy or not ledger.runs else ()
    return Evidence((_tuned(ledger),), shapes, caveats=said)


def _tuned(ledger: Ledger) -> Measurement:
    privacy, name = ledger.privacy, "tuned_epsilon"
    if privacy is None:
        return unstated(name, NO_PRIVACY, ledger)
    open_runs = sum(each.epsilon is None for each in ledger.runs)
    if open_runs:
        reason = f"{open_runs} of {len(ledger.runs)} runs on the same rows were made without privacy"
        return unstated(name, f"{reason}: no epsilon covers the choice among them", ledger)
    others, summed = _others(ledger.runs), _summed(ledger.runs, privacy)
    word = "other" if others == 1 else "others"
    method = f"sum over this run and {others:,} {word}" if others else "this run alone; no other is in the ledger"
    return stated(name, summed, ledger, method=method)


def _others(runs: tuple[Run, ...]) -> int:
    return sum(not each.kept for each in runs)


def _summed(runs: tuple[Run, ...], privacy: Privacy) -> float:
    """Basic composition (Dwork et al. 2006) of the run that was kept and all others."""
    return privacy.epsilon + sum(each.epsilon or 0.0 for each in runs if not each.kept)


def _table(runs: tuple[Run, ...]) -> Table:
    ranked = sorted(enumerate(runs, start=1), key=lambda pair: (not pair[1].kept, not pair[1].front, pair[0]))
    shown, columns = ranked[:MOST], _results(runs)
    best = sum(each.front for each in runs)
    title = f"Runs on the same rows: {len(runs):,}"
    title += f", {best:,} of them on the Pareto front" if best else ""
    title += f"; the first {MOST} are listed" if len(runs) > MOST else ""
    rows = tuple((place, _role(each), _settings(each.settings), *_numbers(each, columns)) for place, each in shown)
    place, first = shown[0]
    alt = f"First stands run {place}: {_settings(first.settings)}."
    named = (name.replace("_", " ") for name in columns)
    return Table(title, alt, ("run", "role", "settings", *named, "epsilon"), rows)


def _results(runs: tuple[Run, ...]) -> tuple[str, ...]:
    """Names of results in the order in which they first occur."""
    return tuple(dict.fromkeys(name for each in runs for name in each.results))


def _numbers(run: Run, columns: tuple[str, ...]) -> Iterator[float | None]:
    yield from (run.results.get(name) for name in columns)
    yield run.epsilon


def _role(run: Run) -> str:
    return "this model" if run.kept else "on the front" if run.front else "tried"


def _settings(settings: Mapping[str, object]) -> str:
    told = (f"{name} = {number(v) if isinstance(v, float) else v}" for name, v in settings.items())
    return ", ".join(told) or "as in the recipe"
