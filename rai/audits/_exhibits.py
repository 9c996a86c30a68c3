"""Small builders of exhibits: numbers put into words, bars from measurements, lines from arrays."""

from collections.abc import Sequence

import numpy as np

from rai.audits._lift import shown
from rai.evidence import Bars, Line, Measurement
from rai.subject import Floats

COUNTS = ("rows", "columns")


def percent(share: float) -> str:
    """A share as a person reads it: 0.331 becomes "33.1 %"."""
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """A number with three telling digits."""
    return f"{value:.3g}"


def figure(value: float | None, unit: str = "") -> str:
    """A measured value in words: "not measured" where there is none."""
    if value is None:
        return "not measured"
    if unit == "share":
        return number(value)
    return f"{value:,.0f} {unit}" if unit in COUNTS else f"{number(value)} {unit}".strip()


def floats(values: Floats | Sequence[float]) -> tuple[float, ...]:
    """An array as the plain numbers that JSON takes."""
    return tuple(float(value) for value in values)


def line(name: str, x: Floats, y: Floats, *, low: Floats | None = None, high: Floats | None = None) -> Line:
    """One line of a curve from arrays of one length; points that are not finite are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    band = [floats(bound[known]) if bound is not None else () for bound in (low, high)]
    return Line(name, floats(x[known]), floats(y[known]), band[0], band[1])


def spread(found: Sequence[Measurement], key: str) -> str:
    """From which to which the values run: "10.9 % (Female) to 30.6 % (Male)"."""
    known = [each for each in found if each.value is not None]
    if not known:
        return "not measured"
    ends = min(known, key=_value), max(known, key=_value)
    named = [f"{figure(each.value, each.unit)} ({each.facet[key]})" for each in ends]
    if len(known) > 1 and _value(ends[0]) == _value(ends[1]):
        return f"{figure(ends[0].value, ends[0].unit)} in each"
    return named[0] if len(known) == 1 else " to ".join(named)


def _value(found: Measurement) -> float:
    return 0.0 if found.value is None else found.value


def bars(title: str, found: Sequence[Measurement], key: str, *, reference: float | None = None) -> Bars:
    """Measurements of one name, drawn one a line and labelled by their facet's `key`."""
    told = [f"{each.facet[key]}: {figure(each.value, each.unit)}" for each in found]
    return Bars(
        title,
        "; ".join(told) + ".",
        labels=tuple(each.facet[key] for each in found),
        values=tuple(each.value for each in found),
        lows=tuple(each.low for each in found),
        highs=tuple(each.high for each in found),
        counts=tuple(None if each.value is None else shown(each.rows) for each in found),
        reference=reference,
        unit=found[0].unit if found else "",
    )
