"""Images, sequences and texts as data: their numeric view, and what a person calls a feature of them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from rai.subject import Data, Floats, Ints, Player, Source, Vocabulary

MOST_WORDS = 2_000
MOST_COUNTS = 50_000_000
PIECE = 4_096


def image_data(inputs: NDArray[np.float32], patches: int, source: Source) -> Data:
    """Images of shape (rows, channels, height, width); each of `patches` × `patches` parts is a player."""
    return Data(
        kind="image",
        inputs=inputs,
        features=inputs.reshape(len(inputs), -1),
        labels=None,
        groups={},
        players=tuple(_patches(inputs.shape[1:], patches)),
        source=source,
    )


def sequence_data(inputs: NDArray[np.float32], names: Sequence[str], segments: int, source: Source) -> Data:
    """Sequences of shape (rows, steps, features), NaN after the end; a player is a feature in one part of the time."""
    return Data(
        kind="sequence",
        inputs=inputs,
        features=np.nan_to_num(inputs, nan=0.0).reshape(len(inputs), -1),
        labels=None,
        groups={},
        players=tuple(_segments(inputs.shape[1], names, segments)),
        source=source,
    )


def text_data(inputs: Ints, vocabulary: Vocabulary, source: Source) -> Data:
    """Texts as token numbers (rows, tokens); each place is a player.

    `features` count the tokens that are the most frequent in these texts, at most 2,000 of them.
    """
    most = min(MOST_WORDS, max(1, MOST_COUNTS // max(len(inputs), 1)))
    return Data(
        kind="text",
        inputs=inputs,
        features=token_counts(inputs, frequent_tokens(inputs, vocabulary, most)),
        labels=None,
        groups={},
        players=tuple(Player(f"token {place + 1}", (place,)) for place in range(inputs.shape[1])),
        source=source,
        vocabulary=vocabulary,
    )


def frequent_tokens(inputs: Ints, vocabulary: Vocabulary, most: int) -> Ints:
    """The tokens that occur most often, the commonest first; padding and special tokens are left out."""
    counts = np.bincount(inputs.ravel(), minlength=max(len(vocabulary.names), 1))
    counts[[vocabulary.pad, *vocabulary.special]] = 0
    order = np.argsort(-counts, kind="stable")[:most]
    return order[counts[order] > 0]


def token_counts(inputs: Ints, tokens: Ints) -> Floats:
    """How often each of the tokens occurs in each text, shape (rows, tokens); one column of zeros for no token."""
    width = max(len(tokens), 1)
    column = np.full(int(max(inputs.max(initial=0), tokens.max(initial=0))) + 1, -1, dtype=np.int64)
    column[tokens] = np.arange(len(tokens))
    found = np.zeros((len(inputs), width), dtype=np.float32)
    for start in range(0, len(inputs), PIECE):
        columns = column[inputs[start : start + PIECE]]
        flat = (np.arange(len(columns))[:, None] * width + columns)[columns >= 0]
        counts = np.bincount(flat, minlength=len(columns) * width)
        found[start : start + PIECE] = counts.reshape(-1, width)
    return found


def _patches(shape: Sequence[int], patches: int) -> Iterator[Player]:
    places = np.arange(int(np.prod(shape))).reshape(shape)
    rows, columns = (_cuts(side, patches) for side in shape[1:])
    for (down, (top, bottom)), (right, (left, end)) in product(enumerate(rows, 1), enumerate(columns, 1)):
        yield Player(f"row {down}, column {right}", tuple(places[:, top:bottom, left:end].ravel().tolist()))


def _segments(steps: int, names: Sequence[str], segments: int) -> Iterator[Player]:
    for (place, name), (start, end) in product(enumerate(names), _cuts(steps, segments)):
        when = f"step {end}" if end - start == 1 else f"steps {start + 1} to {end}"
        yield Player(f"{name}, {when}", tuple(step * len(names) + place for step in range(start, end)))


def _cuts(length: int, parts: int) -> list[tuple[int, int]]:
    """From where to where each of so many nearly equal parts goes; never more parts than there are places."""
    count = max(1, min(parts, length))
    return list(pairwise(length * part // count for part in range(count + 1)))
