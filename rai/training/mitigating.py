"""From a trained model to one with a narrower gap: files in, and beside one another the baseline and what was made."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rai.card import Card, Head, Network, TextInput, read_card
from rai.energy import Meter, account
from rai.errors import InputError
from rai.files import ENDED, require_file, sha256
from rai.intake import Case, Choices, from_files
from rai.ledger import Ledger, Mitigation, ledger_file, write_ledger
from rai.subject import Data, Subject
from rai.train.settings import Fit
from rai.training.after import card_after
from rai.training.carding import card_text
from rai.training.earlier import counted, ledger_before
from rai.training.workshop import CARD, CHECKPOINT, MODEL, put, require_ours, settle, staged

if TYPE_CHECKING:
    from rai.train.fair.afterwards import Aim, Chosen

BASELINE, OWN = "baseline", "model.ledger.json"
"""Both models of the folder may have a ledger, so each bears the name of its model."""
SETTINGS = Fit(epochs=15, batch_size=256, learning_rate=3e-3, schedule="cosine", weight_decay=1e-4)
"""How networks learn here: those that tell groups apart, and the model itself where it learns further."""
NOT_PRIVATE = "the baseline's promise of privacy does not hold for this model: rows were read again without noise"
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Mitigated:
    """The files that were written, in a few lines what was chosen, and whether its gap is as small as was asked."""

    model: Path
    card: Path
    ledger: Path
    baseline: Path
    summary: tuple[str, ...]
    reached: bool


@dataclass(frozen=True)
class Base:
    """A trained model with its card and the network that the card names, and the subject it is on trial."""

    file: Path
    card: Card
    network: Network
    case: Case

    @property
    def subject(self) -> Subject:
        """The model with its rows."""
        return self.case.subject

    @property
    def copy(self) -> str:
        """What the model is called beside the one that is made from it."""
        return f"{BASELINE}{self.file.suffix}"

    @property
    def ledger(self) -> Path | None:
        """The file of its own ledger, if there is one."""
        return ledger_file(self.file)


def mitigate(
    model: Path, aim: "Aim", *, out: Path | None = None, tell: Tell = lambda _done, _of, _what: None
) -> Mitigated:
    """Find the trade-off curve of a model whose card names its network, and write the chosen point as a model.

    `out` (by default the folder `mitigated` beside the model) receives `model.pt`, its card and ledger, and as
    `baseline.pt` the model as it was, with its card, so that an audit compares the two. Learns from the reference rows
    of the card alone; test rows stay unseen. Raises `InputError` for what is wrong, before anything is written.
    """
    from rai.train.fair.afterwards import require_aim

    require_aim(aim)
    folder = out or model.parent / "mitigated"
    _require_free(folder, model)
    before = ledger_before(folder, OWN)
    base = _base(model, aim.seed)
    with Meter() as meter:
        chosen = _chosen(base, aim, tell)
    found = replace(_ledger(base, chosen, aim), energy=account(meter.read()))
    whole = counted(found, before)
    ledger = whole if whole.runs else counted(found, base.subject.ledger)
    with staged(folder) as staging:
        _write(staging, folder, base, chosen, ledger)
        (folder / f"{BASELINE}.ledger.json").unlink(missing_ok=True)  # of an earlier baseline, which may have had one
        put(staging, folder)
    paths = (folder / MODEL, folder / CARD, folder / OWN, folder / base.copy)
    return Mitigated(*paths, _lines(chosen, aim), chosen.choice.reached)


def _require_free(folder: Path, model: Path) -> None:
    """Nothing of anybody else's is written over; what an earlier call had ready is put in place first."""
    if folder.resolve() == model.parent.resolve():
        raise InputError("is the model's own folder", where=folder, do="choose another folder with --out")
    if (folder / ENDED).exists():
        settle(folder)
    require_ours(folder, ledger=OWN, command="rai mitigate")
    before = folder / f"{BASELINE}{model.suffix}"
    if before.exists() and not (folder / OWN).exists():
        raise InputError("is there already", where=before, do="choose another folder with --out")
    if (folder / CHECKPOINT).exists():
        what = "is of an interrupted training"
        raise InputError(what, where=folder / CHECKPOINT, do="choose another folder with --out")


def _base(model: Path, seed: int) -> Base:
    """Read card and model, and require that the card names a network that stands alone."""
    path = model.with_suffix(".toml")
    require_file(model, do="name the model file")
    card = read_card(path)
    if card.network is None:
        do = "name the network in [network], or mitigate while training with [fair] in a recipe"
        raise InputError("key network is missing", where=path, do=do)
    if card.network.parts:
        what = f"key network.kind is {card.network.kind!r}, which was made from other networks"
        raise InputError(what, where=path, do="mitigate the model that it was made from (its baseline)")
    return Base(model, card, card.network, from_files(model, Choices(seed=seed)))


