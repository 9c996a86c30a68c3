"""What a card says: the model's task and outputs, its network, its files, and how a row becomes numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Task = Literal["binary", "multiclass", "regression"]


class Head(StrEnum):
    """How a model's outputs are to be read.

    `logit`: one number a row, sigmoid gives P(positive). `logits`: one number a class, softmax gives the
    probabilities. `probability`: P(positive) itself. `probabilities`: one a class. `value`: a regression value.
    """

    LOGIT = "logit"
    LOGITS = "logits"
    PROBABILITY = "probability"
    PROBABILITIES = "probabilities"
    VALUE = "value"


@dataclass(frozen=True)
class Column:
    """One raw column and how it becomes model inputs.

    A `number` becomes (x - mean) / scale. A `category` becomes one input for each of `categories` (one-hot, less the
    one named in `drop`), or with `encoding = "ordinal"` one input: (position in the list - mean) / scale. `fill`
    stands in for a missing value; without it a missing value is an error. For the audit of recourse: an `immutable`
    column cannot be changed by the person, and others only from `minimum` to `maximum` and in `direction`.
    """

    __pydantic_config__ = STRICT

    name: str
    kind: Literal["number", "category"]
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    encoding: Literal["onehot", "ordinal"] = "onehot"
    drop: str | None = None
    fill: str | float | None = None
    immutable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    direction: Literal["both", "increase", "decrease"] = "both"

    @property
    def width(self) -> int:
        """How many model inputs this column becomes."""
        one = self.kind == "number" or self.encoding == "ordinal"
        return 1 if one else len(self.categories) - (self.drop is not None)


@dataclass(frozen=True)
class ImageInput:
    """Each row is an image of `size` (height, width); others are resized.

    A value v from 0 to 1 becomes (v - mean) / scale: `mean` and `scale` hold one number for each channel, or
    none. `patches` cuts the image into that many parts a side; each is one feature in explanations.
    """

    __pydantic_config__ = STRICT

    kind: Literal["image"]
    size: tuple[int, int]
    channels: Literal[1, 3] = 1
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    patches: int = 4


@dataclass(frozen=True)
class SequenceInput:
    """Each row is a sequence of at most `steps` time steps of the named `features`; v becomes (v - mean) / scale.

    `segments` cuts the time axis into that many parts; each part of each feature is one feature in explanations.
    """

    __pydantic_config__ = STRICT

    kind: Literal["sequence"]
    features: tuple[str, ...]
    steps: int
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    segments: int = 4


@dataclass(frozen=True)
class TextInput:
    """Each row is a text in `column`, cut into at most `length` tokens of a `vocabulary`.

    `vocabulary` is a file beside the card: one token a line (texts are then cut at everything but letters, digits and
    apostrophes, in lower case where `lowercase`), or the JSON of a Hugging Face tokenizer.
    """

    __pydantic_config__ = STRICT

    kind: Literal["text"]
    vocabulary: str
    column: str = "text"
    length: int = 128
    lowercase: bool = True
    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    mask: str = "[MASK]"


@dataclass(frozen=True)
class Files:
    """Which files and columns are audited. Paths are relative to the card.

    `bands` cuts a numeric sensitive column: age = [30, 50] gives "under 30", "30 to under 50", "50 and over".
    `missing_values` are texts that mean "missing", beside the empty cell.
    """

    __pydantic_config__ = STRICT

    test: str | None = None
    reference: str | None = None
    target: str | None = None
    sensitive: tuple[str, ...] = ()
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    intersections: bool = True
    missing_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Which of rai's own architectures the tensors belong to, its arguments, and the networks that it is made of.

    `parts` are given to an architecture that holds others, such as one that adjusts the answers of a `base`.
    """

    __pydantic_config__ = STRICT

    kind: str
    arguments: Mapping[str, str | bool | int | float | tuple[int, ...]] = field(default_factory=dict)
    parts: Mapping[str, "Network"] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Everything the owner declares about the model. Undeclared text fields stay visibly empty in the report.

    `baseline` is the file of a model that this one was made to improve on, relative to the card; its own card lies
    beside it. `needed_at_predict` names sensitive columns that the model is handed with each row it decides on.
    """

    __pydantic_config__ = STRICT

    task: Task
    name: str = ""
    version: str = ""
    head: Head | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float = 0.5
    purpose: str = ""
    owner: str = ""
    intended_use: str = ""
    factory: str | None = None
    network: Network | None = None
    data: Files = field(default_factory=Files)
    input: Annotated[ImageInput | SequenceInput | TextInput, Field(discriminator="kind")] | None = None
    columns: tuple[Column, ...] = ()
    baseline: str | None = None
    needed_at_predict: tuple[str, ...] = ()
