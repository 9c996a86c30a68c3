"""What an audit of attention shows: agreement, heads, positions and words, averages over five rows or more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._exhibits import bars, number, spread
from rai.audits.attention.seen import Looked
from rai.errors import plain
from rai.evidence import SMALLEST_CELL, Bars, Heat, Measurement, Table
from rai.explainers.parts import vocabulary_of
from rai.subject import Floats, Ints

MOST_WORDS = 8
PLACE = {"text": "token", "sequence": "step", "image": "patch", "table": "column"}


@dataclass(frozen=True)
class Words:
    """Words that occur in at least five rows of the sample, by their token numbers.

    `attention` is the mean of what they get, as a multiple of an even share; `moved` the mean size of their Shapley
    values.
    """

    tokens: Ints
    rows: Ints
    attention: Floats
    moved: Floats


def exhibits(seen: Looked, agreed: Sequence[Measurement]) -> tuple[Bars | Heat | Table, ...]:
    """Pictures of a sample of at least five rows."""
    title = f"Rank agreement of attention with Shapley values: {spread(agreed, 'method')}"
    shown = (bars(title, agreed, "method", reference=0.0),)
    if len(seen.rows) < SMALLEST_CELL:
        return shown
    return (*shown, *_heads(seen), *_positions(seen), *_words(seen))


def _heads(seen: Looked) -> tuple[Heat, ...]:
    """How widely each head looks, and how much of it goes to special tokens."""
    wide = np.flatnonzero(~np.isnan(seen.heads.spread).any(axis=(1, 2)))
    found: tuple[Heat, ...] = ()
    if len(wide) >= SMALLEST_CELL:
        title = "How widely each head looks, from 0 (one position) to 1 (all alike)"
        found = (_by_head(title, seen.heads.spread[wide].mean(axis=0)),)
    if seen.heads.special.any():
        title = "Share of each head's attention that goes to special tokens or a summary in front"
        found = (*found, _by_head(title, seen.heads.special.mean(axis=0)))
    return found


def _by_head(title: str, values: Floats) -> Heat:
    low, high = float(values.min()), float(values.max())
    where = [
        f"layer {layer + 1}, head {head + 1}"
        for layer, head in (_at(values.argmin(), values), _at(values.argmax(), values))
    ]
    return Heat(
        f"{title}: {number(low)} to {number(high)}",
        f"Lowest in {where[0]} ({number(low)}), highest in {where[1]} ({number(high)}).",
        tuple(f"layer {each + 1}" for each in range(values.shape[0])),
        tuple(f"head {each + 1}" for each in range(values.shape[1])),
        tuple(tuple(float(value) for value in line) for line in values),
        unit="share",
    )


def _at(place: np.integer, values: Floats) -> tuple[int, int]:
    layer, head = np.unravel_index(int(place), values.shape)
    return int(layer), int(head)


def _positions(seen: Looked) -> tuple[Heat, ...]:
    """The mean map of the first positions; cells that fewer than five rows have are left out."""
    grid, front, unit = seen.heads.grid, seen.heads.front, PLACE[seen.data.kind]
    kept = seen.heads.rows >= SMALLEST_CELL
    if not kept.any():
        return ()
    labels = tuple("summary" if front and not each else f"{unit} {each + 1 - front}" for each in range(len(grid)))
    itself = float(np.diag(grid)[np.diag(kept)].mean())
    drawn = Heat(
        f"Where each {unit} looks, mean over layers, heads and rows: {number(itself)} of it stays with itself",
        f"The first {len(grid)} positions; cells of fewer than {SMALLEST_CELL} rows are left out.",
        labels,
        labels,
        tuple(
            tuple(float(value) if there else None for value, there in zip(*both, strict=True))
            for both in zip(grid, kept, strict=True)
        ),
        row_title=f"{unit} that looks",
        column_title=f"{unit} looked at",
        unit="share",
    )
    return (drawn,)


def _words(seen: Looked) -> tuple[Table, ...]:
    """The words that get most attention beside those that move the score most."""
    found = words(seen) if seen.data.kind == "text" else None
    if found is None or not len(found.tokens):
        return ()
    ranks = [(-values).argsort(kind="stable").argsort() + 1 for values in (found.attention, found.moved)]
    shown = np.flatnonzero(np.minimum(*ranks) <= MOST_WORDS)
    lines = [_line(seen, found, ranks, int(each)) for each in shown[np.argsort(ranks[0][shown])]]
    seen_most, moves_most = (_name(seen, found, int(np.argmin(each))) for each in ranks)
    both = "gets most attention and moves the score most"
    told = (
        f"{seen_most} {both}"
        if seen_most == moves_most
        else f"{seen_most} gets most, {moves_most} moves the score most"
    )
    return (
        Table(
            f"Words by attention and by Shapley value: {told}",
            f"Of {len(found.tokens)} words of {SMALLEST_CELL} rows or more, the first {MOST_WORDS} by either.",
            ("word", "rows", "attention, times an even share", "rank", "mean size of Shapley value", "rank of it"),
            tuple(lines),
        ),
    )


def _line(seen: Looked, found: Words, ranks: Sequence[Ints], each: int) -> tuple[str | int | float, ...]:
    attention, moved = float(found.attention[each]), float(found.moved[each])
    return (_name(seen, found, each), int(found.rows[each]), attention, int(ranks[0][each]), moved, int(ranks[1][each]))


def _name(seen: Looked, found: Words, each: int) -> str:
    return plain(vocabulary_of(seen.data).names[int(found.tokens[each])])


def words(seen: Looked) -> Words:
    """What words get and do on average, each row counted once, over the words of five rows or more."""
    even = seen.attention / np.maximum(_mean_of_members(seen), np.finfo(np.float64).tiny)[:, None]
    at, place = np.nonzero(seen.member)
    tokens, inverse = np.unique(seen.data.inputs[at, place], return_inverse=True)
    table = np.zeros((3, len(tokens), len(seen.rows)))
    for line, values in zip(table, (np.ones_like(even), even, np.abs(seen.moved)), strict=True):
        np.add.at(line, (inverse, at), values[at, place])
    count, attention, moved = table
    rows = (count > 0).sum(axis=1)
    kept = rows >= SMALLEST_CELL
    means = [(each / np.maximum(count, 1)).sum(axis=1)[kept] / rows[kept] for each in (attention, moved)]
    return Words(tokens[kept], rows[kept], means[0], means[1])


def _mean_of_members(seen: Looked) -> Floats:
    return np.asarray((seen.attention * seen.member).sum(axis=1) / np.maximum(seen.member.sum(axis=1), 1))
