"""Who is in which group: from names of columns, or arrays and frames, to codes that a training criterion reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import UNKNOWN, Groups, cross
from rai.train.batches import Rows
from rai.train.fair.job import Attribute

WHERE = "sensitive"
MOST_LEVELS = 50
NOT_THERE = {"NoneType", "NAType", "NaTType"}


@dataclass(frozen=True)
class Marked:
    """Rows whose `sensitive` codes (rows, attributes) belong to `attributes`; `names` are those of single columns."""

    rows: Rows
    attributes: tuple[Attribute, ...]
    names: tuple[str, ...]


def marked(rows: Rows, sensitive: Any = (), *, intersections: bool = False) -> Marked:
    """Return the rows with the codes of whoever is sensitive, -1 where that is unknown.

    `sensitive` names columns of the rows' groups (all of them where it is empty), or is what fairlearn takes as
    `sensitive_features`: an array (rows,) or (rows, attributes), a series, a frame, or a mapping from names to arrays.
    With `intersections`, all combinations of several attributes that occur make up one attribute more. Raises
    `InputError` for a name or a length that does not fit, and for an attribute with one level only, or more than 50.
    """
    single = groups_of(rows, sensitive)
    for each in single:
        _require_levels(each)
    found = (*single, reduce(cross, single)) if intersections and len(single) > 1 else single
    attributes = tuple(Attribute(each.name, each.levels) for each in found)
    return Marked(_with_codes(rows, single, found), attributes, tuple(each.name for each in single))


def marked_like(rows: Rows, sensitive: Any, other: Marked) -> Rows:
    """Return further rows, such as those held back, with codes of the attributes of `other`; new levels are unknown.

    `sensitive` None takes the rows' own groups. Raises `InputError` for an attribute that nothing is said of.
    """
    known = rows.groups if sensitive is None else {each.name: each for each in groups_of(rows, sensitive)}
    missing = next((name for name in other.names if name not in known), None)
    if missing is not None:
        raise InputError(f"says nothing of {missing!r}", where="validation", do="give it as the third of (X, y, who)")
    single = tuple(known[name] for name in other.names)
    every = (*single, reduce(cross, single))[: len(other.attributes)]
    found = tuple(_recoded(group, each.levels) for group, each in zip(every, other.attributes, strict=True))
    return _with_codes(rows, single, found)


def groups_of(rows: Rows, sensitive: Any = ()) -> tuple[Groups, ...]:
    """Return the sensitive attributes one by one, each with a code a row; see `marked` for what can be handed in."""
    names = _names(rows, sensitive)
    if names is not None:
        return tuple(rows.groups[name] for name in names)
    found = tuple(_groups(name, values) for name, values in _columns(sensitive))
    for each in found:
        if len(each.codes) != len(rows):
            what = f"{each.name} has {len(each.codes):,} values for {len(rows):,} rows"
            raise InputError(what, where=WHERE, expected="one value a row")
    return found


def _names(rows: Rows, sensitive: Any) -> tuple[str, ...] | None:
    """The names of groups that are meant, or None where values are handed in."""
    given = (sensitive,) if isinstance(sensitive, str) else sensitive
    if given is None or (isinstance(given, tuple | list) and not given):
        given = tuple(rows.groups)
        if not given:
            raise InputError("nobody said who belongs to which group", where=WHERE, do="name a column, or hand it in")
    if not isinstance(given, tuple | list) or not all(isinstance(each, str) for each in given):
        return None
    unknown = [each for each in given if each not in rows.groups]
    if unknown and len(given) == len(rows):
        return None
    if unknown:
        known = ", ".join(rows.groups) or "none: hand in an array with a value a row"
        raise InputError(f"there is no group {unknown[0]!r}", where=WHERE, expected=f"among {known}")
    return tuple(dict.fromkeys(given))


def _columns(given: Any) -> list[tuple[str, Any]]:
    """Names and values, column by column."""
    if isinstance(given, Groups):
        return [(given.name, given)]
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        return [(str(name), given[name]) for name in getattr(given, "columns", given)]
    name, values = getattr(given, "name", None), _array(given)
    if values.ndim == 1:
        return [(WHERE if name is None else str(name), values)]
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"has shape {values.shape}", where=WHERE, expected="(rows,) or (rows, attributes)")
    return [(f"{WHERE} {place + 1}", column) for place, column in enumerate(values.T)]


def _array(given: Any) -> NDArray[Any]:
    if isinstance(given, torch.Tensor):
        return given.detach().cpu().numpy()
    return np.asarray(given, dtype=object if isinstance(given, list | tuple) else None)


def _groups(name: str, given: Any) -> Groups:
    """Values as codes of their levels in rising order; missing values are unknown."""
    if isinstance(given, Groups):
        return replace(given, name=name)
    values = _array(given)
    missing = np.array([_missing(each) for each in values], dtype=bool)
    texts = np.array([_text(each) for each in values[~missing].tolist()], dtype=object)
    levels = _ordered(dict.fromkeys(texts))
    codes = np.full(len(values), UNKNOWN, dtype=np.int64)
    place = {level: code for code, level in enumerate(levels)}
    codes[~missing] = [place[each] for each in texts]
    return Groups(name, tuple(levels), codes)


def _missing(value: Any) -> bool:
    return type(value).__name__ in NOT_THERE or bool(value != value)  # noqa: PLR0124 - NaN alone is not itself


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ordered(levels: Sequence[str] | Mapping[str, None]) -> list[str]:
    """Numbers in rising order, anything else by the alphabet."""
    try:
        return sorted(levels, key=float)
    except ValueError:
        return sorted(levels)


def _require_levels(group: Groups) -> None:
    present = int(np.count_nonzero(group.counts))
    if present < 2:
        what = f"{group.name} has {present or 'no'} level{'s' if present != 1 else ''}"
        raise InputError(what, where=WHERE, expected="at least two levels among the rows, or there is no gap to lower")
    if present > MOST_LEVELS:
        what = f"{group.name} has {present:,} levels"
        raise InputError(what, where=WHERE, expected=f"at most {MOST_LEVELS}", do="cut its values into bands")


def _recoded(group: Groups, levels: tuple[str, ...]) -> Groups:
    place = {level: code for code, level in enumerate(levels)}
    new = np.array([*(place.get(each, UNKNOWN) for each in group.levels), UNKNOWN], dtype=np.int64)
    return Groups(group.name, levels, new[group.codes])


def _with_codes(rows: Rows, single: tuple[Groups, ...], found: tuple[Groups, ...]) -> Rows:
    codes = torch.from_numpy(np.stack([each.codes for each in found], axis=1).astype(np.int64))
    return replace(rows, groups={**rows.groups, **{each.name: each for each in single}}, sensitive=codes)
