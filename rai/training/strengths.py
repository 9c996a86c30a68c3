"""The strength of a criterion: tried with several seeds on rows held back, before the model itself is trained."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rai.ledger import Run, Trial
from rai.train.settings import Fair
from rai.training.fitting import begun
from rai.training.trying import Tried, parts_of
from rai.training.workshop import Workshop

if TYPE_CHECKING:
    from rai.train.fair.frontier import Frontier

SEEDS = 3
"""How many seeds each strength is tried with where the recipe gives strengths and no number."""
MEASURED = "training rows held back from these trials; the model itself learned from them too, and from no test row"
ALIKE = "; all seeds begin with the same weights"


def strengths_tried(ready: Workshop) -> Tried:
    """Make the trade-off curve that `[fair]` asks for, and keep the best of its strengths.

    The best is the one of highest accuracy whose mean gap is at most `fair.tolerance`, or else the one with the
    smallest gap, of which the ledger warns. Without `fair.strengths` nothing is chosen: the curve shows how far seeds
    differ. Every trial is entered as a run.
    """
    from rai.train.fair.fitting import USUAL
    from rai.train.fair.frontier import frontier
    from rai.train.fair.points import BASELINE

    fair = ready.recipe.fair
    if fair is None or not fair.tries:
        return Tried(ready)
    parts = parts_of(ready)
    own = USUAL[fair.method] if fair.strength is None else fair.strength
    curve = frontier(
        begun(ready),
        parts.learn,
        sensitive=fair.sensitive,
        test=parts.held,
        criterion=fair.criterion,
        methods=(BASELINE, fair.method),
        strengths={fair.method: fair.strengths or (own,)},
        seeds=fair.seeds or SEEDS,
        settings=ready.recipe.fit,
        fair=fair,
        task=ready.card.task,
    )
    runs = tuple(map(run_of, curve.trials))
    alike = ALIKE if ready.recipe.fit.initialization == "default" else ""
    found = Tried(ready, runs, trials=curve.trials, measured_on=f"{MEASURED}{alike}")
    return _kept(found, fair, curve) if fair.strengths else found


def _kept(found: Tried, fair: Fair, curve: "Frontier") -> Tried:
    """The best strength goes into the recipe, and what is to be known of it into the warnings."""
    from rai.train.fair.choice import chosen

    choice = chosen(curve, fair.tolerance)
    recipe = replace(found.ready.recipe, fair=replace(fair, strength=choice.point.strength))
    best = f"the strength is the best of {len(fair.strengths)} on rows held back: the numbers of its trials flatter it"
    warnings = (best, *choice.warnings(fair.tolerance))
    return replace(found, ready=replace(found.ready, recipe=recipe), warnings=warnings)


def run_of(trial: Trial) -> Run:
    """Return a trial as a ledger counts it among the runs on the same rows."""
    settings = {"fair.method": trial.method, "fair.strength": trial.strength, "fit.seed": trial.seed}
    return Run(settings, trial.values)
