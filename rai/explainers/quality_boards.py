"""What is the score of a row where only some of its features are known? Asked for another set of features each row."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rai.explainers.games import Game
from rai.explainers.parts import parts
from rai.explainers.questions import Question
from rai.subject import Bools, Ints

Exact = NDArray[np.float64]


@dataclass(frozen=True)
class Board:
    """Rows of a question that share a game, with the one output of each that is explained.

    `rows` are positions in the question, `players` positions among its players, `outputs` (rows,) those explained.
    """

    rows: Ints
    players: Ints
    game: Game
    outputs: Ints

    @cached_property
    def full(self) -> Exact:
        """Score of each row with every feature known, (rows,)."""
        return self.game.full[np.arange(len(self.rows)), self.outputs]

    @cached_property
    def empty(self) -> Exact:
        """Score of each row with no feature known, (rows,)."""
        return self.game.empty[np.arange(len(self.rows)), self.outputs]

    def scores(self, known: Bools) -> Exact:
        """Mean score over the background of each row in each of its own coalitions, (rows, coalitions).

        `known` (rows, coalitions, players) says who takes part.
        """
        found = self.game.own_values(known)
        return np.asarray(found[np.arange(len(self.rows)), :, self.outputs])

    def table(self) -> Exact:
        """Scores of all coalitions, (rows, 2^players); bit i of a position says whether player i takes part."""
        count = len(self.players)
        known = np.arange(2**count)[:, None] >> np.arange(count) & 1 == 1
        return self.scores(np.broadcast_to(known, (len(self.rows), *known.shape)))


def boards(question: Question, outputs: Ints) -> Iterator[Board]:
    """The games of a question with the output of each row that is explained; rows without features are left out."""
    for part in parts(question):
        if len(part.players):
            yield Board(part.rows, part.players, part.game, np.asarray(outputs)[part.rows])
