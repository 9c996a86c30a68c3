"""Asks a model a few rows before the audit: does it answer, twice the same, with finite numbers of the right shape?"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rai.card import Card
from rai.errors import InputError
from rai.models.batches import some
from rai.models.draft import Candidate
from rai.subject import Floats

SAME = 1e-6
"""Two passes may differ by this part of the largest output: some kernels add in changing order."""
BESIDE = 1e-3
"""A change beyond this part of the largest output, from the batch alone, is no rounding."""
FEW = 32
OWN = "or give the model's own data"


@dataclass(frozen=True)
class Flight:
    """The outputs on the probe, and what is worth a note."""

    outputs: Floats
    notes: tuple[str, ...]


def fly(candidate: Candidate, probe: Any, card: Card, where: object) -> Flight:
    """Ask twice about the probe's rows and then about single rows; raise `InputError` for the first thing wrong."""
    if len(probe) == 0:
        raise InputError("there are no rows to try the model on", where=where, expected="test data with rows")
    first = _first(candidate, probe, card, where)
    if not np.isfinite(first).all():
        bad = int((~np.isfinite(first)).any(axis=1).sum())
        padded = np.ndim(probe) == 3 and bool(np.isnan(probe).any())
        do = "let the model skip the steps after a short sequence's end, which hold NaN" if padded else ""
        raise InputError(f"the model answers {bad} of {len(first)} rows with NaN or infinity", where=where, do=do)
    differ = _gap(first, candidate.scores(probe))
    if differ > SAME * _scale(first):
        raise InputError(
            f"two passes over the same rows differ by {differ:.3g}: the model is random at prediction time",
            where=where,
            do="take out dropout or sampling that stays on in evaluation mode",
        )
    return Flight(first, _beside(candidate, probe))


def _first(candidate: Candidate, probe: Any, card: Card, where: object) -> Floats:
    try:
        return candidate.scores(probe)
    except InputError:
        misfit = _misfit(candidate, probe, card)
        if misfit is None:
            raise
        raise InputError(misfit.what, where=where, do=f"mend {misfit.key} in the card, {OWN}") from None


@dataclass(frozen=True)
class _Misfit:
    """Why the model cannot take the data, in words, and the card's key to look at."""

    what: str
    key: str


def _misfit(candidate: Candidate, probe: Any, card: Card) -> _Misfit | None:
    """What the model takes and the data has, where the two differ and that can be seen."""
    wanted, shape = candidate.width(probe), np.shape(probe)
    if wanted is None:
        return None
    if candidate.tokens:
        most = int(np.max(probe))
        what = f"the model knows {wanted} tokens, and the data holds token number {most} (the first is 0)"
        return _Misfit(what, "input.vocabulary") if most >= wanted else None
    if len(shape) == 2:
        described = f"the {len(card.columns)} columns of the card become" if card.columns else "the data has"
        what = f"the model takes {wanted} inputs, and {described} {shape[1]}"
        return _Misfit(what, "columns") if wanted != shape[1] else None
    found, key = (shape[1], "channels") if len(shape) == 4 else (shape[2], "features")
    return (
        _Misfit(f"the model takes {wanted} {key}, and the data has {found}", f"input.{key}")
        if wanted != found
        else None
    )


def _beside(candidate: Candidate, probe: Any) -> tuple[str, ...]:
    """Whether the answer to a row depends on the rows asked about with it."""
    rows = min(FEW, len(probe))
    if rows < 2:
        return ()
    together = candidate.scores(some(probe, 0, rows))
    try:
        alone = np.concatenate([candidate.scores(some(probe, row, row + 1)) for row in range(rows)])
    except InputError:
        return ("the model cannot be asked about a single row",)
    gap = _gap(together, alone)
    if gap > BESIDE * _scale(together):
        return (f"the answer to a row depends on the rows beside it: asked alone, outputs change by up to {gap:.2g}",)
    return (f"asked one row at a time or {rows} together, outputs differ by at most {_rounded_up(gap):.0e}",)


def _gap(one: Floats, other: Floats) -> float:
    return float(np.max(np.abs(one - other))) if one.shape == other.shape else float("inf")


def _scale(outputs: Floats) -> float:
    return max(1.0, float(np.max(np.abs(outputs))))


def _rounded_up(gap: float) -> float:
    """The next power of ten, from 1e-6 on: rounding noise differs between machines and should not be reported."""
    return 10.0 ** max(-6, math.ceil(math.log10(gap))) if gap > 0 else 1e-6
