"""One raw column: text or typed cells, read as numbers or as names, with errors that point at the row."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import UNKNOWN, Bools, Source

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
SHOWN = 40
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def show(text: object) -> str:
    """Quote a name or a cell for a message: shortened, with control characters written out."""
    line = str(text)
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")


def listed(names: Iterable[object], most: int = 6) -> str:
    """Quote a few names, and say how many more there are."""
    quoted = [show(name) for name in names]
    more = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + more


def and_more(rows: int) -> str:
    """Say how many further rows have the same fault; nothing when there are none."""
    return f" ({rows:,} more such {'row' if rows == 1 else 'rows'})" if rows else ""


def number_text(number: float) -> str:
    """Write a number as a name, without a needless `.0`: 30.0 becomes "30", 0.5 stays "0.5"."""
    whole = math.isfinite(number) and float(number).is_integer() and abs(number) < 1e15
    return str(int(number)) if whole else repr(float(number))


@dataclass(frozen=True)
class Coded:
    """Text cells as positions: `codes[i]` is row i's place in `values` (a pyarrow text array), or -1 where missing."""

    codes: Int64
    values: Any

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The distinct texts, in the order of `values`."""
        return tuple(self.values.to_pylist())

    @cached_property
    def numeric(self) -> Bools:
        """Which of the distinct texts are plain decimal numbers; inf, nan and 1_000 are not."""
        return _matches(_trimmed(self.values), NUMBER)

    def without(self, unwanted: Bools) -> "Coded":
        """The same cells, with the unwanted texts taken as missing."""
        if not unwanted.any():
            return self
        return self.only(~np.append(unwanted, False)[self.codes])

    def only(self, known: Bools) -> "Coded":
        """The same cells, with the rows that are not known taken as missing."""
        return Coded(np.where(known, self.codes, UNKNOWN), self.values)

    def used(self) -> "Coded":
        """The same cells, with only those texts that occur."""
        import pyarrow as pa

        present, codes = np.unique(self.codes[self.codes >= 0], return_inverse=True)
        full = np.full(len(self.codes), UNKNOWN, dtype=np.int64)
        full[self.codes >= 0] = codes
        return Coded(full, self.values.take(pa.array(present)))

    def stripped(self) -> "Coded":
        """The same cells without spaces around them; nothing but spaces is missing."""
        import pyarrow as pa

        shorter = _trimmed(self.values).dictionary_encode()
        places = np.append(_array(shorter.indices, np.int64), UNKNOWN)
        tidy = Coded(places[self.codes], shorter.dictionary.cast(pa.large_string()))
        return tidy.without(_matches(tidy.values, "^$"))


@dataclass(frozen=True)
class Cells:
    """One column of a table as found: `array` is a pyarrow array of text, numbers or truth values.

    Missing are empty text, null, NaN in a typed file, and whatever equals one of `markers` (with or without spaces
    around it).
    """

    where: str
    name: str
    array: Any
    markers: tuple[str, ...] = ()

    @cached_property
    def textual(self) -> bool:
        """Whether the cells are text, as every cell of a CSV file is."""
        import pyarrow.types as kinds

        kind = self.array.type
        value = kind.value_type if kinds.is_dictionary(kind) else kind
        return bool(kinds.is_string(value) or kinds.is_large_string(value) or kinds.is_string_view(value))

    @cached_property
    def coded(self) -> Coded:
        """The cells as text with codes. Numbers become text without a needless `.0`, truth values True and False."""
        return self._coded_text if self.textual else _coded_numbers(self)

    @cached_property
    def _coded_text(self) -> Coded:
        found = _encoded(self.array)
        blank = _matches(found.values, "^$")
        marked = _in(found.values, self.markers) | _in(_trimmed(found.values), [m.strip() for m in self.markers])
        return found.without(blank | marked)

    @cached_property
    def missing(self) -> Bools:
        """Which rows hold no value, shape (rows,)."""
        return self.coded.codes == UNKNOWN if self.textual else np.isnan(self._typed)

    @cached_property
    def numbers(self) -> Float64:
        """The cells as 64-bit numbers, NaN where missing; raise `InputError` at the first that is no number."""
        found = self._parsed if self.textual else self._typed
        self.refuse(np.isinf(found), "is not a finite number", expected="a number such as 12.5")
        return found

    @cached_property
    def _parsed(self) -> Float64:
        coded = self.coded
        bad = np.append(~coded.numeric, False)[coded.codes]
        self.refuse(bad, "is not a number", expected="a number such as 12.5", do="mend it, or list it as missing")
        return np.append(_floats(coded), np.nan)[coded.codes]

    @cached_property
    def _typed(self) -> Float64:
        import pyarrow as pa

        found = _array(self.array.cast(pa.float64(), safe=False).fill_null(math.nan), np.float64)
        marks = [float(m) for m in self.markers if _is_number(m)]
        return np.where(np.isin(found, marks), np.nan, found) if marks else found

    @property
    def place(self) -> str:
        """How messages name the column."""
        return f"column {show(self.name)}"

    def text(self, row: int) -> str:
        """One cell as text."""
        return str(self.array[row].as_py())

    def refuse(self, bad: Bools, what: str, *, expected: str = "", do: str = "", cell: bool = True) -> None:
        """Raise `InputError` when any row is bad: it names the first such row and counts the others.

        `what` is told outward as well, so it quotes no cell; `expected` and `do` may.
        """
        if not bad.any():
            return
        row, more = int(np.argmax(bad)), int(np.count_nonzero(bad)) - 1
        said = f"{show(self.text(row))} {what}" if cell else what
        line = f"{self.place}, data row {row + 1} (the first is 1): {said}{and_more(more)}"
        outward = f"{self.place}: {'a cell ' if cell else ''}{what}"
        raise InputError(line, where=self.where, expected=expected, do=do, outward=outward)

    def complain(self, what: str, *, expected: str = "", do: str = "") -> NoReturn:
        """Raise `InputError` about the column as a whole."""
        raise InputError(f"{self.place} {what}", where=self.where, expected=expected, do=do)


@dataclass(frozen=True)
class Raw:
    """A table as found: its columns (pyarrow arrays by name), how many rows, and which file they came from."""

    where: str
    columns: Mapping[str, Any]
    rows: int
    source: Source
    markers: tuple[str, ...] = ()

    def cells(self, name: str) -> Cells:
        """One column by name; raise `InputError` when it holds neither text nor numbers."""
        return usable(Cells(self.where, name, self.columns[name], self.markers))


def usable(cells: Cells) -> Cells:
    """Return the column when rai can read its kind of cells: text, numbers or truth values; raise otherwise."""
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = cells.array.type
    if kinds.is_null(kind):
        return Cells(cells.where, cells.name, cells.array.cast(pa.string()), cells.markers)
    if kinds.is_dictionary(kind) and not cells.textual:
        return usable(Cells(cells.where, cells.name, cells.array.dictionary_decode(), cells.markers))
    if kinds.is_decimal(kind):
        return Cells(cells.where, cells.name, cells.array.cast(pa.float64()), cells.markers)
    numeric = kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind)
    if not (numeric or cells.textual):
        cells.complain(f"holds cells of kind {kind}", expected="numbers or text", do="convert it first")
    return cells


def positions(coded: Coded, names: Sequence[str], *, loose: bool = False) -> Int64:
    """Place of every distinct text among `names`, -1 where it is not there.

    Texts are compared exactly. With `loose`, a text that is not found may still stand for the same number: 1, 1.0 and
    True all match the name "1" (and the name "True"), provided that no two names stand for one number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(coded.values, value_set=pa.array(names, pa.large_string())).fill_null(UNKNOWN)
    exact = _array(found, np.int64)
    values = {_value(name): place for place, name in enumerate(names)}
    if not loose or len(values) < len(names):
        return exact
    return np.array(
        [
            values.get(_value(text), UNKNOWN) if place == UNKNOWN else place
            for text, place in zip(coded.names, exact, strict=True)
        ],
        dtype=np.int64,
    )


