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
    def tokens(self) -> bool:
        """Whether its inputs are token numbers."""

    def width(self, inputs: Any) -> int | None:
        """How many numbers a row of such inputs should have, as far as the model tells.

        Of images it is how many channels, of sequences how many features, of texts how many tokens it knows.
        """

    def scores(self, inputs: Any) -> Floats:
        """Raw outputs, shape (rows, outputs)."""

    def ending(self, inputs: Any) -> Ending | None:
        """The last operation, or None where it cannot be seen."""

    def reading(self, *, tokens: bool) -> "Candidate":
        """The same model, to be handed token numbers as whole numbers, or anything else as 32-bit numbers."""

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
