"""How large must a difference be for these data to show it?"""

import math

from scipy import special

REACH = float(special.ndtri(0.975) + special.ndtri(0.8))
"""Standard errors between no difference and one found by 80 % of two-sided tests at 5 %: 2.80."""


def detectable_below(rate: float, smallest: float, rest: float) -> float | None:
    """How far below `rate`, held by `rest` rows, a group of `smallest` rows must lie to be found out.

    80 % power, two-sided 5 %, normal approximation: rough for groups of fewer than 30. None where not even a rate
    of 0 would be found out.
    """
    apart = _root(rate, smallest, rest)
    return apart if 0.0 < apart <= rate else None


def detectable_apart(rate: float, smallest: float, rest: float) -> float | None:
    """Smallest distance from `rate`, above or below, at which a group of `smallest` rows would be found out."""
    below = detectable_below(rate, smallest, rest)
    above = detectable_below(1.0 - rate, smallest, rest)
    found = [each for each in (below, above) if each is not None]
    return min(found, default=None)


def _root(rate: float, smallest: float, rest: float) -> float:
    """Solve d² = REACH² (p q / rest + (p - d)(q + d) / smallest), a quadratic in d, for its positive root."""
    square, q = REACH**2, 1.0 - rate
    a = 1 + square / smallest
    b = square * (q - rate) / smallest
    c = -square * rate * q * (1 / rest + 1 / smallest)
    return (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
