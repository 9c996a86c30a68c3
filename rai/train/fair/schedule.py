"""When a criterion begins to count: not while the network still learns the task, then more and more."""

from dataclasses import dataclass


def share_of_strength(epoch: int, warm_start: int, ramp: int) -> float:
    """Return the share of the strength, 0 to 1, that counts in an epoch (from 0).

    It is 0 for the first `warm_start` epochs, rises in equal steps over the next `ramp`, and is 1 from then on: with
    1 and 2 it is 0, 1/3, 2/3, 1, 1 …
    """
    return 0.0 if epoch < warm_start else min(1.0, (epoch - warm_start + 1) / (ramp + 1))


@dataclass
class Dial:
    """The strength that counts now; `turn`, called before each epoch, is all that changes it.

    It hangs on the epoch's number alone, so a run that goes on from a checkpoint needs nothing else to set it.
    """

    strength: float
    warm_start: int
    ramp: int
    now: float = 0.0

    def turn(self, epoch: int) -> None:
        """Set the strength of an epoch, from 0."""
        self.now = self.strength * share_of_strength(epoch, self.warm_start, self.ramp)
