"""How the loss fell and how the privacy budget was spent, epoch by epoch."""

import numpy as np

from rai.audits._exhibits import line, number
from rai.evidence import Curve, Evidence, Exhibit, Line, Text
from rai.ledger import NOISY_LOSSES, Epoch, Ledger
from rai.subject import Ints

MOST = 100
"""A curve has at most so many points."""
UNNOISED = "The curves of a private training were taken from its rows without noise; they are covered by no promise."
NOISY = "The training curve is noisy, and its noise is part of the promise; what was measured on other rows is not."


def evidence(ledger: Ledger) -> Evidence:
    """Curves of losses and epsilon, and what the monitor warned of."""
    shapes: tuple[Exhibit, ...] = (*_losses(ledger.epochs), *_budget(ledger.epochs), *_warned(ledger))
    private = ledger.privacy is not None and len(ledger.epochs) > 1
    words = NOISY if NOISY_LOSSES in ledger.warnings else UNNOISED
    return Evidence((), shapes, caveats=(words,) if private else ())


def _losses(epochs: tuple[Epoch, ...]) -> tuple[Curve, ...]:
    lines = [
        _line("training", [(each.number, each.loss) for each in epochs]),
        _line("validation", [(e.number, e.validation_loss) for e in epochs if e.validation_loss is not None]),
    ]
    drawn = tuple(each for each in lines if len(each.x) > 1)
    if not drawn:
        return ()
    alt = "; ".join(_told(each) for each in drawn) + "."
    return (Curve(f"Mean loss by epoch: {_ends(drawn)}", alt, "epoch", "mean loss", drawn),)


def _ends(lines: tuple[Line, ...]) -> str:
    return ", ".join(f"{each.name} {number(each.y[0])} to {number(each.y[-1])}" for each in lines)


def _told(drawn: Line) -> str:
    lowest = int(np.argmin(drawn.y))
    return f"{drawn.name} loss is lowest at epoch {drawn.x[lowest]:g}, {number(drawn.y[lowest])}"


def _budget(epochs: tuple[Epoch, ...]) -> tuple[Curve, ...]:
    spent = _line("epsilon spent", [(each.number, each.epsilon) for each in epochs if each.epsilon is not None])
    if len(spent.x) < 2:
        return ()
    alt = f"Epsilon spent is {number(spent.y[0])} at epoch {spent.x[0]:g} and {number(spent.y[-1])} at the last."
    return (Curve(f"Epsilon spent by epoch: {number(spent.y[-1])} in the end", alt, "epoch", "epsilon", (spent,)),)


def _line(name: str, points: list[tuple[int, float]]) -> Line:
    kept = [points[place] for place in places(len(points)).tolist()]
    x, y = (np.array([pair[side] for pair in kept], dtype=np.float64) for side in (0, 1))
    return line(name, x, y)


def places(count: int) -> Ints:
    """Positions of at most 100 of so many points, evenly spread, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64))


def _warned(ledger: Ledger) -> tuple[Text, ...]:
    if not ledger.warnings:
        return ()
    said = " ".join(each if each.endswith(".") else f"{each}." for each in ledger.warnings)
    return (Text(f"Warnings while training: {len(ledger.warnings)}", said),)
