"""What a model that was trained under a criterion is compared with, and the card that says so."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rai.errors import InputError
from rai.files import sha256
from rai.ledger import write_ledger
from rai.training.after import card_after, require_tellable
from rai.training.carding import card_text
from rai.training.fitting import Job, fitted
from rai.training.trying import Tried
from rai.training.workshop import BASELINE, CARD, Workshop

if TYPE_CHECKING:
    from rai.ledger import Mitigation
    from rai.train.trained import Trained


def require_comparable(ready: Workshop) -> None:
    """Raise `InputError` before any training where the files of a recipe with a criterion could not be written.

    That is where a card could not say what the model must be told of each row, and where a baseline of somebody else's
    would be written over.
    """
    fair, place = ready.recipe.fair, ready.out / BASELINE
    if fair is not None and fair.baseline and place.exists() and not _ours(place, ready):
        what = "is there already, and the model before mitigation would be written over it"
        raise InputError(what, where=place, do="give it another name, or choose another folder with --out")
    if fair is not None and fair.attribute_at_predict:
        require_tellable(ready.card, fair.sensitive or ready.card.data.sensitive, ready.data, ready.test)


def _ours(place: Path, ready: Workshop) -> bool:
    """Whether an earlier training left this file, and the network does not begin with it."""
    return place.with_suffix(".ledger.json").exists() and not (ready.weights and place.samefile(ready.weights))


def keep_baseline(job: Job) -> None:
    """Where the recipe names a criterion, train the same network without it; it waits with the other files."""
    from rai.train.on_disk import save

    ready = job.ready
    if ready.recipe.fair is None or not ready.recipe.fair.baseline:
        return
    bare = replace(ready, recipe=replace(ready.recipe, fair=None, monitor=None))
    file = ready.staging / BASELINE
    trained = fitted(Job(bare, watch=job.watch))
    save(trained.model, file)
    shutil.copyfile(ready.staging / CARD, file.with_suffix(".toml"))
    write_ledger(replace(trained.ledger, model=sha256(file)), file.with_suffix(".ledger.json"))


def recard(ready: Workshop, trained: "Trained") -> None:
    """Write the waiting card anew where training put the network together with others, or left a baseline."""
    told = trained.ledger.mitigation
    if told is None:
        return
    needed = {name: ready.data.groups[name].levels for name in told.needed_at_predict}
    card = card_after(ready.card, trained.model, needed)
    baseline = BASELINE if (ready.staging / BASELINE).exists() else None
    (ready.staging / CARD).write_text(card_text(replace(card, baseline=baseline)), encoding="utf-8")


def entered(told: "Mitigation | None", found: Tried) -> "Mitigation | None":
    """What the ledger says of the criterion, with all that was tried for it."""
    return None if told is None else replace(told, trials=found.trials, measured_on=found.measured_on)
