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

    Torch is loaded here, so that no meter that is started later counts it. Raises `InputError` for a search, whose runs
    would part ways where they hang on what a process measures.
    """
    from rai.train.parallel import joined
    from rai.train.warm import warm

    warm()
    with joined() as here:
        if here.size > 1 and recipe.search is not None:
            raise InputError("is not shared among processes", where="search", do="start it without torchrun")
        if here.first:
            yield Place(recipe, out)
            return
        with TemporaryDirectory() as own:
            yield Place(replace(recipe, monitor=None), Path(own), first=False)


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
