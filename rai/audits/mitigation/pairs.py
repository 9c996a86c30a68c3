"""Two models on the same rows: which decisions each of them made, counted together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rai.audits._lift import large_enough
from rai.audits.fairness.criteria import CRITERIA, SELECTION, Criterion
from rai.models.baseline import Baseline
from rai.subject import Bools, Groups, Ints, Subject

NO_BASELINE = "no baseline model"
RIGHT = Criterion("accuracy", "Accuracy", (SELECTION,))
"""Of several classes a row is right or wrong: the share "selected" is the share right."""


@dataclass(frozen=True)
class Pair:
    """The model on trial and the one it was made to improve on, each a subject of its own."""

    before: Subject
    after: Subject


@dataclass(frozen=True)
class Decision:
    """One yes-or-no decision of two models: `counts` (groups, 2, 2, 2) of truth, before and after, in each group."""

    groups: Groups
    counts: Ints
    criteria: tuple[Criterion, ...]
    facet: Mapping[str, str] = field(default_factory=dict)

    @property
    def before(self) -> Ints:
        """Confusion cells (groups, 4) of the baseline."""
        return np.asarray(self.counts.sum(axis=3).reshape(-1, 4))

    @property
    def after(self) -> Ints:
        """Confusion cells (groups, 4) of the model on trial."""
        return np.asarray(self.counts.sum(axis=2).reshape(-1, 4))

    @property
    def alike(self) -> bool:
        """Whether both models decide alike on every row."""
        return not self.counts[:, :, 0, 1].any() and not self.counts[:, :, 1, 0].any()


def pair_of(subject: Subject) -> Pair | None:
    """The subject beside its baseline, which decides at its own threshold; None where there is no baseline."""
    model = subject.baseline
    if model is None:
        return None
    threshold = model.threshold if isinstance(model, Baseline) else subject.card.threshold
    return Pair(replace(subject, model=model, card=replace(subject.card, threshold=threshold)), subject)


def decisions(pair: Pair, groups: Groups) -> Iterator[Decision]:
    """The decision for the positive class; of several classes each against the rest, and right or wrong first."""
    large, facet, labels = large_enough(groups), {"attribute": groups.name}, pair.after.data.labels
    if pair.after.card.task == "binary":
        place = pair.after.positive
        counts = counted(np.asarray(labels == place), _chosen(pair, place), large)
        yield Decision(large, counts, CRITERIA, facet)
        return
    right = (pair.before.predicted == labels, pair.after.predicted == labels)
    yield Decision(large, counted(np.zeros(len(right[0]), dtype=bool), right, large), (RIGHT,), facet)
    several = tuple(each for each in CRITERIA if each.name != "accuracy")
    for place, name in enumerate(pair.after.card.classes):
        counts = counted(np.asarray(labels == place), _chosen(pair, place), large)
        yield Decision(large, counts, several, {**facet, "class": name})


def counted(actual: Bools, chosen: tuple[Bools, Bools], groups: Groups) -> Ints:
    """Rows by group, truth, decision before and decision after, shape (groups, 2, 2, 2); unknown groups left out."""
    known = groups.codes >= 0
    truth, before, after = (np.asarray(each, dtype=np.int64)[known] for each in (actual, *chosen))
    flat = 8 * groups.codes[known].astype(np.int64) + 4 * truth + 2 * before + after
    return np.bincount(flat, minlength=8 * len(groups.levels)).reshape(-1, 2, 2, 2)


def _chosen(pair: Pair, place: int) -> tuple[Bools, Bools]:
    return np.asarray(pair.before.predicted == place), np.asarray(pair.after.predicted == place)