def _value(text: str) -> float | str:
    """What a text stands for: the number it spells, 1 and 0 for True and False, else itself."""
    if _is_number(text):
        return float(text)
    return {"true": 1.0, "false": 0.0}.get(text.strip().lower(), text)


def _is_number(text: str) -> bool:
    import re

    return re.match(NUMBER, text.strip(), re.ASCII) is not None


def _array(found: Any, kind: type) -> NDArray[Any]:
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=kind)


def _trimmed(values: Any) -> Any:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(values)


def _matches(values: Any, pattern: str) -> Bools:
    import pyarrow.compute as pc

    return _array(pc.match_substring_regex(values, pattern), np.bool_)


def _in(values: Any, names: Iterable[str]) -> Bools:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _array(pc.is_in(values, value_set=pa.array(list(names), pa.large_string())), np.bool_)


def _encoded(array: Any) -> Coded:
    import pyarrow as pa
    import pyarrow.types as kinds

    found = array if kinds.is_dictionary(array.type) else array.dictionary_encode()
    codes = _array(found.indices.cast(pa.int64()).fill_null(UNKNOWN), np.int64)
    values = found.dictionary.cast(pa.large_string())
    again = values.fill_null("").dictionary_encode()  # a file's own dictionary may name a text twice
    return Coded(np.append(_array(again.indices, np.int64), UNKNOWN)[codes], again.dictionary)


def _floats(coded: Coded) -> Float64:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pc.if_else(pa.array(coded.numeric), _trimmed(coded.values), "nan")
    return _array(plain.cast(pa.float64()), np.float64)


def _coded_numbers(cells: Cells) -> Coded:
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = cells.array.type
    if kinds.is_integer(kind):  # 64-bit identifiers must not pass through floats
        return _encoded(cells.array.cast(pa.string())).only(~cells.missing)
    values, codes = np.unique(cells.numbers, return_inverse=True)
    names = [str(bool(v)) if kinds.is_boolean(kind) else number_text(v) for v in values]
    return Coded(codes, pa.array(names, pa.large_string())).only(~cells.missing)
