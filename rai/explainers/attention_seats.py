"""Which position of an attention map belongs to which feature of a row, and who reads it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rai.errors import InputError
from rai.explainers.parts import lengths_of, vocabulary_of
from rai.subject import Bools, Data, Floats, Ints, Player

MOST_CELLS = 2**17
MOST_PATCHES = 200
"""Patches that an image is expected to have at most where batches are cut; more only take more memory."""
OTHERS = "shapley, integrated_gradients or occlusion"


@dataclass(frozen=True)
class Seats:
    """What the positions of maps hold: tokens of a text, steps of a sequence, or patches of an image.

    `there` marks positions before a row's padding and `words` those that are no special tokens either, both (rows,
    positions). `first` says that the model reads its answer from the first position, as it does where every row begins
    with a special token. `owners` lists the positions of each player. Of images `picture`, (height, width), says which
    player each pixel belongs to, and the rest is known once the maps have told how many patches there are.
    """

    there: Bools
    words: Bools
    first: bool
    owners: tuple[tuple[int, ...], ...]
    picture: Ints | None = None

    def fitted(self, positions: int) -> "Seats":
        """The same for maps of so many positions: of images, a square of patches from top left and one in front."""
        if self.picture is None:
            return self
        side, count = math.isqrt(positions), int(self.picture.max()) + 1
        patches = _patches(self.picture, side)
        owners = tuple(tuple(np.flatnonzero(patches == each).tolist()) for each in range(count))
        everything = np.ones((len(self.there), side**2), dtype=np.bool_)
        return replace(self, there=everything, words=everything, owners=owners, picture=None)

    def take(self, rows: slice) -> "Seats":
        """The same for some of the rows."""
        return replace(self, there=self.there[rows], words=self.words[rows])

    def pooled(self, module: Any) -> "Seats":
        """The same for a module that says in `pooling` whether it answers from its "first" position or their "mean"."""
        pooling = getattr(module, "pooling", None)
        return replace(self, first=pooling == "first") if pooling in {"first", "mean"} else self

    def batches(self) -> Iterator[slice]:
        """Rows in pieces, so that one head's maps of a piece have about 131,000 cells at most."""
        rows, positions = self.there.shape
        positions = positions if self.picture is None else MOST_PATCHES
        step = max(1, MOST_CELLS // max(1, positions) ** 2)
        return (slice(start, min(start + step, rows)) for start in range(0, rows, step))

    def front(self, positions: int) -> int:
        """How many positions the model put in front of a row's own: none, or one that it reads its answer from."""
        own = int(self.there.shape[1])
        if positions - own not in {0, 1}:
            what = f"the attention covers {positions} positions and the rows have {own}"
            raise InputError(what, expected=f"{own}, or {own + 1} with a summary in front", do=f"ask {OTHERS}")
        return positions - own

    def known(self, positions: int) -> Bools:
        """Positions of the maps that hold something, (rows, positions)."""
        return np.pad(self.there, ((0, 0), (self.front(positions), 0)), constant_values=True)

    def read(self, mixed: Floats) -> Floats:
        """What each player gets, (rows, players), of maps (rows, positions, positions).

        Read from the first position where the model answers from it or put it in front, else the mean over the row.
        """
        positions = mixed.shape[1]
        own = self.fitted(positions)
        front, readers = own.front(positions), own.known(positions).astype(np.float64)
        if front or self.first:
            readers[:, 1:] = 0
        shares = readers / np.maximum(readers.sum(axis=1, keepdims=True), 1)
        got = np.einsum("ri,rij->rj", shares, mixed)[:, front:] * own.words
        return np.stack([got[:, list(each)].sum(axis=1) for each in own.owners], axis=1)


def seats(data: Data) -> Seats:
    """What the positions of a transformer's maps hold; raise `InputError` where that cannot be known."""
    if data.kind == "table":
        raise InputError("attention over the columns of a table cannot be matched with them", do=f"ask {OTHERS}")
    if data.kind == "image":
        everything = np.ones((data.rows, 1), dtype=np.bool_)
        owners = tuple((each,) for each in range(len(data.players)))
        return Seats(everything, everything, first=False, owners=owners, picture=_picture(data))
    there = np.arange(data.inputs.shape[1]) < lengths_of(data)[:, None]
    if data.kind == "sequence":
        return Seats(there, there, first=False, owners=tuple(_steps(data, each) for each in data.players))
    special = np.isin(data.inputs, vocabulary_of(data).special)
    first = bool((special | ~there)[:, 0].all() and there[:, 0].any())
    return Seats(there, there & ~special, first, tuple(each.inputs for each in data.players))


def _picture(data: Data) -> Ints:
    """Which player each pixel belongs to, (height, width); pixels that nobody owns hold -1."""
    height, width = data.inputs.shape[2:]
    found = np.full(height * width, -1)
    for place, each in enumerate(data.players):
        found[np.unique(np.array(each.inputs) % (height * width))] = place
    return found.reshape(height, width)


def _patches(picture: Ints, side: int) -> Ints:
    """Which player each of side × side patches lies in, (patches,); raise `InputError` where one lies in several."""
    height, width = picture.shape
    if not side or height % side or width % side:
        raise InputError(f"the model's patches do not divide {height} × {width} pixels", do=f"ask {OTHERS}")
    cells = picture.reshape(side, height // side, side, width // side)
    inner = cells.min(axis=(1, 3))
    if (inner != cells.max(axis=(1, 3))).any():
        what = f"the model's {side} × {side} patches lie across the parts of the image that are explained"
        raise InputError(what, where="input.patches", expected=f"a number that divides {side}", do=f"ask {OTHERS}")
    return np.asarray(inner.ravel())


def whole_steps(data: Data) -> Data:
    """Sequences whose players are whole steps, features that were players of the same steps taken together."""
    if data.kind != "sequence":
        return data
    features = data.inputs.shape[2]
    together: dict[tuple[int, ...], list[int]] = {}
    for each in data.players:
        steps = tuple(sorted({place // features for place in each.inputs}))
        together.setdefault(steps, []).extend(each.inputs)
    players = tuple(Player(_named(steps), tuple(sorted(owned))) for steps, owned in together.items())
    return replace(data, players=players)


def _named(steps: tuple[int, ...]) -> str:
    return f"step {steps[0] + 1}" if len(steps) == 1 else f"steps {steps[0] + 1} to {steps[-1] + 1}"


def _steps(data: Data, player: Player) -> tuple[int, ...]:
    """The steps of a player that holds them whole."""
    features = data.inputs.shape[2]
    steps = tuple(sorted({each // features for each in player.inputs}))
    if len(steps) * features != len(player.inputs):
        what = f"{player.name!r} is a part of its steps, and attention goes to whole steps"
        raise InputError(what, where="players", expected="all features of a step in one player", do=f"ask {OTHERS}")
    return steps
