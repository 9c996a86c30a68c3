"""What is on trial: a model, the data it is tried on, and what its owner declares. Read-only."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rai.card import Card, Head
from rai.ledger import Ledger

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
Trust = Literal["data only", "carries code", "in memory", "predictions only"]
Metric = Callable[[Any, Any], float]
Kind = Literal["table", "image", "sequence", "text"]
UNKNOWN = -1


class Model(Protocol):
    """A model as audits see it: it answers features with numbers and never receives labels or groups."""

    @property
    def head(self) -> Head:
        """How the numbers are to be read."""

    @property
    def trust(self) -> Trust:
        """What had to be believed in order to load it."""

    def scores(self, inputs: Any) -> Floats:
        """Return the raw outputs, shape (rows, outputs), computed in batches."""

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        """Run a top-level function `procedure(module, inputs, **arguments)` where the torch module lives."""


@dataclass(frozen=True)
class Groups:
    """One sensitive attribute: `codes[i]` is row i's position in `levels`, or -1 where it is unknown."""

    name: str
    levels: tuple[str, ...]
    codes: Ints

    @cached_property
    def counts(self) -> Ints:
        """Rows of each level, in the order of `levels`."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))

    def mask(self, level: int) -> Bools:
        """Rows that belong to the level at this position."""
        return np.asarray(self.codes == level)


def cross(first: Groups, second: Groups) -> Groups:
    """Return the intersection of two attributes, for example sex × race; only combinations that occur."""
    known = (first.codes >= 0) & (second.codes >= 0)
    pairs = first.codes.astype(np.int64) * len(second.levels) + second.codes
    present, codes = np.unique(pairs[known], return_inverse=True)
    full = np.full(len(first.codes), UNKNOWN, dtype=np.int64)
    full[known] = codes
    levels = tuple(
        f"{first.levels[pair // len(second.levels)]} × {second.levels[pair % len(second.levels)]}" for pair in present
    )
    return Groups(f"{first.name} × {second.name}", levels, full)


@dataclass(frozen=True)
class Player:
    """What a person calls a feature: a raw column and the positions of the inputs it became."""

    name: str
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Vocabulary:
    """What the numbers of a text mean: `names[i]` is token i.

    `pad` fills up short texts, `mask` stands for a token left out, and `special` tokens, such as those that mark begin
    and end, are no words.
    """

    names: tuple[str, ...]
    pad: int = 0
    mask: int = 0
    special: tuple[int, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where rows or tensors came from: a file's name and SHA-256, or "in memory"."""

    name: str
    sha256: str = ""


@dataclass(frozen=True)
class Data:
    """Rows to try a model on.

    `inputs` is what the model takes, rows first: a table (rows, inputs) or a data frame; images (rows, channels,
    height, width); sequences (rows, steps, features), NaN after the end of a short one; texts as token numbers (rows,
    tokens), int64, filled up with the vocabulary's `pad`. `features` is a numeric view of them, shape (rows, numbers),
    and `players` own positions in a row of `inputs` laid flat. `labels` holds class positions (int) or regression
    targets (float), or None. `missing` marks cells that were empty in the source, shape (rows, players).
    """

    kind: Kind
    inputs: Any
    features: Floats
    labels: Floats | Ints | None
    groups: Mapping[str, Groups]
    players: tuple[Player, ...]
    missing: Bools | None = None
    source: Source = Source("in memory")
    vocabulary: Vocabulary | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.features)

    def take(self, rows: Ints) -> "Data":
        """The rows at these positions, in this order."""
        return replace(
            self,
            inputs=self.inputs.iloc[rows] if hasattr(self.inputs, "iloc") else self.inputs[rows],
            features=self.features[rows],
            labels=None if self.labels is None else self.labels[rows],
            groups={name: replace(each, codes=each.codes[rows]) for name, each in self.groups.items()},
            missing=None if self.missing is None else self.missing[rows],
        )

    def attributes(self, *, intersections: bool) -> tuple[Groups, ...]:
        """Each sensitive attribute, and with `intersections` each pair of them crossed."""
        single = tuple(self.groups.values())
        if not intersections:
            return single
        pairs = [(a, b) for i, a in enumerate(single) for b in single[i + 1 :]]
        return single + tuple(cross(a, b) for a, b in pairs)


@dataclass(frozen=True)
class Subject:
    """A model on trial. `scores` are computed once; `rng(name)` gives each audit a stream of its own.

    `ledger` is what training promised of this very model, None where nobody wrote it down. `baseline` is the model that
    this one was made to improve on, for the same inputs.
    """

    name: str
    model: Model
    data: Data
    card: Card
    reference: Data | None = None
    seed: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    ledger: Ledger | None = None
    baseline: Model | None = None

    @cached_property
    def scores(self) -> Floats:
        """Raw outputs of the model on the test rows, shape (rows, outputs)."""
        return _frozen(self.model.scores(self.data.inputs))

    @cached_property
    def probabilities(self) -> Floats | None:
        """Class probabilities, shape (rows, classes), or None for a regression model."""
        found = probabilities(self.model.head, self.scores, self.positive)
        return None if found is None else _frozen(found)

    @cached_property
    def predicted(self) -> Floats | Ints:
        """Predicted class positions (int), or predicted values (float) for a regression model."""
        if self.probabilities is None:
            return _frozen(np.asarray(self.scores[:, 0], dtype=np.float64))
        return _frozen(decisions(self.probabilities, self.positive, self.card.threshold))

    @cached_property
    def positive(self) -> int:
        """Position of the positive class (the last one unless the card says otherwise)."""
        named = self.card.positive
        return self.card.classes.index(named) if named is not None else len(self.card.classes) - 1

    def rng(self, name: str) -> np.random.Generator:
        """A random stream that depends on the seed and the name alone, so the order of audits never matters."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])


def probabilities(head: Head, scores: Floats, positive: int = 1) -> Floats | None:
    """Class probabilities (rows, classes) from raw outputs; None for a regression head.

    A single logit or probability is P(positive class), whose position among the two classes is `positive`.
    """
    match head:
        case Head.VALUE:
            return None
        case Head.LOGIT:
            return _two_columns(_sigmoid(scores[:, 0]), positive)
        case Head.PROBABILITY:
            return _two_columns(np.asarray(scores[:, 0], dtype=np.float64), positive)
        case Head.LOGITS:
            return _softmax(scores)
        case Head.PROBABILITIES:
            return np.asarray(scores, dtype=np.float64)


def decisions(chances: Floats, positive: int, threshold: float) -> Ints:
    """Predicted class positions: the most probable class; of two classes the positive one when P >= threshold."""
    if chances.shape[1] == 2:
        return np.where(chances[:, positive] >= threshold, positive, 1 - positive)
    return np.asarray(np.argmax(chances, axis=1))


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written through, so that no audit can change what another one reads."""
    view = values.view()
    view.flags.writeable = False
    return view


def _two_columns(chance: Floats, positive: int) -> Floats:
    columns = [1.0 - chance, chance] if positive == 1 else [chance, 1.0 - chance]
    return np.stack(columns, axis=1)


def _sigmoid(logit: Floats) -> Floats:
    exact = np.asarray(logit, dtype=np.float64)
    small = np.exp(-np.abs(exact))
    return np.asarray(np.where(exact >= 0, 1.0, small) / (1.0 + small))


def _softmax(logits: Floats) -> Floats:
    exact = np.asarray(logits, dtype=np.float64)
    grown = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))
