"""Which point of a trade-off curve is kept: of those whose gap is small enough, the one that is right most often."""

from dataclasses import dataclass

import numpy as np

from rai.errors import InputError
from rai.train.fair.frontier import Frontier
from rai.train.fair.points import BASELINE, Point, value_of


@dataclass(frozen=True)
class Choice:
    """The point that is kept. `reached`: the mean of its gap over seeds is small enough."""

    point: Point
    reached: bool

    def told(self, curve: Frontier) -> str:
        """Return in one line what was kept, and its gap."""
        return f"{self.point.label}, {curve.gap.replace('_', ' ')} {value_of(self.point, curve.gap, np.nan):.3f}"

    def warnings(self, at_most: float) -> tuple[str, ...]:
        """Return what must be known of a point whose gap is larger than was asked for; nothing of any other."""
        if self.reached:
            return ()
        return (f"no strength has a gap of at most {at_most:g} in the mean; the one with the smallest gap was taken",)


def chosen(curve: Frontier, at_most: float) -> Choice:
    """Return the point of highest accuracy whose mean gap is at most `at_most`, or else the one with the smallest gap.

    The baseline is no choice. Raises `InputError` where no other point has a gap.
    """
    points = [each for each in curve.points if each.method != BASELINE and value_of(each, curve.gap, None) is not None]
    if not points:
        lost = [line for each in curve.failed for line in each.warnings][:1]
        reason = lost[0] if lost else "too few rows of some group to measure it on"
        what = f"the {curve.gap.replace('_', ' ')} is defined for no trial ({reason})"
        raise InputError(what, where="fair.strengths")
    best = curve.best(at_most, baseline=False)
    return Choice(best or min(points, key=lambda each: value_of(each, curve.gap, np.inf)), reached=best is not None)
