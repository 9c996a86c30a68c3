"""Why one decision came out as it did: what is known about one row of the data, ready to be shown."""

import json
from dataclasses import asdict, dataclass

from rai.evidence import Exhibit
from rai.subject import Source

NOTICE = "This page shows one person's data. Handle it as you handle that data."
CLEARLY = 0.95
"""Of random orders, the share that an order of features must beat to be called better than chance."""


@dataclass(frozen=True)
class Contribution:
    """What one feature added to the score: its `value`, with a standard `error` where the method has one.

    `shown` is what the row holds there, as its file says it, where that is known. An error of 0 means that nothing was
    sampled.
    """

    feature: str
    shown: str
    value: float
    error: float | None

    @property
    def label(self) -> str:
        """The feature with what the row holds there: "age = 39"."""
        return f"{self.feature} = {self.shown}" if self.shown else self.feature


@dataclass(frozen=True)
class Trial:
    """The order of the features put to the test: how the score falls as they are taken away, largest first.

    `ours` is the mean score along that way and `chance` the mean along `orders` random ones; `beaten` is the share of
    these that lie above ours, ties counting half.
    """

    ours: float
    chance: float
    beaten: float
    orders: int

    @property
    def better(self) -> bool:
        """Whether the order tells more than chance does."""
        return self.beaten >= CLEARLY


@dataclass(frozen=True)
class Described:
    """The model and the files that an explanation speaks of, and how the model decided on the row."""

    name: str
    version: str
    trust: str
    task: str
    model: Source
    data: Source
    reference: Source | None
    decision: str
    chance: float | None


@dataclass(frozen=True)
class Explanation:
    """One row's score shared out over its features. Rows are counted from 1.

    `base` is the mean score of the `background` rows compared with, or where that is 0, of the row with all its words
    masked; `full` is the row's own. `gap` says how far the values miss full - base, as a share of it. `trial` is None
    where it was not run; `trial_note` says why. `exhibit` is the row itself with its reasons, for images, sequences
    and texts.
    """

    about: Described
    row: int
    rows: int
    method: str
    scale: str
    base: float
    full: float
    contributions: tuple[Contribution, ...]
    gap: float
    background: int
    seed: int
    rows_scored: int
    note: str = ""
    trial: Trial | None = None
    trial_note: str = ""
    exhibit: Exhibit | None = None
    warnings: tuple[str, ...] = ()

    @property
    def strongest(self) -> tuple[Contribution, ...]:
        """The contributions, the largest first, whichever their sign."""
        return tuple(sorted(self.contributions, key=lambda each: -abs(each.value)))


def to_json(explanation: Explanation) -> str:
    """The whole explanation as JSON text, with the notice that it shows one person's data."""
    return json.dumps({"notice": NOTICE} | asdict(explanation), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
