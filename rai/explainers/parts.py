"""The games of a question: what its rows are when some features are left out, for each kind of data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rai.data import mixer
from rai.data.sequences import ends, lengths_where
from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import Game, game
from rai.explainers.questions import Question, named
from rai.subject import Data, Floats, Ints, Player, Vocabulary

Solve = Callable[[Game, np.random.Generator], Shares]


@dataclass(frozen=True)
class Part:
    """Rows of a question that share one game: all rows of a table, the sequences of one length, or like texts.

    Texts are alike when they have one length and their special tokens stand in the same places.

    `rows` are their positions in the question, `players` the positions of the players they have.
    """

    rows: Ints
    players: Ints
    game: Game


def parts(question: Question) -> Iterator[Part]:
    """The games of a question; padding, special tokens and steps after the end are nobody's."""
    data = question.data
    if data.kind == "table" and hasattr(data.inputs, "iloc"):
        yield _frame(question)
    elif data.kind in {"table", "image"}:
        yield _flat(question)
    else:
        cut, lengths = _sequence if data.kind == "sequence" else _text, lengths_of(data)
        for length in np.unique(lengths):
            for rows in _alike(data, np.flatnonzero(lengths == length), length):
                yield cut(question, rows, length)


def lengths_of(data: Data) -> Ints:
    """How many steps or tokens each row has before its padding, (rows,)."""
    if data.kind == "sequence":
        return ends(data.inputs)
    return lengths_where(np.asarray(data.inputs != vocabulary_of(data).pad))


def _alike(data: Data, rows: Ints, length: int) -> list[Ints]:
    """Rows of one length, in groups whose special tokens stand in the same places: such tokens are nobody's."""
    if data.kind == "sequence":
        return [rows]
    special = np.isin(data.inputs[rows, :length], vocabulary_of(data).special)
    found, group = np.unique(special, axis=0, return_inverse=True)
    return [rows[group.ravel() == place] for place in range(len(found))]


def solved(question: Question, solve: Solve, method: str) -> Attribution:
    """Put every game of a question to `solve` and bring the answers together; players a row lacks get 0."""
    rng, rows = question.rng(), question.data.rows
    outputs = question.full.shape[1]
    values, error = np.zeros((2, rows, len(question.data.players), outputs))
    base = np.zeros((rows, outputs))
    scored = rows
    for part in parts(question):
        asked, counted = _counted(part.game)
        found = solve(asked, rng)
        where = np.ix_(part.rows, part.players)
        values[where], error[where] = found.values, found.error
        base[part.rows] = asked.empty
        scored += counted()
    return named(question, Shares(values, error), base, method=method, rows_scored=scored)


def _counted(asked: Game) -> tuple[Game, Callable[[], int]]:
    """The game with a count of the rows that its score is asked about."""
    seen: list[int] = []

    def score(inputs: Floats) -> Floats:
        seen.append(len(inputs))
        return asked.score(inputs)

    return replace(asked, score=score), lambda: sum(seen)


def _flat(question: Question) -> Part:
    inputs, shape = question.data.inputs, question.data.inputs.shape[1:]

    def score(flat: Floats) -> Floats:
        return question.ask(flat.reshape(-1, *shape))

    rows, background = inputs.reshape(len(inputs), -1), question.background.inputs
    return _part(question, score, rows, background.reshape(len(background), -1))


def _frame(question: Question) -> Part:
    """A data frame as positions of rows, column by column, so that cells of every kind can be mixed."""
    ours, theirs = question.data.inputs, question.background.inputs
    mixed = mixer(ours, theirs)
    rows, columns = ours.shape
    places = np.repeat(np.arange(rows + len(theirs))[:, None], columns, axis=1)

    def score(flat: Floats) -> Floats:
        return question.ask(mixed(np.asarray(flat, dtype=np.int64)))

    return _part(question, score, places[:rows], places[rows:])


def _part(question: Question, score: Any, rows: Floats, background: Floats) -> Part:
    players = question.data.players
    made = game(score, rows, background, players)
    return Part(np.arange(len(rows)), np.arange(len(players)), made)


def _sequence(question: Question, rows: Ints, length: int) -> Part:
    """Sequences of one length against the background's, whose missing steps hold the mean of each feature."""
    inputs, steps = question.data.inputs, question.data.inputs.shape[1]
    known = question.background.inputs
    means = np.nanmean(known, axis=(0, 1)) if len(known) else np.zeros(inputs.shape[2])
    background = np.where(np.isnan(known), means, known)[:, :length]

    def score(flat: Floats) -> Floats:
        short = flat.reshape(len(flat), length, -1)
        padded = np.full((len(flat), steps, inputs.shape[2]), np.nan, dtype=inputs.dtype)
        padded[:, :length] = short
        return question.ask(padded)

    return _short(question, score, rows, inputs[rows, :length].reshape(len(rows), -1), background)


def _text(question: Question, rows: Ints, length: int) -> Part:
    """Texts alike in length and special tokens, against the mask token in every place."""
    inputs, words = question.data.inputs, vocabulary_of(question.data)

    def score(flat: Floats) -> Floats:
        padded = np.full((len(flat), inputs.shape[1]), words.pad, dtype=inputs.dtype)
        padded[:, :length] = flat
        return question.ask(padded)

    chosen = inputs[rows, :length]
    own = ~np.isin(chosen[0], words.special)
    return _short(question, score, rows, chosen, np.full((1, length), words.mask), own)


def _short(question: Question, score: Any, rows: Ints, inputs: Floats, background: Floats, own: Any = None) -> Part:
    """The game of rows cut to one length, with the players that lie wholly within it."""
    width = inputs.shape[1]
    cut = [tuple(each for each in player.inputs if each < width) for player in question.data.players]
    there = [place for place, inputs_ in enumerate(cut) if inputs_ and (own is None or own[list(inputs_)].all())]
    players = tuple(Player(question.data.players[place].name, cut[place]) for place in there)
    flat = np.asarray(inputs, dtype=np.float64), np.asarray(background.reshape(len(background), -1), dtype=np.float64)
    return Part(rows, np.array(there, dtype=np.int64), game(score, *flat, players))


def vocabulary_of(data: Data) -> Vocabulary:
    """The vocabulary of texts; raise `InputError` where they have none."""
    if data.vocabulary is None:
        raise InputError("texts without a vocabulary cannot be explained", do="name it in the card")
    return data.vocabulary