def _chosen(base: Base, aim: "Aim", tell: Tell) -> "Chosen":
    from rai.train.fair.afterwards import chosen_for
    from rai.train.fair.seen import Reading
    from rai.train.given import rows_given
    from rai.train.on_disk import fresh
    from rai.train.transfer import begin_with

    card = base.card
    module = fresh(base.network, aim.seed)
    begin_with(base.file, module)
    reading = Reading(base.subject.model.head, card.threshold if card.task == "binary" else 0.5)
    rows = rows_given(_learned(base), module.eval(), card.task)
    return chosen_for(module, rows, aim, reading=reading, settings=SETTINGS, tell=tell)


def _learned(base: Base) -> Data:
    """The reference rows, their labels such that the model's one number speaks of class 1."""
    rows, path, subject = base.subject.reference, base.file.with_suffix(".toml"), base.subject
    if rows is None or rows.labels is None:
        do = "name the rows that the model learned from"
        raise InputError("names no reference rows with labels", where=path, expected="data.reference", do=do)
    if not rows.groups:
        raise InputError("names no sensitive columns", where=path, expected="data.sensitive", do="name who is compared")
    if base.card.task != "binary" or subject.positive == 1:
        return rows
    if subject.model.head not in {Head.LOGIT, Head.PROBABILITY}:
        do = "name the second class as positive"
        raise InputError("key positive names the first of two outputs", where=path, do=do)
    return replace(rows, labels=np.asarray(1 - rows.labels, dtype=np.int64))


def _ledger(base: Base, chosen: "Chosen", aim: "Aim") -> Ledger:
    """The account of the mitigation; the baseline keeps the ledger of its own training."""
    from rai.train.fair.afterwards import MEASURED

    ledger, before, reference = chosen.trained.ledger, base.subject.ledger, base.subject.reference
    promised = before is not None and before.privacy is not None
    mitigation = Mitigation(
        aim.criterion,
        chosen.sensitive,
        aim.method,
        chosen.choice.point.strength,
        trials=chosen.curve.trials,
        measured_on=MEASURED,
        details={} if ledger.mitigation is None else ledger.mitigation.details,
    )
    return replace(
        ledger,
        made=time.strftime("%Y-%m-%d"),
        data=replace(ledger.data, file="" if reference is None else reference.source.sha256),
        recipe={"mitigate": asdict(aim), "fit": asdict(SETTINGS)},
        parameters=sum(each.numel() for each in chosen.trained.model.parameters()),
        warnings=(*ledger.warnings, *((NOT_PRIVATE,) if promised else ()), *chosen.choice.warnings(aim.at_most)),
        mitigation=mitigation,
    )


def _write(staging: Path, out: Path, base: Base, chosen: "Chosen", ledger: Ledger) -> None:
    """Put all files where they wait: the baseline as it is, the cards with paths that hold in `out`."""
    from rai.train.on_disk import save

    shutil.copyfile(base.file, staging / base.copy)
    if base.ledger is not None:
        shutil.copyfile(base.ledger, staging / f"{BASELINE}.ledger.json")
    moved = _moved(base.card, base.file.parent, out)
    (staging / f"{BASELINE}.toml").write_text(card_text(moved), encoding="utf-8")
    name = f"{base.subject.name}-mitigated"
    own = replace(moved, name=name, head=base.subject.model.head)
    made = replace(card_after(own, chosen.trained.model), baseline=base.copy)
    (staging / CARD).write_text(card_text(made), encoding="utf-8")
    save(chosen.trained.model, staging / MODEL)
    write_ledger(replace(ledger, model=sha256(staging / MODEL)), staging / OWN)


def _moved(card: Card, before: Path, after: Path) -> Card:
    """The card with its files named as they are seen from another folder."""

    def seen(name: str | None) -> str | None:
        return None if name is None else Path(os.path.relpath(before.resolve() / name, after.resolve())).as_posix()

    files = replace(card.data, test=seen(card.data.test), reference=seen(card.data.reference))
    given: Any = card.input
    if isinstance(given, TextInput):
        given = replace(given, vocabulary=str(seen(given.vocabulary)))
    return replace(card, data=files, input=given, baseline=None)


def _lines(chosen: "Chosen", aim: "Aim") -> tuple[str, ...]:
    from rai.train.fair.afterwards import MEASURED

    words = f"chosen: {chosen.choice.told(chosen.curve)} on {MEASURED}"
    return (*repr(chosen.curve).splitlines(), words, *chosen.choice.warnings(aim.at_most))
