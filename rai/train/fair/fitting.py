"""The front door of training under a criterion of group fairness."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from rai.ledger import Ledger, Mitigation
from rai.train.batches import Rows
from rai.train.checks import require_settings
from rai.train.fair.checks import require_defined, require_fair, require_not_private
from rai.train.fair.job import Job
from rai.train.fair.sensitive import Marked, marked, marked_like
from rai.train.given import Given, parts_of, rows_given
from rai.train.loop import Watch
from rai.train.losses import Task
from rai.train.review import AfterEpoch
from rai.train.settings import Fair, Fit, Private
from rai.train.setup import copied, forked
from rai.train.trained import Trained

DEFAULTS = Fit(batch_size=512)
HOMES = {
    "adversarial": "adversarial",
    "gap_penalty": "penalties",
    "threshold": "thresholds",
    "reductions": "reductions",
    "reweighing": "reweighing",
}
USUAL = {"adversarial": 0.25, "gap_penalty": 1.0, "threshold": 1.0, "reductions": 1.0, "reweighing": 1.0}
"""The strength of a method where none is said."""


@dataclass(frozen=True)
class Asked:
    """What a caller said about rows: who is sensitive, the task, and rows to watch the criterion on."""

    sensitive: Any
    task: Task | None
    validation: Any


def fit_fair(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    network: nn.Module,
    data: Given,
    *,
    sensitive: Any = (),
    criterion: str | None = None,
    method: str | None = None,
    strength: float | None = None,
    fair: Fair | None = None,
    settings: Fit = DEFAULTS,
    task: Task | None = None,
    validation: Any = None,
    adversary: nn.Module | None = None,
    private: Private | None = None,
    watch: Watch | None = None,
    after_epoch: AfterEpoch | None = None,
    checkpoint: Path | str | None = None,
    resume: bool = False,
    made: str = "",
    origin: str = "",
) -> Trained:
    """Train a copy of the network so that a gap between groups is narrower; return it with its ledger.

    `sensitive` names columns of `data.groups` (all where empty), or holds who is in which group as fairlearn's
    `sensitive_features` do: an array, series, frame or mapping with a value a row. The network is never handed them,
    in training or later, but for `fair.attribute_at_predict`. `criterion`, `method` and `strength` go before those of
    `fair`, which holds the rest; see `Fair` for what a strength means and `USUAL` for where none is said.
    `validation` is data with the same groups, or (X, y, sensitive); without it, a share of the rows is held back by
    label and group. `adversary` is a network of one's own for "adversarial".

    After each epoch the ledger says accuracy and gaps on the rows held back, and with `settings.early_stopping` the
    epoch is kept whose gap is at most `fair.tolerance` and whose loss is smallest. Criteria look at groups within a
    batch, so its batches are larger by default: too few rows of a group in each, and noise is taken for a gap, of which
    the ledger warns. All else is as in `rai.train.fit`. Raises `InputError` for a word that makes no sense, an
    attribute with one level, a criterion that the task does not define, and for `private` where the method would break
    its promise.
    """
    said = {"criterion": criterion, "method": method, "strength": strength}
    chosen = _chosen(fair or Fair(), said)
    require_settings(settings)
    require_fair(chosen, adversary)
    require_not_private(chosen, private)
    aids: dict[str, Any] = {"watch": watch, "after_epoch": after_epoch, "checkpoint": checkpoint, "resume": resume}
    aids |= {"made": made, "origin": origin} | ({} if private is None else {"private": private})
    asked = Asked(chosen.sensitive if _nobody(sensitive) else sensitive, task, validation)
    marks, job = _job(network, data, asked, chosen, settings)
    trained = _method(chosen.method)(replace(job, adversary=adversary, aids=aids))
    return replace(trained, ledger=_told(trained.ledger, job.fair, marks))


def _chosen(fair: Fair, said: Mapping[str, Any]) -> Fair:
    """The settings with what was said besides, and the method's usual strength where there is none."""
    found = replace(fair, **{name: each for name, each in said.items() if each is not None})
    return replace(found, strength=USUAL.get(found.method)) if found.strength is None else found


def _nobody(sensitive: Any) -> bool:
    return sensitive is None or (isinstance(sensitive, str | tuple | list) and not sensitive)


def _job(network: nn.Module, data: Given, asked: Asked, fair: Fair, settings: Fit) -> tuple[Marked, Job]:
    """All rows with their groups, and the job: some of them to learn from, some held back."""
    module = copied(network)
    with forked(module):
        rows = rows_given(data, module, asked.task)
        require_defined(fair, rows.task)
        marks = marked(rows, asked.sensitive, intersections=fair.intersections)
        given = None if asked.validation is None else _validation(module, asked, marks)
    parts = parts_of(marks.rows, given, share=settings.validation, seed=settings.seed)
    named = replace(fair, sensitive=marks.names)
    return marks, Job(network, parts.train, marks.attributes, named, settings, held=parts.held)


def _validation(module: nn.Module, asked: Asked, marks: Marked) -> Rows:
    """The rows handed in to watch the criterion on, with the same codes as those to learn from."""
    given, who = asked.validation, None
    if isinstance(given, tuple | list) and len(given) == 3:
        given, who = tuple(given[:2]), given[2]
    return marked_like(rows_given(given, module, marks.rows.task), who, marks)


def _method(name: str) -> Callable[[Job], Trained]:
    """The function `train(job) -> Trained` of a method; its file is read when it is first asked for."""
    found: Callable[[Job], Trained] = import_module(f"rai.train.fair.{HOMES[name]}").train
    return found


def _told(ledger: Ledger, fair: Fair, marks: Marked) -> Ledger:
    """The ledger with what was aimed at, and with all the rows that were handed in."""
    by_method = ledger.mitigation
    mitigation = Mitigation(
        fair.criterion,
        marks.names,
        fair.method,
        fair.strength or 0.0,
        needed_at_predict=marks.names if fair.attribute_at_predict else (),
        details={} if by_method is None else by_method.details,
    )
    recipe = {**ledger.recipe, "fair": asdict(fair)}
    return replace(ledger, data=marks.rows.fingerprint, recipe=recipe, mitigation=mitigation)
