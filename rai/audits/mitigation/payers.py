"""Who pays: the groups whose errors became more frequent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._lift import hidden, lift, undefined, withheld
from rai.audits.mitigation.gaps import WHEN, Change
from rai.audits.mitigation.pairs import Pair
from rai.evidence import Measurement
from rai.stats.changes import matched_difference, mcnemar
from rai.stats.proportions import proportion
from rai.stats.significance import holm
from rai.subject import Bools, Groups

ALARM = 0.05
"""Chance of any false alarm among the groups of an attribute: the level that Holm's correction keeps."""


@dataclass(frozen=True)
class Errors:
    """One kind of error: the rows it can befall, and those that it befell before and after."""

    name: str
    title: str
    among: Bools
    before: Bools
    after: Bools
    words: str
    facet: Mapping[str, str]


def error_changes(pair: Pair, groups: Groups) -> tuple[Change, ...]:
    """Rates of every kind of error in every group before and after; p of the change is adjusted by Holm over them."""
    return adjusted([_in_group(each, groups, level) for each in _kinds(pair) for level in range(len(groups.levels))])


def adjusted(plain: Sequence[Change]) -> tuple[Change, ...]:
    """The same changes, each p adjusted by Holm over all that have one."""
    tested = [place for place, each in enumerate(plain) if each.change.p is not None]
    after = dict(zip(tested, holm([plain[place].change.p or 0.0 for place in tested]).tolist(), strict=True))
    return tuple(_with_p(each, after.get(place)) for place, each in enumerate(plain))


def pays(change: Change) -> bool:
    """Whether this group's error became more frequent: its interval lies above 0, and p (Holm) is at most 0.05."""
    found = change.change
    return found.low is not None and found.p is not None and found.low > 0 and found.p <= ALARM


def payers(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Those that pay, the largest rise first."""
    return tuple(sorted((each for each in changes if pays(each)), key=lambda each: -(each.change.value or 0.0)))


def _with_p(change: Change, p: float | None) -> Change:
    return replace(change, change=replace(change.change, p=p))


def _kinds(pair: Pair) -> Sequence[Errors]:
    labels, classes = np.asarray(pair.after.data.labels), pair.after.card.classes
    ends = (np.asarray(pair.before.predicted), np.asarray(pair.after.predicted))
    wrong = [each != labels for each in ends]
    every = np.ones(len(labels), dtype=bool)
    found = [Errors("error_rate", "Error rate", every, wrong[0], wrong[1], "rows", {})]
    binary = pair.after.card.task == "binary"
    for place in [pair.after.positive] if binary else range(len(classes)):
        facet = {} if binary else {"class": classes[place]}
        chosen, actual = [each == place for each in ends], labels == place
        missed = ("false_negative_rate", "False-negative rate", actual, ~chosen[0], ~chosen[1], "positives", facet)
        alarms = ("false_positive_rate", "False-positive rate", ~actual, chosen[0], chosen[1], "negatives", facet)
        found += [Errors(*missed), Errors(*alarms)]
    return found


def _in_group(errors: Errors, groups: Groups, level: int) -> Change:
    among, name = errors.among & groups.mask(level), f"group_{errors.name}"
    facet = {"attribute": groups.name, **errors.facet, "group": groups.levels[level]}
    rows = int(among.sum())
    if rows == 0:
        none = [undefined(f"{name}_{when}", f"no {errors.words} in this group", facet=facet) for when in WHEN]
        return Change(name, errors.title, none[0], none[1], none[2])
    gained = int((errors.after & ~errors.before & among).sum())
    lost = int((errors.before & ~errors.after & among).sum())
    ends = [proportion(int((each & among).sum()), rows) for each in (errors.before, errors.after)]
    found = [lift(each, f"{name}_{when}", facet=facet, unit="share") for each, when in zip(ends, WHEN, strict=False)]
    return Change(name, errors.title, found[0], found[1], _moved(f"{name}_change", (gained, lost), rows, facet))


def _moved(name: str, moves: tuple[int, int], rows: int, facet: Mapping[str, str]) -> Measurement:
    found = lift(matched_difference(*moves, rows), name, facet=facet, unit="share", smallest=rows)
    return withheld(found) if hidden(rows) else replace(found, p=mcnemar(*moves))
