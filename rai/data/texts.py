"""A column of texts becomes token numbers, the way the card's vocabulary counts them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rai.card import TextInput
from rai.data import limits, tables
from rai.data.cells import Cells, Raw
from rai.data.found import Found
from rai.data.tokens import Tokens, tokens
from rai.data.views import text_data
from rai.subject import Ints


def read(path: Path, given: TextInput, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Found:
    """Read all texts as token numbers (rows, length), int64, filled up with the pad token.

    `wanted` maps further columns to what asks for them. A text in which no token is found becomes the one token
    `unknown`. Raises `InputError` naming file, column and row.
    """
    known = tokens(Path(given.vocabulary), given)
    table = tables.read(path, {given.column: "input.column in the card"} | dict(wanted), markers)
    inputs = _numbers(_texts(table, given.column), known, given.length, str(path))
    return Found(text_data(inputs, known.vocabulary, table.source), table)


def _texts(table: Raw, name: str) -> Cells:
    """The column of texts; no text stands for "missing" here."""
    cells = replace(table.cells(name), markers=())
    if not cells.textual and not cells.missing.all():
        cells.complain("holds numbers", expected="texts")
    cells.refuse(cells.missing, "the text is missing", do="leave such rows out", cell=False)
    return cells


def _numbers(cells: Cells, known: Tokens, length: int, where: str) -> Ints:
    """Every distinct text is cut once, however often it stands there."""
    limits.require_numbers(len(cells.coded.codes), length, where)
    coded = cells.coded.used()
    cut: Sequence[Sequence[int]] = known.cut([name[: limits.LONGEST_TEXT] for name in coded.names])
    found = np.full((len(cut), length), known.vocabulary.pad, dtype=np.int64)
    for row, numbers in enumerate(cut):
        kept = list(numbers[:length]) or [known.unknown]
        found[row, : len(kept)] = kept
    return found[coded.codes]
