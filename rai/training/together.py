"""One training by several processes that torchrun started: who writes where, and what all of them used together."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rai.energy import Reading
from rai.errors import InputError
from rai.ledger import Ledger
from rai.training.recipe import Recipe

WHOLE_BATCH = ("adversarial", "gap_penalty")


@dataclass(frozen=True)
class Place:
    """Where a process puts its files: the first, or one that trains alone, in `out`; the others where they vanish."""

    recipe: Recipe
    out: Path
    first: bool = True


@dataclass(frozen=True)
class Spent:
    """What the meter says, and the ledger with the seconds that the training itself counted."""

    reading: Reading
    ledger: Ledger


def leading() -> bool:
    """Whether this process is the one that speaks: alone, or the first of those that torchrun started."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def placed(recipe: Recipe, out: Path) -> Iterator[Place]:
    """Meet the other processes, if there are any, and say where this one works.

    Torch is loaded here, so that no meter that is started later counts it. Raises `InputError` for what several
    processes cannot do together.
    """
    from rai.train.parallel import joined
    from rai.train.warm import warm

    if recipe.federated is not None and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError("is not shared among processes", where="federated", do="start it without torchrun")
    warm()
    with joined() as here:
        if here.size > 1:
            _require_shared(recipe)
        if here.first:
            yield Place(recipe, out)
            return
        with TemporaryDirectory() as own:
            yield Place(replace(recipe, monitor=None), Path(own), first=False)


def _require_shared(recipe: Recipe) -> None:
    """Several trainings part ways where they hang on what a process measures; a gap is one of the whole batch."""
    alone, fair = "start it without torchrun", recipe.fair
    if recipe.tries:
        where = "search" if recipe.search is not None else "fair.strengths"
        raise InputError("is not shared among processes", where=where, do=alone)
    if fair is not None and fair.method in WHOLE_BATCH:
        what = f"is {fair.method!r}, which compares groups in a whole batch, and each process sees a part of one"
        raise InputError(what, where="fair.method", do=alone)


def pooled(spent: Spent) -> Spent:
    """Add up what all processes used; every one of them must ask."""
    from rai.train.parallel import totals, world

    here, reading, ledger = world(), spent.reading, spent.ledger
    if here.size == 1:
        return spent
    joules, low, high, metered, counted = totals(
        [reading.joules, reading.low, reading.high, reading.cpu_seconds, ledger.cpu_seconds]
    )
    inputs = {**reading.inputs, "CPU seconds": metered, "processes": here.size}
    whole = replace(reading, joules=joules, low=low, high=high, cpu_seconds=metered, inputs=inputs)
    return Spent(whole, replace(ledger, cpu_seconds=counted))
