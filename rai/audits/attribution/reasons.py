"""The reasons of a sample of decisions: how much each feature, or each word, moved each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rai.audits._explained import main_output, question_of, sampled_rows
from rai.explainers import Attribution, Question, method
from rai.stats.bootstrap import row_weights
from rai.subject import Data, Floats, Ints, Subject, Vocabulary

SCORED = 500_000
"""Rows of a table that the model is asked about at most; a row of other data counts 25 times as much."""
DEARER = 25
MOST_ROWS = 300
FEWEST_ROWS = 40
BACKGROUND = 25
MOST_FEATURES = 400
LARGEST_BUDGET = 512
LEAST_OCCURRENCES = 5
DRAWS = 1000
STILL = 1e-7


@dataclass(frozen=True)
class Sample:
    """How many rows are explained, against how many, with how many coalitions each."""

    rows: int
    background: int
    budget: int


@dataclass(frozen=True)
class Reasons:
    """What moved the scores of the test rows at `rows`.

    Arrays are (rows, features): `values` what a feature added to the score, `sizes` the sum of the values without
    their signs, `errors` the sum of their standard errors, `counts` how often the feature (a word) occurs in the row.
    `total` (rows,) is the sum of sizes over all features, also those that are not named here.
    """

    names: tuple[str, ...]
    values: Floats
    sizes: Floats
    errors: Floats
    counts: Floats
    total: Floats
    rows: Ints
    scale: str

    @cached_property
    def importance(self) -> Floats:
        """Mean size of the values of each feature, over the rows or over the occurrences of the word."""
        return np.asarray(self.sizes.sum(axis=0) / np.maximum(self.counts.sum(axis=0), 1))

    @cached_property
    def shares(self) -> Floats:
        """Each feature's part of all that moved the scores, (features,); 0 where nothing did."""
        whole = self.total.sum()
        return np.asarray(self.sizes.sum(axis=0) / whole if self.moved else np.zeros(len(self.names)))

    @cached_property
    def order(self) -> Ints:
        """Positions of the features, the one with the largest share first."""
        return np.argsort(-self.shares, kind="stable")

    @property
    def moved(self) -> bool:
        """Whether any feature moves the score at all."""
        return bool(self.total.sum() > 0)

    def joined(self, names: Sequence[str]) -> "Reasons":
        """The same with features of one new name put together; `names` holds the new name of each feature."""
        kept = tuple(dict.fromkeys(names))
        member = np.array([[name == each for each in kept] for name in names], dtype=np.float64)
        return replace(
            self,
            names=kept,
            values=self.values @ member,
            sizes=self.sizes @ member,
            errors=self.errors @ member,
            counts=np.minimum(self.counts @ member, 1.0),
        )


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws, (draws, features), of importance and share."""

    importance: Floats
    shares: Floats


def resampled(reasons: Reasons, rng: np.random.Generator) -> Draws:
    """Importance and share of every feature on rows drawn anew with replacement, 1,000 times."""
    weights = np.concatenate(list(row_weights(len(reasons.rows), DRAWS, rng)))
    sizes, counts, total = weights @ reasons.sizes, weights @ reasons.counts, weights @ reasons.total
    none = np.full_like(sizes, np.nan)
    shares = np.divide(sizes, total[:, None], out=none.copy(), where=total[:, None] > 0)
    return Draws(np.divide(sizes, counts, out=none, where=counts > 0), shares)


def sample_of(data: Data) -> Sample:
    """How much is explained of data of this kind and width, so that the time is bounded."""
    players = len(data.players)
    allowed = SCORED if data.kind == "table" else SCORED // DEARER
    least = 4 * players + 2 if players > 6 else 2**players
    background = 1 if data.kind == "text" else BACKGROUND if data.kind == "table" else 5
    rows = int(np.clip(allowed // (least * background), FEWEST_ROWS, MOST_ROWS))
    background = int(np.clip(allowed // (least * rows), 1, background))
    return Sample(rows, background, int(np.clip(allowed // (rows * background), least, LARGEST_BUDGET)))


def too_wide(data: Data) -> str:
    """Why data of so many features is not explained here; empty where it is."""
    count = len(data.players)
    if not count:
        return "the data names no features"
    if count > MOST_FEATURES:
        return f"{count:,} features are more than the {MOST_FEATURES} that are explained within an audit"
    return ""


@dataclass(frozen=True)
class Explained:
    """A sample of decisions with what moved them: what was asked, what was answered, and the reasons in it."""

    question: Question
    attribution: Attribution
    reasons: Reasons


def explained_sample(subject: Subject) -> Explained:
    """Explain a sample of the test rows; of several classes, each row's predicted one."""
    size = sample_of(subject.data)
    rows = sampled_rows(subject, size.rows, "attribution rows")
    question = question_of(subject, rows, background=size.background, budget=size.budget)
    found = main_output(subject, method("shapley")(question), rows)
    return Explained(question, found, by_name(found, question.data, rows))


def by_name(found: Attribution, data: Data, rows: Ints) -> Reasons:
    """Reasons by feature, or by word where the data are texts."""
    values, errors = _calm(found), np.nan_to_num(found.error)
    if data.vocabulary is not None:
        return _by_word(replace(found, values=values, error=errors), data.inputs, data.vocabulary, rows)
    sizes = np.abs(values)
    return Reasons(found.players, values, sizes, errors, np.ones_like(values), sizes.sum(axis=1), rows, found.scale)


def _calm(found: Attribution) -> NDArray[np.float64]:
    """The values, zero for a feature that never moves the score by more than rounding in 32 bits does."""
    still = np.abs(found.values).max(axis=0, initial=0.0) <= STILL * np.abs(found.full).max(initial=0.0)
    return np.where(still, 0.0, found.values)


def _by_word(found: Attribution, tokens: Ints, words: Vocabulary, rows: Ints) -> Reasons:
    """Values of token positions put together by the token that stands there; rare words have no entry of their own."""
    kept = common_words(tokens, words)
    place = np.full(len(words.names) + 1, len(kept))
    place[kept] = np.arange(len(kept))
    row, column = np.arange(len(tokens))[:, None], place[tokens]

    def gathered(parts: Floats) -> Floats:
        table = np.zeros((len(tokens), len(kept) + 1))
        np.add.at(table, (row, column), parts)
        return table[:, :-1]

    sizes = np.abs(found.values)
    return Reasons(
        tuple(words.names[token] for token in kept),
        gathered(found.values),
        gathered(sizes),
        gathered(found.error),
        gathered(np.ones_like(sizes)),
        sizes.sum(axis=1),
        rows,
        found.scale,
    )


def common_words(tokens: Ints, words: Vocabulary) -> Ints:
    """Tokens that occur in at least five of the texts, (tokens,); padding and special tokens are no words."""
    appears = np.zeros((len(tokens), len(words.names)), dtype=np.bool_)
    np.put_along_axis(appears, np.asarray(tokens, dtype=np.int64), values=True, axis=1)
    appears[:, [words.pad, *words.special]] = False
    return np.flatnonzero(appears.sum(axis=0) >= LEAST_OCCURRENCES)
