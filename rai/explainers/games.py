"""What is a model's score when only some features of a row are known?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import Bools, Floats, Ints, Player

Score = Callable[[Floats], Floats]
CHUNK_BYTES = 2 * 2**20
MOST_ROWS = 2**16


@dataclass(frozen=True)
class Game:
    """The interventional game: features outside a coalition are taken from each background row in turn.

    v(S) = mean over background rows b of score(x on the inputs of S, b elsewhere). `rows` (rows, inputs) are explained
    against `background` (background rows, inputs). `score` maps (n, inputs) to (n,) or (n, outputs). Inputs
    that no player owns always keep the row's own value. Source: Lundberg & Lee 2017 (arXiv:1705.07874); Janzing et
    al. 2020 (arXiv:1910.13413) argue for the interventional reading.
    """

    score: Score
    rows: Floats
    background: Floats
    players: tuple[Player, ...]

    @cached_property
    def owner(self) -> Ints:
        """Position of the player that owns each input, (inputs,); inputs without one hold the number of players."""
        found = np.full(self.rows.shape[1], len(self.players))
        for position, player in enumerate(self.players):
            found[list(player.inputs)] = position
        return found

    @property
    def covered(self) -> bool:
        """Whether every input belongs to a player, so that the empty coalition is the same for all rows."""
        return bool((self.owner < len(self.players)).all())

    @cached_property
    def full(self) -> NDArray[np.float64]:
        """Scores of the rows themselves, (rows, outputs)."""
        steps = _steps(len(self.rows), self._most_rows)
        return np.concatenate([self._asked(self.rows[part].copy()) for part in steps])

    @cached_property
    def empty(self) -> NDArray[np.float64]:
        """Mean score where every player's inputs come from the background, (rows, outputs)."""
        nobody = np.zeros((1, len(self.players)), dtype=bool)
        if not self.covered:
            return self.values(nobody)[:, 0]
        first = Game(self.score, self.rows[:1], self.background, self.players)
        return np.repeat(first.values(nobody)[:, 0], len(self.rows), axis=0)

    def values(self, coalitions: Bools, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Mean score of each row in each coalition, (rows, coalitions, outputs); memberships (coalitions, players).

        The model is asked in chunks of at most 2 MB of inputs, which stay in the cache.
        """
        chosen = self.rows[rows]
        return self._values(chosen, np.broadcast_to(coalitions, (len(chosen), *coalitions.shape)))

    def own_values(self, coalitions: Bools) -> NDArray[np.float64]:
        """Mean score of each row in coalitions of its own, (rows, coalitions, outputs).

        `coalitions` (rows, coalitions, players) says who takes part. The model is asked in chunks as by `values`.
        """
        return self._values(self.rows, coalitions)

    def cost(self, coalitions: int) -> int:
        """Rows that the model scores for all rows, for `full`, `empty` and this many coalitions of each row."""
        rows, backdrop = len(self.rows), len(self.background)
        return rows + (1 if self.covered else rows) * backdrop + rows * coalitions * backdrop

    @property
    def _most_rows(self) -> int:
        width = max(1, int(self.rows.shape[1] * self.rows.itemsize))
        return max(1, min(MOST_ROWS, CHUNK_BYTES // width))

    def _backdrops(self) -> Iterator[Floats]:
        return (self.background[part] for part in _steps(len(self.background), self._most_rows))

    def _values(self, chosen: Floats, coalitions: Bools) -> NDArray[np.float64]:
        rows, count, _ = coalitions.shape
        if not count:
            return np.zeros((rows, 0, self.full.shape[1]))
        step = max(1, self._most_rows // min(len(self.background), self._most_rows))
        places = (np.divmod(np.arange(part.start, part.stop), count) for part in _steps(rows * count, step))
        means = [self._averaged(chosen[row], self._inputs_of(coalitions[row, place])) for row, place in places]
        return np.concatenate(means).reshape(rows, count, -1)

    def _inputs_of(self, coalitions: Bools) -> Bools:
        """Which inputs are the row's own in each coalition, (coalitions, inputs)."""
        nobody = np.ones((len(coalitions), 1), dtype=bool)
        return np.concatenate([coalitions, nobody], axis=1)[:, self.owner]

    def _averaged(self, rows: Floats, known: Bools) -> NDArray[np.float64]:
        """Mean score over the background of each row where only the known inputs are its own."""
        sums = [self._sums(rows, known, backdrop) for backdrop in self._backdrops()]
        return np.asarray(sum(sums) / len(self.background))

    def _sums(self, rows: Floats, known: Bools, backdrop: Floats) -> NDArray[np.float64]:
        mixed = np.where(known[:, None, :], rows[:, None, :], backdrop[None])
        scores = self._asked(mixed.reshape(-1, rows.shape[1]))
        return np.asarray(scores.reshape(len(rows), len(backdrop), scores.shape[1]).sum(axis=1))

    def _asked(self, inputs: Floats) -> NDArray[np.float64]:
        scores = np.array(self.score(inputs), dtype=np.float64)
        if scores.ndim not in {1, 2} or len(scores) != len(inputs):
            raise InputError(f"the score has shape {scores.shape}", expected=f"one number a row: ({len(inputs)},)")
        if not np.isfinite(scores).all():
            raise InputError("the model's score is not finite for some rows", do="look for NaN or overflow in it")
        return scores.reshape(len(inputs), -1)


def game(score: Score, rows: Floats, background: Floats, players: Sequence[Player]) -> Game:
    """Return the game of these rows against this background, its parts checked.

    Rows and background are given one numeric type. Raises InputError where shapes or players do not fit.
    """
    kind = np.result_type(rows, background)
    ours, theirs = np.asarray(rows, dtype=kind), np.asarray(background, dtype=kind)
    _check_shapes(ours, theirs)
    _check_players(players, ours.shape[1])
    return Game(score, ours, theirs, tuple(players))


def _check_shapes(rows: Floats, background: Floats) -> None:
    for name, table in (("rows to explain", rows), ("background", background)):
        if table.ndim != 2 or not len(table):
            raise InputError(f"shape {table.shape}", where=name, expected="a table of at least one row")
    if rows.shape[1] != background.shape[1]:
        expected = f"{rows.shape[1]} inputs as in the rows to explain"
        raise InputError(f"{background.shape[1]} inputs", where="background", expected=expected)


def _check_players(players: Sequence[Player], inputs: int) -> None:
    owned = [each for player in players for each in player.inputs]
    strange = sorted({each for each in owned if not 0 <= each < inputs})
    if strange:
        raise InputError(f"input {strange[0]} does not exist", where="players", expected=f"0 to {inputs - 1}")
    if len(set(owned)) < len(owned):
        raise InputError("an input is owned twice", where="players", expected="each input in one player at most")


def _steps(total: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, total)) for start in range(0, total, step))
