"""A search: several recipes tried on the same rows, each entered as a run, and the best of them kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rai.energy import Meter
from rai.errors import InputError
from rai.ledger import Run, Trial
from rai.models import bare
from rai.subject import Bools, Data, Groups, decisions, probabilities
from rai.train import splits
from rai.train.settings import Search
from rai.training.fitting import Job, fitted
from rai.training.recipe import recipe_of
from rai.training.workshop import Workshop, rebuilt

LEAST_HELD = 0.15
FEWEST = 10
"""Groups of fewer held rows say nothing about a gap."""
JOULES = 3.6e6
HELD = "the best run was chosen by rows that no noise was added to"


@dataclass(frozen=True)
class Tried:
    """What is trained in the end, and the runs before it. `holes` are what a promise of privacy does not cover.

    `trials` are runs at several strengths of a criterion, and `measured_on` says which rows they were measured on.
    """

    ready: Workshop
    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True)
class Parts:
    """Training rows dealt out by label and group: those that every run learns from, and those it is measured by."""

    learn: Data
    held: Data


def tried(ready: Workshop, path: Path) -> Tried:
    """Try what `[search]` says; without it, what is trained is what the recipe says.

    Each run learns from the same rows, and is measured by the same others: quality is the share of right answers (of a
    regression, of the variance explained), `group_gap` the largest difference of it between groups. Raises `InputError`
    for a search that means nothing.
    """
    from rai.train.search import searched

    settings = ready.recipe.search
    if settings is None:
        return Tried(ready)
    _require_measurable(ready, settings)
    parts, seed = parts_of(ready), ready.recipe.fit.seed
    found = searched(lambda values: _run(_placed(ready, values, path), values, parts), settings, seed=seed)
    return Tried(_placed(ready, found.best.settings, path), found.runs, _told(found.runs), _holes(ready, found.runs))


def parts_of(ready: Workshop) -> Parts:
    """Deal out the training rows; those held back have the groups that are compared, and no others."""
    seed, share = ready.recipe.fit.seed, max(ready.recipe.fit.validation, LEAST_HELD)
    labels, groups = np.asarray(ready.data.labels), _sensitive(ready)
    found = splits.split(splits.strata(labels, groups), share, seed)
    return Parts(ready.data.take(found.kept), replace(ready.data, groups=groups).take(found.held))


def _require_measurable(ready: Workshop, settings: Search) -> None:
    if "group_gap" in settings.objectives and not _sensitive(ready):
        raise InputError("names group_gap", where="search.objectives", do="name sensitive columns in data.sensitive")
    if "epsilon" in settings.objectives and ready.recipe.private is None:
        raise InputError("names epsilon", where="search.objectives", do="add a table [private]")


def _sensitive(ready: Workshop) -> Mapping[str, Groups]:
    """The groups that are compared: not those that are protected only."""
    return {name: ready.data.groups[name] for name in ready.recipe.data.sensitive}


def _placed(ready: Workshop, values: Mapping[str, Any], path: Path) -> Workshop:
    from rai.train.search import placed

    return rebuilt(ready, recipe_of(placed(asdict(ready.recipe), values), path))


def _run(ready: Workshop, values: Mapping[str, Any], parts: Parts) -> Run:
    with Meter(watts=ready.recipe.energy.watts, gpus=ready.recipe.fit.device != "cpu") as meter:
        trained = fitted(Job(ready), parts.learn)
    promise = trained.ledger.privacy
    results = {**_results(ready, trained.model, parts.held), "energy": meter.read().joules / JOULES}
    return Run(dict(values), results, None if promise is None else promise.epsilon)


def _results(ready: Workshop, model: Any, held: Data) -> dict[str, float]:
    """Quality of the model on the held rows, and where there are groups the largest gap between two of them."""
    scores = bare(model, held.inputs[:1], tokens=held.kind == "text").scores(held.inputs)
    labels, card = np.asarray(held.labels), ready.card
    chances = None if card.head is None else probabilities(card.head, scores)
    if chances is None:
        spread = float(np.var(labels)) or 1.0
        worth = 1.0 - (scores[:, 0] - labels) ** 2 / spread
    else:
        worth = np.asarray(decisions(chances, 1, card.threshold) == labels, dtype=np.float64)
    found = (_gap(worth, [each.mask(i) for i in range(len(each.levels))]) for each in held.groups.values())
    gaps = [each for each in found if each is not None]
    return {"quality": float(worth.mean()), **({"group_gap": max(gaps)} if gaps else {})}


def _gap(worth: Any, masks: list[Bools]) -> float | None:
    means = [float(worth[mask].mean()) for mask in masks if np.count_nonzero(mask) >= FEWEST]
    return max(means) - min(means) if len(means) > 1 else None


def _told(runs: tuple[Run, ...]) -> tuple[str, ...]:
    return (f"the settings are the best of {len(runs)} runs on the same rows: the quality of that run is flattering",)


def _holes(ready: Workshop, runs: tuple[Run, ...]) -> tuple[str, ...]:
    """What a promise for the last training alone leaves out."""
    from rai.train.search import spent

    if ready.recipe.private is None:
        return ()
    total = spent(runs)
    added = "" if total is None else f"; theirs add up to {total:.3g} (basic composition)"
    return (f"{len(runs)} runs of tuning looked at the same rows, and epsilon does not count them{added}", HELD)
