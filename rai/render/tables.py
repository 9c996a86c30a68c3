"""Every exhibit as rows and columns: the table beside each chart, and all that Markdown can show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rai.evidence import Bars, Curve, Evidence, Exhibit, Heat, Line, Measurement, Overlay, Scatter, Table, Tokens
from rai.render.charts.svg import labels
from rai.render.words import about, column_places, exact, figure, humane, places_of, visible

MOST_POINTS = 20
MOST_BINS = 40
DOUBT = "do not rely"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """One cell: its text and, for a number, the same number as report.json writes it."""

    text: str
    exact: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows under column names; the first column names the row. `notes` stand below."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        held = [{j for j, cell in enumerate(row) if cell.exact} for row in self.rows]
        return tuple(any(j in row for row in held) for j in range(len(self.columns)))

    @property
    def doubtful(self) -> tuple[bool, ...]:
        """Which rows say of themselves that they are not to be relied on."""
        return tuple(any(cell.text.lower().startswith(DOUBT) for cell in row) for row in self.rows)


def sheet(exhibit: Exhibit) -> Sheet | None:
    """The exhibit's numbers as a table; None for text."""
    found: Sheet | None = None
    match exhibit:
        case Table():
            found = _by_column(exhibit.columns, exhibit.rows)
        case Bars():
            found = _bars(exhibit)
        case Curve():
            found = _curve(exhibit)
        case Scatter():
            found = _scatter(exhibit)
        case Heat():
            found = _heat(exhibit)
        case Overlay():
            found = _overlay(exhibit)
        case Tokens():
            rows = zip(exhibit.tokens, exhibit.values, strict=True)
            found = _by_column(("token", _valued(exhibit.unit)), rows)
    return found


def cell(value: Value, places: int | None = None) -> Cell:
    """A cell; whole numbers show no decimals, others `places`."""
    if isinstance(value, str):
        return Cell(visible(value))
    return Cell(figure(value, 0 if isinstance(value, int) else places), exact(value))


def _by_column(columns: Sequence[str], rows: Iterable[Sequence[Value]], notes: tuple[str, ...] = ()) -> Sheet:
    """Rows whose numbers share their decimals within each column."""
    kept = [tuple(row) for row in rows]
    width = max([len(columns), *map(len, kept)])
    places = [column_places(row[j] for row in kept if j < len(row)) for j in range(width)]
    cells = tuple(tuple(cell(value, places[j]) for j, value in enumerate(row)) for row in kept)
    return Sheet(tuple(columns), cells, notes)


def _bars(bars: Bars) -> Sheet:
    lists: list[tuple[Value, ...]] = [bars.values, bars.lows, bars.highs, bars.counts]
    names = [_valued(bars.unit), "low", "high", "rows"]
    kept = [(name, values) for name, values in zip(names, lists, strict=True) if values]
    rows: list[tuple[Value, ...]] = [
        (name, bars.values[i], *(_told(values, i) for _, values in kept[1:])) for i, name in enumerate(bars.labels)
    ]
    return _by_column(("", *(name for name, _ in kept)), rows)


def _told(values: Sequence[Value], index: int) -> Value:
    """The number at a position, or a dash where there is none."""
    return "–" if index >= len(values) or values[index] is None else values[index]


def _curve(curve: Curve) -> Sheet:
    banded = any(line.low for line in curve.lines)
    unnamed = 0 if len(curve.lines) > 1 else 1
    columns = ("line", curve.x_label, curve.y_label, *(("low", "high") if banded else ()))[unnamed:]
    rows = [row[unnamed:] for line in curve.lines for row in _points(line, banded=banded)]
    thinned = any(len(line.x) > MOST_POINTS for line in curve.lines)
    note = (f"At most {MOST_POINTS} points of each line, evenly spread; report.json has all.",) if thinned else ()
    return _by_column(columns, rows, note)


def _points(line: Line, *, banded: bool) -> list[tuple[Value, ...]]:
    last = len(line.x) - 1
    kept = (
        sorted({round(k * last / (MOST_POINTS - 1)) for k in range(MOST_POINTS)})
        if last >= MOST_POINTS
        else range(last + 1)
    )
    bounds = (line.low, line.high) if banded else ()
    return [(line.name, line.x[i], line.y[i], *(_told(each, i) for each in bounds)) for i in kept]


