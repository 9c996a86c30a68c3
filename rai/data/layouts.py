"""Which columns, encoded how, could have made a network's inputs; for drafting a card."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from types import MappingProxyType

from rai.card import Column
from rai.data.cells import listed
from rai.data.profiles import Profile

MOST_TRIED = 6


def as_listed(column: Column) -> Column:
    """One input for each category."""
    return column


def pairs_as_one(column: Column) -> Column:
    """One input for a column of two categories, one for each category otherwise."""
    return without_first(column) if len(column.categories) == 2 else column


def without_first(column: Column) -> Column:
    """One input for each category but the first."""
    return replace(column, drop=column.categories[0]) if len(column.categories) > 1 else column


def ordinal(column: Column) -> Column:
    """One input: the category's position in the list."""
    return replace(column, encoding="ordinal")


ENCODINGS: Mapping[str, Callable[[Column], Column]] = MappingProxyType(
    {
        "text columns one-hot": as_listed,
        "text columns one-hot, those of two values as one input": pairs_as_one,
        "text columns one-hot without their first value": without_first,
        "text columns as their place in the sorted list": ordinal,
    }
)


@dataclass(frozen=True)
class Layout:
    """Columns in order, and in words which were taken and how text became numbers."""

    columns: tuple[Column, ...]
    says: str

    @property
    def width(self) -> int:
        """How many inputs the columns make."""
        return sum(column.width for column in self.columns)


@dataclass(frozen=True)
class Choice:
    """The layout chosen, whether its width is the one wanted, and in words which others have that width too."""

    layout: Layout
    fits: bool
    others: tuple[str, ...]


def choose(profiles: Sequence[Profile], sensitive: Sequence[str], width: int | None) -> Choice | None:
    """Return the most plausible layout of this width, else the most plausible of all; None without usable columns.

    One-hot comes before other encodings, and all columns before all but the sensitive ones; only some of those last.
    """
    options = list(_distinct(profiles, sensitive))
    fitting = [option for option in options if option.width == width]
    if not options:
        return None
    return Choice((fitting or options)[0], bool(fitting), tuple(other.says for other in fitting[1:]))


def _distinct(profiles: Sequence[Profile], sensitive: Sequence[str]) -> Iterator[Layout]:
    seen: set[tuple[Column, ...]] = set()
    for option in _options(profiles, sensitive):
        if option.columns and option.columns not in seen:
            seen.add(option.columns)
            yield option


def _options(profiles: Sequence[Profile], sensitive: Sequence[str]) -> Iterator[Layout]:
    usable = [each.column for each in profiles if not each.unusable]
    names = [column.name for column in usable if column.name in sensitive]
    parts = tuple(_parts(names))
    for words, absent in (*product(ENCODINGS, ((), tuple(names))), *product(ENCODINGS, parts)):
        kept = [column for column in usable if column.name not in absent]
        encode = ENCODINGS[words]
        columns = tuple(encode(column) if column.kind == "category" else column for column in kept)
        yield Layout(columns, f"{_about(names, absent)}, {words}")


def _about(names: Sequence[str], absent: Sequence[str]) -> str:
    if not names:
        return "every usable column"
    if not absent:
        return "sensitive columns among the inputs"
    return f"sensitive columns left out of the inputs ({listed(absent)})"


def _parts(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Parts of a short list, neither nothing nor all of it."""
    for size in range(1, len(names) if len(names) <= MOST_TRIED else 1):
        yield from combinations(names, size)
