"""Figures that the ledger states or that follow from it, each with the training rows behind it."""

from rai.audits._lift import guarded, undefined
from rai.evidence import Measurement
from rai.ledger import Ledger
from rai.subject import Subject

LARGEST = 1e300
"""A larger figure is told as this one: a sealed ledger may hold any number."""
COUNTED = "counted while training; no sampling error"


def ledger_of(subject: Subject) -> Ledger:
    """The subject's ledger; the audit is not run without one."""
    if subject.ledger is None:
        raise TypeError("a ledger was expected")
    return subject.ledger


def trained_rows(ledger: Ledger) -> int:
    """How many rows the parameters were moved by: those of the training split, or all."""
    return ledger.split.get("train", ledger.data.rows)


def stated(name: str, value: float, ledger: Ledger, *, method: str, unit: str = "") -> Measurement:
    """A figure without sampling error: its interval is the value itself."""
    exact = min(float(value), LARGEST)
    return guarded(Measurement(name, exact, exact, exact, trained_rows(ledger), unit=unit, method=method))


def unstated(name: str, reason: str, ledger: Ledger) -> Measurement:
    """A figure that the ledger does not give, with the reason."""
    return undefined(name, reason, rows=trained_rows(ledger))
