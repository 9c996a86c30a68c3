"""One training: the network with fresh weights, or those of a file, moved by the plain loop or by the private one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rai.errors import InputError
from rai.subject import Data
from rai.training.workshop import Workshop

if TYPE_CHECKING:
    from rai.train.loop import Watch
    from rai.train.trained import Trained


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
    from rai.train.on_disk import fresh
    from rai.train.transfer import begin_with

    network = job.ready.card.network
    if network is None:
        raise InputError("names no network", where="network", expected="network.kind")
    module = fresh(network, job.ready.recipe.fit.seed)
    if job.ready.weights is not None:
        begin_with(job.ready.weights, module, replace_head=job.ready.recipe.network.replace_head)
    rows = job.ready.data if data is None else data
    return _plain(job, module, rows) if job.ready.recipe.private is None else _private(job, module, rows)


def _plain(job: Job, module: Any, rows: Data) -> "Trained":
    from rai.train import fit
    from rai.train.watching import watched

    recipe, task = job.ready.recipe, job.ready.card.task
    with watched(module, rows, task=task, settings=recipe.fit, monitor=recipe.monitor) as looks:
        found = fit(
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
