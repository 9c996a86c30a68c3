"""A federated training by a recipe: where it runs, where sites keep accounts of their rows, what of them was pooled."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rai.errors import InputError
from rai.ledger import Federation, Ledger
from rai.train.settings import Federated, Runtime, Stress
from rai.training.recipe import Recipe
from rai.training.transferring import hole

if TYPE_CHECKING:
    from rai.training.workshop import Workshop

ACCOUNTS = "accounts"
"""The folder beside the model in which each site of a simulation keeps the account of its rows, over all trainings."""
POOLED = "read off the rows of all sites together; real sites would have to agree on it beforehand"


def run_on(recipe: Recipe, runtime: Runtime | None, superlink: str | None = None, *, stress: bool = False) -> Recipe:
    """Return the recipe with `runtime` and `superlink` in place of its own, where they are given.

    With `stress` a stress test is asked for where the recipe asks for none: one with usual settings.
    Raises `InputError` for a runtime that is said of a recipe without sites, and for a SuperLink that it does not join.
    """
    if recipe.federated is None:
        if stress:
            raise InputError("names no sites that could attack", where="federated", do="leave --stress out")
        if runtime is None and superlink is None:
            return recipe
        raise InputError("names no sites, so there is no runtime to choose", where="federated", do="leave it out")
    given = {"runtime": runtime, "superlink": superlink}
    chosen = replace(recipe.federated, **{name: each for name, each in given.items() if each is not None})  # type: ignore[arg-type]
    if chosen.superlink and chosen.runtime != "deployment":
        what = f"is given, and the runtime is {chosen.runtime!r}"
        raise InputError(what, where="federated.superlink", do="choose runtime 'deployment'")
    return replace(recipe, federated=_stressed(recipe, chosen, asked=stress))


def _stressed(recipe: Recipe, federated: Federated, *, asked: bool) -> Federated:
    """The table with the stress test that is asked for; raise `InputError` where there can be none."""
    chosen = replace(federated, stress=federated.stress or (Stress() if asked else None))
    if chosen.stress is not None:
        from rai.train.federated.job import require_stress

        require_stress(chosen, recipe.fit, recipe.private)
    return chosen


def accounts_of(ready: "Workshop") -> Path | None:
    """Where sites keep their accounts: beside the model, so that the next training on the same rows goes on from them.

    None where nothing is promised to rows.
    """
    return None if ready.recipe.private is None else ready.out / ACCOUNTS


def with_pooled(ledger: Ledger, ready: "Workshop") -> Ledger:
    """Return the ledger with what was read off the rows of all sites together, as only a simulation can.

    A promise to whole sites does not cover it.
    """
    told = "; ".join(each.partition(" were ")[0].partition(" was ")[0] for each in ready.read)
    pooled = (f"{told}: {POOLED}",) if told else ()
    return with_holes(replace(ledger, warnings=(*pooled, *ledger.warnings)), ready)


def with_holes(ledger: Ledger, ready: "Workshop") -> Ledger:
    """Return the ledger with what was read off rows here, or made before, named as outside the promise to sites."""
    if ledger.federation is None:
        return ledger
    more = (*ready.read, *hole(ready.recipe))
    return replace(ledger, federation=_uncovered(ledger.federation, more))


def _uncovered(federation: Federation, more: tuple[str, ...]) -> Federation:
    promise = federation.client_privacy
    if promise is None:
        return federation
    return replace(federation, client_privacy=replace(promise, waived=(*promise.waived, *more)))
