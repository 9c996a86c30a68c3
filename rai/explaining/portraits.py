"""The row itself with its reasons: an image under them, a sequence by feature and time, a text word by word."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import plain
from rai.evidence import Exhibit, Heat, Overlay, Tokens
from rai.explanation import Explanation
from rai.subject import Data

MOST_GREY = 64


def portrait(data: Data, made: Explanation) -> Exhibit | None:
    """The one row of `data` with its reasons, where it is no row of a table."""
    found: Exhibit | None = None
    match data.kind:
        case "image":
            found = _overlay(data, made)
        case "sequence":
            found = _heat(data, made)
        case "text":
            found = _tokens(data, made)
    return found


def words_of(data: Data) -> dict[str, str]:
    """The tokens of the one text of `data` by the names of their players."""
    names = () if data.vocabulary is None else data.vocabulary.names
    pairs = zip(data.players, data.inputs[0], strict=True)
    return {each.name: plain(names[token]) if token < len(names) else f"token {token}" for each, token in pairs}


def _alt(made: Explanation) -> str:
    told = ", ".join(f"{each.label} {each.value:+.3g}" for each in made.strongest[:3])
    return f"Strongest: {told}."


def _overlay(data: Data, made: Explanation) -> Overlay:
    names = [re.findall(r"\d+", each.feature) for each in made.contributions]
    grid = np.zeros([max(int(name[axis]) for name in names) for axis in (0, 1)])
    for (down, right), each in zip(names, made.contributions, strict=True):
        grid[int(down) - 1, int(right) - 1] = each.value
    title = f"Where the image raises and lowers the {made.scale}"
    grey = tuple(tuple(line) for line in _grey(data.inputs[0]).tolist())
    return Overlay(title, _alt(made), grey, tuple(map(tuple, grid.tolist())), made.scale)


def _grey(image: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Channels (channels, height, width) as grey levels, the darkest 0, the brightest 255, at most 64 a side."""
    grey = np.asarray(image, dtype=np.float64).mean(axis=0)
    for axis, size in enumerate(grey.shape):
        starts = np.arange(min(size, MOST_GREY)) * size // min(size, MOST_GREY)
        sums = np.add.reduceat(grey, starts, axis=axis)
        counts = np.diff([*starts, size])
        grey = sums / (counts[:, None] if axis == 0 else counts)
    span = grey.max() - grey.min()
    return np.asarray(((grey - grey.min()) / (span or 1.0) * 255).round(), dtype=np.int64)


def _heat(data: Data, made: Explanation) -> Heat:
    cells = {each.feature: each.value for each in made.contributions}
    halves = [each.name.rpartition(", ") for each in data.players]
    features, segments = (tuple(dict.fromkeys(half[part] for half in halves)) for part in (0, 2))
    values = tuple(tuple(cells.get(f"{feature}, {when}") for when in segments) for feature in features)
    title = f"Which feature, and when, raises and lowers the {made.scale}"
    return Heat(title, _alt(made), features, segments, values, "feature", "time", made.scale)


def _tokens(data: Data, made: Explanation) -> Tokens:
    """The text with its special tokens, which are nobody's."""
    words, pad = words_of(data), None if data.vocabulary is None else data.vocabulary.pad
    values = {each.feature: each.value for each in made.contributions}
    there = [each.name for each, token in zip(data.players, data.inputs[0], strict=True) if token != pad]
    title = f"Which words raise and lower the {made.scale}"
    return Tokens(title, _alt(made), tuple(words[name] for name in there), tuple(map(values.get, there)), made.scale)
