"""How sites say how groups fare: whole numbers that add up, so that the sum over sites is exact.

Averages of sites' rates are wrong where sites differ in size or lack a group; sums of true and false positives and
negatives are not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rai.errors import InputError
from rai.stats.confusion import CELLS, binary_counts
from rai.subject import Groups

Four = tuple[int, int, int, int]
Counts = dict[str, dict[str, Four]]
GAPS = ("demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference")
WHERE = "counts of groups"


def group_counts(labels: Any, predicted: Any, groups: Mapping[str, Groups], *, positive: int = 1) -> Counts:
    """Return true negatives, false positives, false negatives and true positives of each level of each attribute.

    `labels` and `predicted` (rows,) are class positions; of several classes `positive` is counted against all the rest.
    Every declared level is there, with zeros where a site has none of its rows, so that what a site sends never tells
    by its shape who is missing. Rows of unknown level are not counted. Regression has no such counts.
    """
    true, yes = (np.asarray(each).reshape(-1) == positive for each in (labels, predicted))
    return {name: _per_level(true, yes, group) for name, group in groups.items()}


def _per_level(true: Any, yes: Any, group: Groups) -> dict[str, Four]:
    many = binary_counts(true, yes, group.codes, len(group.levels))
    return {level: _four(four) for level, four in zip(group.levels, many, strict=True)}


def _four(cells: Any) -> Four:
    tn, fp, fn, tp = (int(each) for each in cells)
    return tn, fp, fn, tp


def summed(every: Sequence[Mapping[str, Mapping[str, Four]]]) -> Counts:
    """Return the counts of all sites together; nothing where there are none.

    Raises `InputError` where two sites do not count the same attributes and levels.
    """
    if not every:
        return {}
    first = every[0]
    for place, each in enumerate(every):
        if _keys(each) != _keys(first):
            raise InputError(f"site {place + 1} counts other levels than the first", where=WHERE, expected="the same")
    return {
        name: {level: _four(np.sum([each[name][level] for each in every], axis=0)) for level in levels}
        for name, levels in first.items()
    }


def _keys(counts: Mapping[str, Mapping[str, Four]]) -> dict[str, set[str]]:
    return {name: set(levels) for name, levels in counts.items()}


def flat(counts: Mapping[str, Mapping[str, Four]]) -> dict[str, float]:
    """Return the counts as one number a key, as Flower's metric records hold them; `nested` turns them back."""
    return {
        json.dumps([name, level, cell]): float(many)
        for name, levels in counts.items()
        for level, four in levels.items()
        for cell, many in zip(CELLS, four, strict=True)
    }


def nested(metrics: Mapping[str, Any]) -> Counts:
    """Return the counts that `flat` laid out; other numbers of the same record, such as a loss, are passed over.

    Raises `InputError` for a count that is no whole number of 0 or more, and where one of a level's four is missing.
    """
    found: dict[str, dict[str, dict[str, int]]] = {}
    for key, many in metrics.items():
        if key.startswith("["):
            name, level, cell = _named(key)
            found.setdefault(name, {}).setdefault(level, {})[cell] = _whole(key, many)
    return {name: {level: _all_four(cells) for level, cells in levels.items()} for name, levels in found.items()}


def _named(key: str) -> list[str]:
    try:
        parts = json.loads(key)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or len(parts) != 3 or not all(isinstance(each, str) for each in parts):
        raise InputError(f"{key[:60]!r} names no count", where=WHERE, expected='["attribute", "level", "tp"]')
    return parts


def _whole(key: str, many: Any) -> int:
    if not isinstance(many, int | float) or not 0 <= many < 2**53 or many != int(many):
        raise InputError(f"{key[:200]} is {many!r}", where=WHERE, expected="a whole number, 0 or more")
    return int(many)


def _all_four(cells: Mapping[str, int]) -> Four:
    if set(cells) != set(CELLS):
        raise InputError(f"has {', '.join(sorted(cells))}", where=WHERE, expected="tn, fp, fn and tp of each level")
    return _four([cells[each] for each in CELLS])


def gaps_of(counts: Mapping[str, Mapping[str, Four]]) -> dict[str, float]:
    """Return accuracy and how far apart groups are treated, by fairlearn's names, each the largest over attributes.

    A level without a row that a rate is a share of is left out, and a gap between fewer than two levels does not exist.
    Accuracy is that of the attribute which is known of the most rows.
    """
    per = [gaps_of_attribute(levels) for levels in counts.values()]
    gaps = {name: max(each[name] for each in per if name in each) for name in GAPS if any(name in each for each in per)}
    fours = [np.sum(list(levels.values()), axis=0) for levels in counts.values() if levels]
    most = max(fours, key=lambda four: int(four.sum()), default=np.zeros(4, dtype=np.int64))
    return ({"accuracy": float((most[0] + most[3]) / most.sum())} if most.sum() else {}) | gaps


def gaps_of_attribute(levels: Mapping[str, Four]) -> dict[str, float]:
    """Return the three gaps of one attribute, those that are defined."""
    return dict(_gaps(list(levels.values())))


def _gaps(fours: Sequence[Four]) -> Iterator[tuple[str, float]]:
    rates = _gap([(fp + tp, tn + fp + fn + tp) for tn, fp, fn, tp in fours])
    hits = _gap([(tp, fn + tp) for _, _, fn, tp in fours])
    alarms = _gap([(fp, tn + fp) for tn, fp, _, _ in fours])
    odds = None if hits is None or alarms is None else max(hits, alarms)
    yield from ((name, each) for name, each in zip(GAPS, (rates, odds, hits), strict=True) if each is not None)


def _gap(shares: Sequence[tuple[int, int]]) -> float | None:
    rates = [part / whole for part, whole in shares if whole]
    return max(rates) - min(rates) if len(rates) > 1 else None
