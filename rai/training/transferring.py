"""The file of weights that a recipe begins with: where it is, and which file it was."""

from dataclasses import replace
from pathlib import Path

from rai.errors import InputError
from rai.files import require_file, sha256
from rai.training.recipe import Recipe

PRIOR = "the weights began from {name}, and epsilon does not count what that file knows of these rows"


def weights_named(recipe: Recipe, path: Path, model: Path) -> tuple[Recipe, Path | None]:
    """Return the recipe with the SHA-256 of the file it begins with, and that file; None where it begins afresh.

    `model` is where the trained weights will be written. Raises `InputError` for a file that is not there, that is not
    the one the recipe means, or that would be written over.
    """
    named = recipe.network.weights
    if named is None:
        return recipe, None
    file = path.parent / named
    require_file(file, do="name a file of weights in network.weights of the recipe")
    if file.resolve() == model.resolve():
        what = "key network.weights names the file that the trained model would be written over"
        raise InputError(what, where=path, do="choose another folder with --out")
    found = sha256(file)
    if recipe.network.weights_sha256 not in (None, found):
        what = f"has SHA-256 {found[:12]}…"
        raise InputError(what, where=file, expected=f"{recipe.network.weights_sha256}, as the recipe says")
    return replace(recipe, network=replace(recipe.network, weights_sha256=found)), file


def hole(recipe: Recipe) -> tuple[str, ...]:
    """What a promise of privacy leaves out where the network begins with weights from a file."""
    named = recipe.network.weights
    return () if named is None else (PRIOR.format(name=named),)
