"""What an audit saw: numbers with intervals and counts, and exhibits to show them. Nobody judges here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SMALLEST_CELL = 5
"""Counts of people from 1 to 4 are never shown: they could point at a person."""


@dataclass(frozen=True)
class Measurement:
    """One number about the model, with how sure we are of it and how many rows stand behind it.

    `low` and `high` bound a 95 % interval unless `method` says otherwise. A `value` of None means that the
    number is undefined or could not be measured, and `reason` says why. `rows` counts the rows that enter the
    number; `smallest` the rows of the smallest group among them. `facet` says what the number is about, for
    example {"attribute": "sex", "group": "Female"}. For gaps between groups: `p` is the permutation p-value of
    "no difference", `chance` the gap that chance alone would show on average, `corrected` the gap less its
    upward bias, `detectable` the smallest true gap that these rows could have shown with 80 % power.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    facet: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    method: str = ""
    reason: str = ""
    smallest: int | None = None
    p: float | None = None
    chance: float | None = None
    corrected: float | None = None
    detectable: float | None = None

    def __post_init__(self) -> None:
        for each in (self.value, self.low, self.high, self.p, self.chance, self.corrected, self.detectable):
            if each is not None and not math.isfinite(each):
                raise ValueError(f"{self.name}: a measurement is a finite number or None, not {each}")
        incomplete = self.value is None or self.low is None or self.high is None
        if incomplete and not self.reason:
            raise ValueError(f"{self.name}: a number without an interval needs a reason")


@dataclass(frozen=True)
class Table:
    """Rows and columns of words and numbers. Cells are text, numbers, or None for 'not measured'."""

    title: str
    alt: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Bars:
    """One value a label: drawn as dots with intervals where `lows` and `highs` are given, as bars otherwise.

    `counts` are the rows behind each label; `reference` is a line to hold the values against.
    """

    title: str
    alt: str
    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...] = ()
    highs: tuple[float | None, ...] = ()
    counts: tuple[int | None, ...] = ()
    reference: float | None = None
    unit: str = ""
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True)
class Line:
    """One line of a curve: points (x, y) and, where known, a band from `low` to `high`."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curve:
    """Lines over a common pair of axes, each at most 100 points; `diagonal` draws y = x."""

    title: str
    alt: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    diagonal: bool = False
    kind: Literal["curve"] = "curve"


@dataclass(frozen=True)
class Scatter:
    """Two quantities of many rows, binned: `counts[i][j]` rows lie in x bin j and y bin i. Never single rows."""

    title: str
    alt: str
    x_label: str
    y_label: str
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    kind: Literal["scatter"] = "scatter"


@dataclass(frozen=True)
class Heat:
    """A matrix drawn as shades, each cell also written out. None is 'not measured' or suppressed."""

    title: str
    alt: str
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    row_title: str = ""
    column_title: str = ""
    unit: str = ""
    kind: Literal["heat"] = "heat"


@dataclass(frozen=True)
class Overlay:
    """Where in a picture the reasons lie: grey levels 0 to 255 under a coarser or equal grid of signed values.

    `picture` is at most 64 × 64 and never shows one person: it is an average of images, or made up. A positive value
    speaks for what the title names.
    """

    title: str
    alt: str
    picture: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    unit: str = ""
    kind: Literal["overlay"] = "overlay"


@dataclass(frozen=True)
class Tokens:
    """Words in order, each shaded by a signed value; None is 'not measured'. Never a text that a person wrote."""

    title: str
    alt: str
    tokens: tuple[str, ...]
    values: tuple[float | None, ...]
    unit: str = ""
    kind: Literal["tokens"] = "tokens"


@dataclass(frozen=True)
class Text:
    """A paragraph that states one thing found."""

    title: str
    text: str
    kind: Literal["text"] = "text"


Exhibit = Table | Bars | Curve | Scatter | Heat | Overlay | Tokens | Text


@dataclass(frozen=True)
class Evidence:
    """All that an audit can say before anyone judges it.

    `repeatable` is False where equal inputs do not give equal numbers, as with seconds and joules.
    """

    measurements: tuple[Measurement, ...]
    exhibits: tuple[Exhibit, ...] = ()
    method: str = ""
    caveats: tuple[str, ...] = ()
    repeatable: bool = True
