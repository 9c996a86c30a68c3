"""What an estimator hands back: a number, how sure we are of it, and the rows behind it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """One number with its interval.

    `value` None means undefined, and `reason` says why; `low` and `high` None beside a value mean that no honest
    interval could be had, and `reason` says why. `rows` counts the rows that enter; `method` names the interval.
    """

    value: float | None
    low: float | None
    high: float | None
    rows: int
    method: str
    reason: str = ""

    def __post_init__(self) -> None:
        require_finite(self.value, self.low, self.high)


@dataclass(frozen=True)
class Gap:
    """How far the best and the worst served group are apart, with everything needed to read that honestly.

    `rows` counts all rows that enter and `smallest` those of the smallest group. `p` is the p-value of "no
    difference", `chance` the value that chance alone shows on average, `corrected` the value less its bias away from
    "no difference", `detectable` the mildest true difference that these rows would show with 80 % power; each is None
    where `method` or `reason` says that it is not to be had. `highest` and `lowest` are the positions of the groups
    with the largest and the smallest value.
    """

    value: float | None
    low: float | None
    high: float | None
    rows: int
    smallest: int | None
    p: float | None
    chance: float | None
    corrected: float | None
    detectable: float | None
    highest: int | None
    lowest: int | None
    method: str
    reason: str = ""

    def __post_init__(self) -> None:
        require_finite(self.value, self.low, self.high, self.p, self.chance, self.corrected, self.detectable)


def undefined(reason: str, rows: int = 0, method: str = "") -> Estimate:
    """Return an estimate that has no value, with the reason why."""
    return Estimate(None, None, None, rows, method, reason)


def undefined_gap(reason: str, rows: int = 0, smallest: int | None = None, method: str = "") -> Gap:
    """Return a gap that has no value, with the reason why."""
    return Gap(
        value=None,
        low=None,
        high=None,
        rows=rows,
        smallest=smallest,
        p=None,
        chance=None,
        corrected=None,
        detectable=None,
        highest=None,
        lowest=None,
        method=method,
        reason=reason,
    )


def require_finite(*numbers: float | None) -> None:
    """Raise `ValueError` unless every number is finite or None: undefined is never NaN."""
    for each in numbers:
        if each is not None and not math.isfinite(each):
            raise ValueError(f"an estimate is a finite number or None, not {each}")
