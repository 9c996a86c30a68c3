"""What is asked of an explainer: which scores of which model, shared out over which features of which rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import Card, Head
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.subject import Data, Floats, Model


@dataclass(frozen=True)
class Target:
    """Which number is explained, from the raw outputs of a model: an array or a tensor of shape (rows, outputs).

    A binary model has one: its logit or log-odds, or the probability where it gives no logits. A model of several
    classes has one for each class, and a model whose `head` is None one for each raw output.
    """

    head: Head | None = None
    positive: int = 1
    names: tuple[str, ...] = ()
    scale: str = "raw output"

    def of(self, outputs: Any) -> Any:
        """The numbers to explain, (rows, explained), from raw outputs of shape (rows, outputs), array or tensor."""
        if outputs.shape[1] != 2 or self.head not in {Head.LOGITS, Head.PROBABILITIES}:
            return outputs
        mine = outputs[:, self.positive : self.positive + 1]
        other = outputs[:, 1 - self.positive : 2 - self.positive]
        return mine - other if self.head is Head.LOGITS else mine


def target_of(card: Card, head: Head, positive: int) -> Target:
    """What to explain of a model with this card: the positive class of two, each of several, or the value."""
    if head is Head.VALUE:
        return Target(head, scale="predicted value")
    scale = "log-odds" if head in {Head.LOGIT, Head.LOGITS} else "probability"
    if len(card.classes) > 2:
        return Target(head, positive, card.classes, "logit" if scale == "log-odds" else scale)
    named = card.classes[positive] if card.classes else "the positive class"
    return Target(head, positive, (named,), f"{scale} of {named}")


@dataclass(frozen=True)
class Question:
    """Rows to explain against a background of rows to compare with, both of one kind.

    `seed` makes every draw repeatable; `budget` is the most coalitions, samples or steps a row, None the method's own
    choice. `options` are words that only one method knows.
    """

    model: Model
    target: Target
    data: Data
    background: Data
    seed: int = 0
    budget: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def ask(self, inputs: Any) -> Floats:
        """The explained numbers, (rows, explained), of rows as the model takes them."""
        return np.asarray(self.target.of(self.model.scores(inputs)))

    @cached_property
    def full(self) -> NDArray[np.float64]:
        """The explained numbers of the rows themselves, (rows, explained)."""
        return np.asarray(self.ask(self.data.inputs), dtype=np.float64)

    def rng(self) -> np.random.Generator:
        """A fresh random stream of the seed."""
        return np.random.default_rng(self.seed)


def named(
    question: Question, found: Shares, base: Floats, *, method: str, rows_scored: int, note: str = ""
) -> Attribution:
    """An attribution from values and errors of shape (rows, players, outputs) and bases (rows, outputs)."""
    return Attribution(
        values=found.values,
        base=np.asarray(base, dtype=np.float64),
        full=question.full,
        error=found.error,
        players=tuple(each.name for each in question.data.players),
        method=method,
        rows_scored=rows_scored,
        note=note,
        outputs=question.target.names,
        scale=question.target.scale,
    ).tidied()


def gathered(question: Question, values: Floats) -> NDArray[np.float64]:
    """Values of single inputs, (rows, *inputs, outputs), summed to their players: (rows, players, outputs)."""
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1, values.shape[-1])
    return np.stack([flat[:, list(each.inputs)].sum(axis=1) for each in question.data.players], axis=1)