def _scatter(scatter: Scatter) -> Sheet:
    """The fullest bins, one a row."""
    across, upward = _bins(scatter.x_edges), _bins(scatter.y_edges)
    full = [
        (across[j], upward[i], count) for i, line in enumerate(scatter.counts) for j, count in enumerate(line) if count
    ]
    fullest = sorted(full, key=lambda bin_: -bin_[2])[:MOST_BINS]
    cut = len(full) - len(fullest)
    note = (f"The {len(fullest)} fullest of {len(full)} bins that hold rows; report.json has all.",) if cut else ()
    return _by_column((scatter.x_label, scatter.y_label, "rows"), fullest, note)


def _bins(edges: Sequence[float]) -> list[str]:
    return [f"{low} to {high}" for low, high in pairwise(labels(edges))]


def _heat(heat: Heat) -> Sheet:
    places = column_places(value for line in heat.values for value in line)
    corner = " ".join(each for each in (heat.row_title, heat.column_title and f"by {heat.column_title}") if each)
    rows = tuple(
        (cell(label), *(cell(value, places) for value in line))
        for label, line in zip(heat.row_labels, heat.values, strict=True)
    )
    return Sheet((corner, *heat.column_labels), rows)


def _overlay(overlay: Overlay) -> Sheet:
    """The strongest cells, one a row."""
    cells = [
        (f"row {i}, column {j}", value) for i, line in enumerate(overlay.values, 1) for j, value in enumerate(line, 1)
    ]
    strongest = sorted(cells, key=lambda each: -abs(each[1]))[:MOST_BINS]
    cut = len(cells) - len(strongest)
    note = (f"The {len(strongest)} strongest of {len(cells)} cells; report.json has all.",) if cut else ()
    return _by_column(("cell", _valued(overlay.unit)), strongest, note)


def _valued(unit: str) -> str:
    return f"value ({unit})" if unit else "value"


OPTIONAL = {
    "p": "p of no difference",
    "chance": "gap by chance",
    "corrected": "less bias",
    "detectable": "smallest gap these rows can show",
}


def measured(evidence: Evidence) -> Sheet:
    """Every measurement of an audit, one a row; methods are named by letters and spelled out in the notes."""
    made = evidence.measurements
    extra = [key for key in OPTIONAL if any(getattr(each, key) is not None for each in made)]
    methods = list(dict.fromkeys(each.method for each in made if each.method))
    columns = ("measurement", "about", "value", "low", "high", "unit", "rows", "smallest group")
    rows = tuple(_measurement(each, extra, methods) for each in made)
    notes = tuple(f"{_letter(i)}: {method}" for i, method in enumerate(methods))
    return _without_empty(Sheet((*columns, *(OPTIONAL[key] for key in extra), "how"), rows, notes))


def _without_empty(sheet: Sheet) -> Sheet:
    """The sheet less the columns in which nothing stands."""
    kept = [j for j in range(len(sheet.columns)) if any(row[j].text for row in sheet.rows)]
    rows = tuple(tuple(row[j] for j in kept) for row in sheet.rows)
    return Sheet(tuple(sheet.columns[j] for j in kept), rows, sheet.notes)


def _measurement(found: Measurement, extra: list[str], methods: list[str]) -> tuple[Cell, ...]:
    places = places_of(found)
    numbers = [_number(each, places) for each in (found.value, found.low, found.high)]
    counts = [Cell(figure(each, 0) if each is not None else "", exact(each)) for each in (found.rows, found.smallest)]
    more = [_number(getattr(found, key), None) for key in extra]
    method = _letter(methods.index(found.method)) if found.method else ""
    how = "; ".join(each for each in (method, visible(found.reason)) if each)
    named = [Cell(humane(visible(found.name))), Cell(visible(about(found.facet)))]
    return (*named, *numbers, Cell(visible(found.unit)), *counts, *more, Cell(how))


def _number(value: float | None, places: int | None) -> Cell:
    return Cell("" if value is None else figure(value, places), exact(value))


def _letter(index: int) -> str:
    """Name a method: a to z, then aa, ab and so on."""
    first, second = divmod(index, len(LETTERS))
    return (LETTERS[first - 1] if first else "") + LETTERS[second]
