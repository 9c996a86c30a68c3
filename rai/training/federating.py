"""A federated training by a recipe: where it runs, where sites keep accounts of their rows, what of them was pooled."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rai.errors import InputError
from rai.ledger import Federation, Ledger
from rai.training.recipe import Recipe
from rai.training.transferring import hole

if TYPE_CHECKING:
    from rai.training.workshop import Workshop

ACCOUNTS = "accounts"
"""The folder beside the model in which each site of a simulation keeps the account of its rows, over all trainings."""
NOT_YET: Mapping[str, str] = {
    "ray": "which rai does not start yet; Flower's own simulation on Ray is pip install 'flwr[simulation]'",
}
POOLED = "read off the rows of all sites together, and real sites would have to agree on it beforehand"


Runtime = Literal["local", "ray", "deployment"]


def run_on(recipe: Recipe, runtime: Runtime | None, superlink: str | None = None) -> Recipe:
    """Return the recipe with `runtime` and `superlink` in place of its own, where they are given.

    Raises `InputError` for a runtime that does not run recipes, and for one said of a recipe without sites.
    """
    if recipe.federated is None:
        if runtime is None and superlink is None:
            return recipe
        raise InputError("names no sites, so there is no runtime to choose", where="federated", do="leave it out")
    given = {"runtime": runtime, "superlink": superlink}
    chosen = replace(recipe.federated, **{name: each for name, each in given.items() if each is not None})  # type: ignore[arg-type]
    if chosen.runtime in NOT_YET:
        what = f"is {chosen.runtime!r}, {NOT_YET[chosen.runtime]}"
        raise InputError(what, where="federated.runtime", do="choose 'local'")
    if chosen.superlink and chosen.runtime != "deployment":
        what = f"is given, and the runtime is {chosen.runtime!r}"
        raise InputError(what, where="federated.superlink", do="choose runtime 'deployment'")
    return replace(recipe, federated=chosen)


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
    pooled = (f"{POOLED}: {told}",) if told else ()
    federation = ledger.federation
    if federation is not None:
        federation = _uncovered(federation, (*ready.read, *hole(ready.recipe)))
    return replace(ledger, warnings=(*pooled, *ledger.warnings), federation=federation)


def _uncovered(federation: Federation, more: tuple[str, ...]) -> Federation:
    promise = federation.client_privacy
    if promise is None:
        return federation
    return replace(federation, client_privacy=replace(promise, waived=(*promise.waived, *more)))
