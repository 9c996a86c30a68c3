"""The rows of a table as LIME sees them: numbers to shake and categories to draw anew, one for each feature."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.games import Game
from rai.explainers.parts import parts
from rai.explainers.questions import Question
from rai.subject import Bools, Floats

Numbers = NDArray[np.float64]
NOTE = "weights of a local linear model; they do not add up to the score"
TABLE_NOTE = "weights of a local linear model, for a number per standard deviation; they do not add up to the score"


@dataclass(frozen=True)
class Space:
    """Tables of one number for each player: its input's value, or the position of its category.

    `rows` (rows, players) and `background` (background rows, players) are coded alike; `drawn` (players,) says which
    players are categories. `blocks[player][code]` holds a category's inputs. A player of several inputs (a one-hot
    column) is a category, and so is every column of a data frame.
    """

    game: Game
    rows: Numbers
    background: Numbers
    drawn: Bools
    blocks: tuple[Numbers, ...]

    def score(self, coded: Floats) -> Numbers:
        """Explained numbers, (n, outputs), of coded rows (n, players)."""
        inputs = np.empty((len(coded), self.game.rows.shape[1]), dtype=self.game.rows.dtype)
        for place, player in enumerate(self.game.players):
            column = coded[:, place]
            found = self.blocks[place][column.astype(np.int64)] if self.drawn[place] else column[:, None]
            inputs[:, list(player.inputs)] = found
        scores = np.asarray(self.game.score(inputs), dtype=np.float64)
        return scores.reshape(len(coded), -1)

    @cached_property
    def mean(self) -> Numbers:
        """Mean of each number in the background, 0 for a category, (players,)."""
        return np.where(self.drawn, 0.0, self.background.mean(axis=0))

    @cached_property
    def scale(self) -> Numbers:
        """Standard deviation of each number in the background, 1 for a constant or a category, (players,)."""
        spread = self.background.std(axis=0)
        return np.where(self.drawn | (spread < 10 * np.finfo(float).eps * np.abs(self.background).max()), 1.0, spread)


def space_of(question: Question) -> Space:
    """The space of a table; raise `InputError` where it holds NaN or inputs that belong to no feature."""
    game = next(iter(parts(question))).game
    if not game.covered:
        raise InputError("some inputs belong to no feature", where="players", do="use the method shapley")
    frame = hasattr(question.data.inputs, "iloc")
    if not frame and not (np.isfinite(game.rows).all() and np.isfinite(game.background).all()):
        raise InputError("a table with missing or infinite values has no neighbourhood to draw from", where="lime")
    look = _cells(question) if frame else _inputs(game)
    coded = [look(place) for place in range(len(game.players))]
    table, count = np.stack([each.codes for each in coded], axis=1), len(game.rows)
    drawn = np.array([frame or len(player.inputs) > 1 for player in game.players])
    return Space(game, table[:count], table[count:], drawn, tuple(each.blocks for each in coded))


@dataclass(frozen=True)
class _Coded:
    codes: Numbers
    blocks: Numbers


def _inputs(game: Game) -> Callable[[int], _Coded]:
    """Players of an array: one input is its own number, several are one category for each combination seen."""
    both = np.concatenate([game.rows, game.background]).astype(np.float64)

    def look(place: int) -> _Coded:
        block = both[:, list(game.players[place].inputs)]
        if block.shape[1] == 1:
            return _Coded(block[:, 0], block[:0])
        blocks, codes = np.unique(block, axis=0, return_inverse=True)
        return _Coded(codes.reshape(-1).astype(np.float64), blocks)

    return look


def _cells(question: Question) -> Callable[[int], _Coded]:
    """Columns of a data frame: one category for each value seen, which stands for the first row that has it."""
    ours, theirs = question.data.inputs, question.background.inputs

    def look(place: int) -> _Coded:
        column = question.data.players[place].inputs[0]
        cells: list[Any] = [*ours.iloc[:, column].tolist(), *theirs.iloc[:, column].tolist()]
        _, first, codes = np.unique([repr(cell) for cell in cells], return_index=True, return_inverse=True)
        return _Coded(codes.astype(np.float64), first[:, None].astype(np.float64))

    return look
