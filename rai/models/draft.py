"""A model that was opened and not yet examined: how it answers, and what was noticed on the way."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rai.card import Head
from rai.subject import Floats, Model

Ending = Literal["sigmoid", "softmax", "log_softmax", "linear", "other"]
"""The last operation of a model, where it can be seen."""


class Candidate(Protocol):
    """A model whose head is still to be decided."""

    @property
    def width(self) -> int | None:
        """How many numbers a row should have, as far as the model tells."""

    def scores(self, inputs: Any) -> Floats:
        """Raw outputs, shape (rows, outputs)."""

    def ending(self, inputs: Any) -> Ending | None:
        """The last operation, or None where it cannot be seen."""

    def headed(self, head: Head) -> Model:
        """The same model, its outputs to be read as `head` says."""


@dataclass(frozen=True)
class Draft:
    """A candidate, the format it came in, and notes for the report."""

    candidate: Candidate
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """A model ready for trial.

    `format` is the kind of file in words; `head_reason` says why the outputs are read as they are, with any doubt;
    `notes` is what a reader of the report should know; `sha256` is the file's, or empty for a model in memory.
    """

    model: Model
    format: str
    head_reason: str
    notes: tuple[str, ...]
    sha256: str
