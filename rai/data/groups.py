"""Sensitive columns become groups: levels by name, or bands of a number."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from rai.data.cells import Cells, Coded, Float64, Int64, listed, number_text, show
from rai.data.columns import CARD
from rai.data.limits import MOST_LEVELS, MOST_NUMERIC_LEVELS
from rai.errors import InputError
from rai.subject import UNKNOWN, Groups


def require_bands(bands: Mapping[str, Sequence[float]], sensitive: Iterable[str], where: str = CARD) -> None:
    """Refuse bands of a column that is not sensitive, and cuts that are not ascending numbers."""
    names = tuple(sensitive)
    for name, cuts in bands.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            do = f"did you mean {show(near[0])}?" if near else f"list it as sensitive, beside {listed(names) or 'none'}"
            raise InputError(f"bands are given for {show(name)}, which is not sensitive", where=where, do=do)
        _require_ascending(name, cuts, where)


def group(cells: Cells, cuts: Sequence[float] | None, *, varied: bool) -> Groups:
    """Sort rows into groups; a missing value is unknown (-1). With `varied`, a column of one level is refused.

    Names are sorted, numbers by value. `cuts` [30, 50] gives "under 30", "30 to under 50", "50 and over"; every band
    is kept, also one without rows. Raises `InputError` for more than 50 levels, or 20 of a number without bands.
    """
    found = _levels(cells) if cuts is None else _bands(cells, cuts)
    if varied and np.count_nonzero(found.counts) < 2:
        _refuse_constant(cells, found)
    return found


def every_level(cells: Cells) -> Groups:
    """Sort rows into one group for each name, however many there are; a missing value is unknown (-1)."""
    return _ordered(cells.name, cells.coded.stripped().used())


def round_cuts(values: Float64) -> tuple[float, ...]:
    """Suggest round numbers that cut the values into about three equal parts; empty where that cannot be done."""
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    for digits in range(1, 8):
        cuts = sorted({_rounded(float(cut), digits) for cut in (low, high)})
        if len(cuts) == 2 and _occupied(values, cuts) == 3:
            return tuple(cuts)
    middles = (float(np.median(values)), *np.unique(values)[1:2].tolist())
    return next(((cut,) for cut in middles if _occupied(values, [cut]) == 2), ())


def is_numeric(coded: Coded) -> bool:
    """Whether every text that occurs is a number, and there is at least one."""
    return bool(len(coded.values)) and bool(coded.numeric.all())


def _require_ascending(name: str, cuts: Sequence[float], where: str) -> None:
    numbers = np.iterable(cuts) and all(isinstance(cut, int | float | np.number) for cut in cuts)
    if not numbers or not len(cuts) or not all(map(math.isfinite, cuts)) or any(a >= b for a, b in pairwise(cuts)):
        written = f"[{', '.join(map(number_text, cuts))}]" if numbers else show(cuts)
        raise InputError(
            f"bands of {show(name)} are {written}", where=where, expected="ascending numbers, for example [30, 50]"
        )


def _levels(cells: Cells) -> Groups:
    coded = cells.coded.stripped().used()
    if is_numeric(coded) and len(coded.values) > MOST_NUMERIC_LEVELS:
        _refuse_uncut(cells, coded)
    if len(coded.values) > MOST_LEVELS:
        cells.complain(
            f"has {len(coded.values):,} levels", expected=f"at most {MOST_LEVELS} groups", do="join levels first"
        )
    return _ordered(cells.name, coded)


def _ordered(name: str, coded: Coded) -> Groups:
    numeric = is_numeric(coded)
    order = sorted(range(len(coded.names)), key=lambda i: _sort_key(coded.names[i], numeric=numeric))
    return Groups(name, tuple(coded.names[i] for i in order), _moved(coded.codes, order))


def _sort_key(name: str, *, numeric: bool) -> tuple[float, str]:
    return (float(name) if numeric else 0.0, name)


def _moved(codes: Int64, order: Sequence[int]) -> Int64:
    """Codes after the levels were put into this order."""
    places = np.append(np.argsort(order), UNKNOWN).astype(np.int64)
    return places[codes]


def _bands(cells: Cells, cuts: Sequence[float]) -> Groups:
    values = cells.numbers
    codes = np.searchsorted(np.asarray(cuts, dtype=np.float64), values, side="right").astype(np.int64)
    return Groups(cells.name, _band_names(cuts), np.where(cells.missing, UNKNOWN, codes))


def _band_names(cuts: Sequence[float]) -> tuple[str, ...]:
    written = [number_text(cut) for cut in cuts]
    middle = [f"{low} to under {high}" for low, high in pairwise(written)]
    return (f"under {written[0]}", *middle, f"{written[-1]} and over")


def _refuse_uncut(cells: Cells, coded: Coded) -> None:
    cuts = round_cuts(cells.numbers[~cells.missing])
    example = f"[{', '.join(number_text(cut) for cut in cuts)}]"
    cells.complain(
        f"is a number with {len(coded.values):,} values",
        expected=f"at most {MOST_NUMERIC_LEVELS} levels, or bands",
        do=f"set data.bands.{show(cells.name)}, for example {example}",
    )


def _refuse_constant(cells: Cells, found: Groups) -> None:
    present = [name for name, count in zip(found.levels, found.counts, strict=True) if count]
    only = f"every known value is {show(present[0])}" if present else "no value is known"
    cells.complain(
        f"is sensitive but has nothing to compare: {only}", expected="at least two groups", do="name another column"
    )


def _rounded(number: float, digits: int) -> float:
    """Round to this many significant digits."""
    return float(f"{number:.{digits}g}")


def _occupied(values: Float64, cuts: Sequence[float]) -> int:
    return len(np.unique(np.searchsorted(np.asarray(cuts), values, side="right")))
