"""What is spent and what is left: steps are charged before they are taken, and never taken twice.

A checkpoint says how many steps are charged: those taken, and those that will be taken before the next checkpoint. A
run that is killed loses the steps since its last checkpoint, and they stay charged, for nobody can say who saw them. So
epsilon is that of an unbroken run whenever and however often a run was stopped; what a kill costs is at most 1 % of the
steps. Stopped by Ctrl-C, a run loses none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rai.errors import InputError
from rai.train.checkpoints import Keeper
from rai.train.loop import State
from rai.train.private.accounting import Phase, noise_for
from rai.train.settings import Private

AHEAD = 100
"""A checkpoint is written, and steps are charged, this many times a run."""
PROMISED = ("epsilon", "noise_multiplier", "delta", "sample_rate", "steps")


@dataclass(frozen=True)
class Budget:
    """Phases that are over, and the noise of the one that began at step `start` and goes on."""

    promise: Private
    noise_multiplier: float
    start: int = 0
    before: tuple[Phase, ...] = ()

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """All phases when so many steps are charged."""
        return (*self.before, Phase(self.noise_multiplier, self.promise.sample_rate, steps - self.start))

    def written(self) -> dict[str, Any]:
        """The budget as plain numbers, for a checkpoint."""
        return {
            "promise": {name: getattr(self.promise, name) for name in PROMISED},
            "noise_multiplier": self.noise_multiplier,
            "start": self.start,
            "before": [asdict(each) for each in self.before],
        }


def new_budget(promise: Private) -> Budget:
    """Return the budget of a run that begins: the noise that was given, or that the promised epsilon takes."""
    return Budget(promise, _noise(promise, promise.steps, ()))


def resumed_budget(promise: Private, written: Mapping[str, Any], charged: int) -> Budget:
    """Return the budget of a run that goes on after `charged` steps.

    A promise in the same words goes on with the same noise. In other words (more steps, another epsilon), the steps
    that are left get the noise with which all phases together keep it. Raises `InputError` where nothing is left.
    """
    before = tuple(Phase(**each) for each in written["before"])
    old, noise, start = written["promise"], written["noise_multiplier"], written["start"]
    if {name: getattr(promise, name) for name in PROMISED} == old:
        return Budget(promise, noise, start, before)
    if promise.steps <= charged:
        what = f"is {promise.steps}, and {charged} steps are charged"
        raise InputError(what, where="private.steps", do="take the model as it is, or promise more steps")
    closed = (*before, Phase(noise, old["sample_rate"], charged - start))
    return Budget(promise, _noise(promise, promise.steps - charged, closed), charged, closed)


@dataclass
class Charge:
    """Writes checkpoints that say what is charged, always before the steps that they speak of are taken."""

    budget: Budget
    charged: int = 0
    keeper: Keeper | None = None

    def written(self) -> dict[str, Any]:
        """What a checkpoint must say for the run to go on."""
        return {"charged": self.charged, "budget": self.budget.written()}

    def keep(self, state: State, now: bool) -> None:  # noqa: FBT001 - the loop's own protocol
        """Write a checkpoint when the charged steps are used up; at once, and charge no more, where the run ends."""
        if not now and state.step < self.charged:
            return
        steps = self.budget.promise.steps
        self.charged = state.step if now else min(state.step + max(1, steps // AHEAD), steps)
        if self.keeper is not None:
            self.keeper.keep(state, now=True)


def _noise(promise: Private, steps: int, before: tuple[Phase, ...]) -> float:
    if promise.epsilon is None:
        return promise.noise_multiplier or 0.0
    return noise_for(promise.epsilon, promise.delta, sample_rate=promise.sample_rate, steps=steps, before=before)
