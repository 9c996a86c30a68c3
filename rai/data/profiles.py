"""What a column looks like: number or name, how often missing, its usual value; for drafting a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rai.card import Column
from rai.data.cells import Cells, Raw
from rai.data.groups import is_numeric
from rai.errors import InputError

USUAL_MARKERS = ("?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NULL", "null", "None", "-")
MOST_CATEGORIES = 100
LARGEST_INPUT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Profile:
    """One column as found: as the card would name it, with what is known of its numbers.

    `gaps` counts missing cells. `unusable` says why the column can be no input, and is empty where it can.
    """

    column: Column
    gaps: int = 0
    mean: float | None = None
    sd: float | None = None
    unusable: str = ""


def usual_markers(table: Raw) -> tuple[str, ...]:
    """Texts that stand among numbers and usually mean "missing", such as ? or NA; found in number columns only."""
    found: set[str] = set()
    for name in table.columns:
        cells = _cells([table], name)
        if cells and cells[0].textual:
            found |= _markers(cells[0])
    return tuple(sorted(found))


def profile(tables: Sequence[Raw], name: str) -> Profile:
    """Describe a column from the test table and, where there is one, the reference table after it."""
    cells = _cells(tables, name)
    if not cells:
        return Profile(Column(name, "number"), unusable="not in every file, or neither numbers nor text")
    gaps = sum(int(np.count_nonzero(each.missing)) for each in cells)
    if all(_countable(each) for each in cells):
        return _number(cells, gaps)
    return _category(cells, gaps)


def _markers(cells: Cells) -> set[str]:
    coded = cells.coded.used()
    odd = {name.strip() for name, number in zip(coded.names, coded.numeric, strict=True) if not number}
    return odd if odd and odd <= set(USUAL_MARKERS) and coded.numeric.any() else set()


def _cells(tables: Sequence[Raw], name: str) -> list[Cells]:
    """The column in every table; nothing when one lacks it or holds neither numbers nor text."""
    try:
        return [table.cells(name) for table in tables]
    except (KeyError, InputError):
        return []


def _countable(cells: Cells) -> bool:
    return not cells.textual or is_numeric(cells.coded.used())


def _number(cells: Sequence[Cells], gaps: int) -> Profile:
    name, last = cells[-1].name, cells[-1]
    try:
        known = np.concatenate([each.numbers[~each.missing] for each in cells])
        values = last.numbers[~last.missing]
    except InputError:
        return Profile(Column(name, "number"), unusable="holds numbers that are not finite")
    if not len(values) or np.abs(known).max() > LARGEST_INPUT:
        return Profile(Column(name, "number"), unusable="empty" if not len(values) else "too large for 32-bit numbers")
    fill = float(np.median(values)) if gaps else None
    why = "row numbers" if _counts_rows(cells[0].numbers) else ""
    return Profile(Column(name, "number", fill=fill), gaps, float(values.mean()), float(values.std()), why)


def _counts_rows(values: np.ndarray) -> bool:
    return len(values) > 20 and bool(np.all(np.diff(values) == 1))


def _category(cells: Sequence[Cells], gaps: int) -> Profile:
    used = [each.coded.used() for each in cells]
    names = tuple(sorted({name for each in used for name in each.names}))
    column = Column(cells[0].name, "category", categories=names)
    if not names or len(names) > MOST_CATEGORIES:
        return Profile(column, gaps, unusable="empty" if not names else f"text with {len(names):,} distinct values")
    if not gaps:
        return Profile(column)
    codes = used[-1].codes[used[-1].codes >= 0]
    usual = used[-1].names[int(np.argmax(np.bincount(codes)))] if len(codes) else names[0]
    return Profile(replace(column, fill=usual), gaps)
