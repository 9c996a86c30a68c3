"""A federation rehearsed on this machine: a recipe's rows are dealt out, and each site's server keeps its own file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rai.errors import InputError
from rai.training.federating import ACCOUNTS
from rai.training.recipe import Recipe, naming, read_recipe
from rai.training.without_rows import require_train
from rai.training.workshop import workshop

if TYPE_CHECKING:
    from rai.train.federated.sites import Sites

SERVERS = "servers"


@dataclass(frozen=True)
class Rehearsal:
    """Servers that run: the SuperLink's address (HOST:PORT), the sites by name, and a check that raises `InputError`.

    `look` raises where one of the servers has stopped.
    """

    address: str
    sites: tuple[str, ...]
    look: Callable[[], None]


@contextmanager
def rehearsed(recipe: Path, folder: Path, *, warm: bool = True) -> Iterator[Rehearsal]:
    """Start a SuperLink and a SuperNode for each site while the block runs; sites' files of rows go at its end.

    The rows are dealt out as the recipe's `[federated]` says. Logs and sites'
    accounts of privacy stay in `folder`. Raises `InputError` for a recipe without sites, and for servers that do not
    start.
    """
    from rai.train.federated.deployment import nodes_of
    from rai.train.federated.superlink import rehearsal

    sites = _dealt(_with_sites(read_recipe(recipe)), recipe, folder)
    servers = folder / SERVERS
    try:
        with rehearsal(servers, nodes_of(sites, servers, folder / ACCOUNTS), warm=warm) as ready:
            yield Rehearsal(ready.link.address, sites.names, ready.require_running)
    finally:
        for path in servers.glob("site-*.npz"):
            path.unlink()


def _with_sites(recipe: Recipe) -> Recipe:
    if recipe.federated is None:
        raise InputError("names no sites", where="federated", expected="a table [federated]")
    return recipe


def _dealt(recipe: Recipe, path: Path, folder: Path) -> "Sites":
    """The rows of each site, as a training in one process would deal them out."""
    from rai.train.federated.sites import sites_of
    from rai.train.on_disk import fresh

    require_train(recipe, path)
    with workshop(recipe, path, folder) as ready, naming(path):
        if ready.card.network is None or recipe.federated is None:
            raise InputError("names no network", where="network", expected="network.kind")
        module = fresh(ready.card.network, recipe.fit.seed)
        return sites_of(ready.data, module, ready.card.task, recipe.federated, recipe.fit)
