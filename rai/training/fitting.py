"""One training: the network with fresh weights, or those of a file, moved by the plain loop, a private one or sites."""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rai.errors import InputError
from rai.subject import Data
from rai.train.settings import Federated
from rai.training.federating import accounts_of, with_holes, with_pooled
from rai.training.workshop import Workshop

if TYPE_CHECKING:
    from rai.train.loop import Watch
    from rai.train.trained import Trained

FEDERATION = ".federation"
"""The folder beside the model for what is sent to real sites and what comes back; it stays where that went wrong."""


@dataclass(frozen=True)
class Job:
    """What is trained, where its checkpoints go (nowhere where None), and who watches."""

    ready: Workshop
    checkpoint: Path | None = None
    resume: bool = False
    watch: "Watch | None" = None

    @property
    def origin(self) -> str:
        """SHA-256 of the file that the network begins with, "" where it begins afresh."""
        return self.ready.recipe.network.weights_sha256 or ""


def fitted(job: Job, data: Data | None = None) -> "Trained":
    """Train the card's network on its rows, or on `data`; raise `InputError` for settings that cannot be kept."""
    module = begun(job.ready)
    rows = job.ready.data if data is None else data
    if job.ready.recipe.federated is not None:
        return _federated(job, module, rows)
    if job.ready.recipe.private is None:
        return _plain(job, module, rows)
    return _private(job, module, rows)


def begun(ready: Workshop) -> Any:
    """Return the card's network before its first step: with fresh weights, or those of the recipe's file."""
    from rai.train.on_disk import fresh
    from rai.train.transfer import begin_with

    if ready.card.network is None:
        raise InputError("names no network", where="network", expected="network.kind")
    module = fresh(ready.card.network, ready.recipe.fit.seed)
    if ready.weights is not None:
        begin_with(ready.weights, module, replace_head=ready.recipe.network.replace_head)
    return module


def _plain(job: Job, module: Any, rows: Data) -> "Trained":
    """Training without noise, under a criterion where the recipe names one."""
    from rai.train import fit, fit_fair
    from rai.train.watching import watched

    recipe, task = job.ready.recipe, job.ready.card.task
    how: Any = fit if recipe.fair is None else partial(fit_fair, fair=recipe.fair)
    with watched(module, rows, task=task, settings=recipe.fit, monitor=recipe.monitor) as looks:
        found: Trained = how(
            module,
            rows,
            settings=recipe.fit,
            task=task,
            watch=job.watch,
            after_epoch=looks,
            checkpoint=job.checkpoint,
            resume=job.resume,
            origin=job.origin,
        )
    return replace(found, ledger=replace(found.ledger, warnings=(*found.ledger.warnings, *looks.warnings)))


def _federated(job: Job, module: Any, rows: Data) -> "Trained":
    """Training by sites that the rows are dealt out to, each with its promise to its rows where there is one."""
    from rai.train.federated import fit_federated

    ready = job.ready
    if ready.recipe.federated is not None and ready.recipe.federated.superlink:
        return _at_sites(job, module, ready.recipe.federated)
    found = fit_federated(
        module,
        rows,
        federated=ready.recipe.federated,
        settings=ready.recipe.fit,
        private=ready.recipe.private,
        task=ready.card.task,
        watch=job.watch,
        accounts=accounts_of(ready),
        described=ready.card.network,
        origin=job.origin,
    )
    return replace(found, ledger=with_pooled(found.ledger, ready))


def _at_sites(job: Job, module: Any, federated: Federated) -> "Trained":
    """Training by sites that keep their own files; rows of this side's own, if any, say how a row becomes numbers."""
    from rai.train.federated.at_sites import fit_at_sites
    from rai.train.federated.fitting import Aids
    from rai.train.federated.superlink import Link

    ready = job.ready
    folder = ready.out / FEDERATION
    shutil.rmtree(folder, ignore_errors=True)
    found = fit_at_sites(
        ready.card_here,
        Link(federated.superlink, ready.authority),
        folder,
        federated=replace(federated, clients=_sites_there(ready, federated)),
        settings=ready.recipe.fit,
        private=ready.recipe.private,
        module=module,
        aids=Aids(None, None, job.watch, None, "", job.origin),
    )
    shutil.rmtree(folder, ignore_errors=True)
    return replace(found, ledger=with_holes(found.ledger, ready))


def _sites_there(ready: Workshop, federated: Federated) -> int:
    """How many sites there are: of a rehearsal as many as rows of this side's own name, else as the recipe says."""
    named = ready.data.groups.get(federated.column or "")
    return federated.clients if named is None else len(named.levels)


def _private(job: Job, module: Any, rows: Data) -> "Trained":
    """Rows that are looked at without noise, for a comparison or for curves, are test rows: no promise is for them."""
    from rai.train.private import fit_private
    from rai.train.watching import watched

    recipe, task, test = job.ready.recipe, job.ready.card.task, job.ready.test
    compared = recipe.private is not None and recipe.private.compare
    looking = replace(recipe.fit, validation=0.0)
    with watched(module, test, task=task, settings=looking, monitor=recipe.monitor) as looks:
        return fit_private(
            module,
            rows,
            private=recipe.private,
            settings=recipe.fit,
            task=task,
            validation=test if compared else None,
            watch=job.watch,
            after_epoch=looks if recipe.monitor is not None else None,
            checkpoint=job.checkpoint,
            resume=job.resume,
            origin=job.origin,
        )
