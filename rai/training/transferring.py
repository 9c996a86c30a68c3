"""Files beside the rows that a recipe names: the weights that it begins with, and a SuperLink's certificate."""

from dataclasses import replace
from pathlib import Path

from rai.errors import InputError
from rai.files import require_file, sha256
from rai.training.recipe import Recipe

PRIOR = "the weights began from {name}, and epsilon does not count what that file knows of these rows"
READ_BEFORE = "rows are read as {name} says, and epsilon does not count what that file knows of these rows"


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


def certificate_named(recipe: Recipe, path: Path) -> Path | None:
    """Return the certificate by which the SuperLink is known; raise `InputError` for a file that is not there."""
    named = None if recipe.federated is None else recipe.federated.certificate
    if named is None:
        return None
    return require_file(path.parent / named, do="name a PEM file in federated.certificate of the recipe")


def hole(recipe: Recipe) -> tuple[str, ...]:
    """What a promise of privacy leaves out where weights, or how rows are read, come from a file made before."""
    files = {PRIOR: recipe.network.weights, READ_BEFORE: recipe.data.card}
    return tuple(told.format(name=name) for told, name in files.items() if name is not None)
