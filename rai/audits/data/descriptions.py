"""Rows as a few numbers that a person can name, so that small models can learn from images, sequences and texts too."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from types import MappingProxyType
from typing import Any

import numpy as np

from rai.audits._predict import categorical, player_codes, sample
from rai.data import frequent_tokens, token_counts
from rai.evidence import SMALLEST_CELL
from rai.subject import Bools, Data, Floats, Ints, Kind, Vocabulary

MOST_PARTS = 8
MOST_COLUMNS = 300
PIECE = 256
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Words:
    """What the numbers that describe a row are called, one and many, and how they were made of it."""

    one: str
    many: str
    made: str = ""


WORDS: Mapping[Kind, Words] = MappingProxyType(
    {
        "table": Words("column", "columns"),
        "image": Words(
            "part",
            "parts of the image",
            "For these small models an image is its mean brightness in at most 8 × 8 parts of each channel.",
        ),
        "sequence": Words(
            "summary",
            "summaries of the sequences",
            "For these small models a sequence is the mean, spread, first, last, smallest and largest value of each "
            "feature (the mean alone where features are many), and its number of steps.",
        ),
        "text": Words(
            "word",
            "words",
            "For these small models a text is how often each of the 300 most frequent words occurs in it, less those "
            "that stand in fewer than 5 texts.",
        ),
    }
)


@dataclass(frozen=True)
class Description:
    """One number a row and name, shape (rows, names), for the data's rows at `rows`; codes without order are marked."""

    names: tuple[str, ...]
    values: Floats
    unordered: Bools
    rows: Ints


def described(data: Data, rng: np.random.Generator) -> Description:
    """Describe the rows, or as many of them, drawn at random, as time allows."""
    if data.kind == "table":
        rows = sample(data.rows, len(data.players), rng)
        names = tuple(player.name for player in data.players)
        return Description(names, player_codes(data)[rows], categorical(data), rows)
    rows = sample(data.rows, _width(data), rng)
    names, values = _made(data, rows)
    return Description(names, values, np.zeros(len(names), dtype=np.bool_), rows)


def _width(data: Data) -> int:
    """At most so many numbers will describe a row."""
    if data.kind == "image":
        return int(data.inputs.shape[1]) * MOST_PARTS**2
    return MOST_COLUMNS


def _made(data: Data, rows: Ints) -> tuple[tuple[str, ...], Floats]:
    if data.kind == "image":
        return _part_names(data.inputs.shape[1:]), _in_pieces(_parts, data.inputs, rows)
    if data.kind == "sequence":
        names = _series(data)
        return _summary_names(names), _in_pieces(_summaries, data.inputs[..., : len(names)], rows)
    vocabulary = data.vocabulary or Vocabulary(())
    tokens = frequent_tokens(data.inputs, vocabulary, MOST_COLUMNS)
    counts = token_counts(data.inputs, tokens)[:, : len(tokens)]
    common = (counts > 0).sum(axis=0) >= SMALLEST_CELL
    return tuple(vocabulary.names[token] for token in tokens[common]), counts[rows][:, common]


def _in_pieces(make: Any, inputs: Floats, rows: Ints) -> Floats:
    """The descriptions of a few rows at a time, lest large inputs be copied whole."""
    pieces = [make(np.asarray(inputs[rows[start : start + PIECE]])) for start in range(0, len(rows), PIECE)]
    return np.concatenate(pieces)


def _cuts(side: int) -> list[tuple[int, int]]:
    count = min(MOST_PARTS, side)
    return list(pairwise(side * part // count for part in range(count + 1)))


def _parts(images: Floats) -> Floats:
    """The mean of each part of each channel, shape (rows, channels × parts)."""
    rows, columns = _cuts(images.shape[2]), _cuts(images.shape[3])
    means = [
        images[:, channel, top:bottom, left:right].mean(axis=(1, 2), dtype=np.float64)
        for channel, (top, bottom), (left, right) in product(range(images.shape[1]), rows, columns)
    ]
    return np.stack(means, axis=1)


def _part_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    down, across = len(_cuts(shape[1])), len(_cuts(shape[2]))
    single = shape[0] == 1
    colours = COLOURS if shape[0] == 3 else tuple(f"channel {place + 1}" for place in range(shape[0]))
    return tuple(
        f"row {row + 1} of {down}, column {column + 1} of {across}{'' if single else f', {colours[channel]}'}"
        for channel, row, column in product(range(shape[0]), range(down), range(across))
    )


def _series(data: Data) -> tuple[str, ...]:
    """The features' names, as their players have them; at most as many as may be described."""
    names = dict.fromkeys(player.name.rpartition(", ")[0] for player in data.players)
    return tuple(names)[: MOST_COLUMNS - 1]


def _summaries(sequences: Floats) -> Floats:
    """Summaries of each feature, and the number of steps, shape (rows, summaries)."""
    exact = np.asarray(sequences, dtype=np.float64)
    lengths = (~np.isnan(exact[:, :, 0])).sum(axis=1)
    mean = np.nanmean(exact, axis=1)
    if not _all_summaries(exact.shape[2]):
        return np.column_stack([mean, lengths])
    last = exact[np.arange(len(exact)), lengths - 1]
    low, high = np.nanmin(exact, axis=1), np.nanmax(exact, axis=1)
    return np.column_stack([mean, np.nanstd(exact, axis=1), exact[:, 0], last, low, high, lengths])


def _all_summaries(features: int) -> bool:
    return 6 * features + 1 <= MOST_COLUMNS


def _summary_names(names: tuple[str, ...]) -> tuple[str, ...]:
    kinds = ("mean of {}", "spread of {}", "{} at the first step", "{} at the last step", "smallest {}", "largest {}")
    used = kinds if _all_summaries(len(names)) else kinds[:1]
    return (*(kind.format(name) for kind in used for name in names), "number of steps")
