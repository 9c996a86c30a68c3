"""Columns that tell rows apart by whose they are: groups that a private recipe protects together, and sites."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rai.data.cells import Raw, show
from rai.data.groups import every_level
from rai.errors import InputError
from rai.subject import UNKNOWN, Groups
from rai.training.recipe import Recipe

GROUP = "group:"
ASKS = "private.unit in the recipe"
SITES = "federated.column in the recipe"
EACH = {ASKS: "group", SITES: "site"}


def owners(recipe: Recipe) -> Mapping[str, str]:
    """The columns that say whose a row is, and by which key of the recipe; none where each row stands for itself."""
    unit = "" if recipe.private is None else recipe.private.unit
    found = {unit.removeprefix(GROUP): ASKS} if unit.startswith(GROUP) else {}
    if recipe.federated is not None and recipe.federated.partition == "column":
        found[recipe.federated.column or ""] = SITES
    return found


def protected(recipe: Recipe, beside: Raw, path: Path) -> Mapping[str, Groups]:
    """The groups of training rows of one owner, by the column that names the owner; there may be any number of them.

    Raises `InputError`, naming the file at `path`, where there is one owner only, and where a row names no site.
    """
    return {column: _owned(beside, column, asks, path) for column, asks in owners(recipe).items()}


def _owned(beside: Raw, column: str, asks: str, path: Path) -> Groups:
    found, named = every_level(beside.cells(column)), f"column {show(column)}, named by {asks},"
    if len(found.levels) < 2:
        do = "name another column"
        raise InputError(
            f"{named} holds one {EACH[asks]} only", where=path, expected=f"at least two {EACH[asks]}s", do=do
        )
    empty = int(np.count_nonzero(found.codes == UNKNOWN))
    if asks == SITES and empty:
        raise InputError(
            f"{named} is empty in {empty:,} rows", where=path, do="leave such rows out, or name their site"
        )
    return found
