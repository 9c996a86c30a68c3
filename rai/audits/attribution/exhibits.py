"""Pictures of the reasons: which way features pull, where in time, where in an image, and which words."""

from collections.abc import Sequence

import numpy as np

from rai.audits._exhibits import number
from rai.audits._explained_cells import unordered
from rai.audits._lift import hidden
from rai.audits.attribution.reasons import LEAST_OCCURRENCES, Reasons
from rai.evidence import Exhibit, Heat, Tokens
from rai.subject import Floats, Subject

SHOWN = 10
BINS = 9
FIFTHS = ("lowest fifth", "second", "middle", "fourth", "highest fifth")
WORDS = 20


def spread_heat(reasons: Reasons) -> tuple[Exhibit, ...]:
    """How the values of the first features lie: rows counted in bins of the value, 1 to 4 withheld."""
    top = reasons.order[:SHOWN]
    if not reasons.moved or not len(top):
        return ()
    reach = float(np.quantile(np.abs(reasons.values[:, top]), 0.99)) or float(np.abs(reasons.values[:, top]).max())
    edges = np.linspace(-reach, reach, BINS + 1)
    counts = [_binned(reasons, int(place), edges) for place in top]
    title = f"How the features pull: {_pulls(reasons, int(top[0]))}"
    return (
        Heat(
            title,
            f"Explained rows by what each feature added to the {reasons.scale}; the end bins hold all beyond them. "
            "Counts of 1 to 4 are withheld.",
            row_labels=tuple(reasons.names[place] for place in top),
            column_labels=tuple(
                f"{number(a)} to {number(b)}" for a, b in zip(edges.tolist()[:-1], edges.tolist()[1:], strict=True)
            ),
            values=tuple(tuple(None if hidden(count) else float(count) for count in row) for row in counts),
            row_title="feature",
            column_title=f"added to the {reasons.scale}",
            unit="rows",
        ),
    )


def _binned(reasons: Reasons, place: int, edges: Floats) -> list[int]:
    there = reasons.counts[:, place] > 0
    values = np.clip(reasons.values[there, place], edges[0], edges[-1])
    return [int(count) for count in np.histogram(values, edges)[0]]


def _pulls(reasons: Reasons, place: int) -> str:
    there = reasons.counts[:, place] > 0
    up = float(np.mean(reasons.values[there, place] > 0))
    return f"{reasons.names[place]} raises the score of {up:.0%} of the explained rows and lowers that of the rest"


def direction_heat(subject: Subject, reasons: Reasons) -> tuple[Exhibit, ...]:
    """Whether low or high values of a number raise the score: mean value by fifths of the number."""
    data, other = subject.data, unordered(subject)
    top = [int(place) for place in reasons.order[:SHOWN] if not other[place]]
    if not reasons.moved or not top:
        return ()
    columns = [data.features[reasons.rows, data.players[place].inputs[0]] for place in top]
    lines = [_by_fifths(column, reasons.values[:, place]) for column, place in zip(columns, top, strict=True)]
    return (
        Heat(
            f"Which way numbers pull: {_trend(lines[0], reasons.names[top[0]])}",
            f"Mean that each number added to the {reasons.scale}, by fifths of its values, lowest to highest. Fifths "
            f"of fewer than {LEAST_OCCURRENCES} rows, as where many rows share one value, are withheld.",
            row_labels=tuple(reasons.names[place] for place in top),
            column_labels=FIFTHS,
            values=tuple(lines),
            row_title="feature",
            column_title="value of the feature",
        ),
    )


def _by_fifths(column: Floats, values: Floats) -> tuple[float | None, ...]:
    cuts = np.quantile(column, [0.2, 0.4, 0.6, 0.8])
    fifth = np.searchsorted(cuts, column, side="left")
    parts = [values[fifth == each] for each in range(len(FIFTHS))]
    return tuple(float(part.mean()) if len(part) >= LEAST_OCCURRENCES else None for part in parts)


def _trend(line: Sequence[float | None], name: str) -> str:
    known = [each for each in line if each is not None]
    if len(known) < 2:
        return f"too few different values of {name} to say"
    return f"low values of {name} add {number(known[0])}, high ones {number(known[-1])}"


def time_heat(reasons: Reasons, series: Sequence[str], times: Sequence[str]) -> tuple[Exhibit, ...]:
    """Shares of all that moves the score by series and time; `series` and `times` name each feature's."""
    if not reasons.moved:
        return ()
    rows, columns = tuple(dict.fromkeys(series)), tuple(dict.fromkeys(times))
    cells = dict(zip(zip(series, times, strict=True), reasons.shares.tolist(), strict=True))
    first = int(reasons.order[0])
    return (
        Heat(
            f"Where in time the reasons lie: most in {series[first]}, {times[first]}",
            "Part of all that moves the score, by series and part of time.",
            row_labels=rows,
            column_labels=columns,
            values=tuple(tuple(cells.get((row, column)) for column in columns) for row in rows),
            row_title="series",
            column_title="time",
            unit="share",
        ),
    )


def word_strip(reasons: Reasons) -> tuple[Exhibit, ...]:
    """The words that move the score farthest where they stand, from those that raise it to those that lower it."""
    if not reasons.moved or not reasons.names:
        return ()
    mean = reasons.values.sum(axis=0) / np.maximum(reasons.counts.sum(axis=0), 1)
    far = np.argsort(-np.abs(mean), kind="stable")[:WORDS]
    order = far[np.argsort(-mean[far], kind="stable")]
    best = int(far[0])
    return (
        Tokens(
            f"Words that move the {reasons.scale} farthest: {reasons.names[best]}, by {number(float(mean[best]))}",
            "Mean of what each word added where it stands, over all its places in the explained texts; words of at "
            f"least {LEAST_OCCURRENCES} texts.",
            tokens=tuple(reasons.names[place] for place in order),
            values=tuple(float(mean[place]) for place in order),
            unit=reasons.scale,
        ),
    )
