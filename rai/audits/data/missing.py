"""Cells that were empty in the source: how many, in which columns, and whether one group has more of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rai.audits._composition import NO_GROUPS
from rai.audits._exhibits import percent
from rai.audits._lift import counted, large_enough, lift, lift_gap, undefined
from rai.evidence import Evidence, Heat, Measurement, Table
from rai.stats.gaps import rate_gap
from rai.stats.proportions import proportion
from rai.subject import Bools, Floats, Groups, Ints, Subject

UNTOLD = "the data does not say which cells were empty"
MOST = 20
"""Columns shown, those with the most empty cells first."""


def missingness(subject: Subject) -> Evidence:
    """The share of empty cells by column and group, and the largest difference between groups."""
    mask = subject.data.missing
    if mask is None or not mask.shape[1]:
        reason = UNTOLD if subject.data.kind == "table" else f"{subject.data.kind}s have no cells that could be empty"
        return Evidence((undefined("missing_share", reason), undefined("missing_gap", reason)))
    worst = worst_columns(mask)
    names = [player.name for player in subject.data.players]
    rows = int(mask.any(axis=1).sum())
    found = [lift(proportion(rows, len(mask)), "missing_share", unit="share")]
    found += [_share(mask, column, names[column]) for column in worst]
    gaps = [_gap(subject, groups) for groups in subject.data.groups.values()]
    none = [undefined("missing_gap", NO_GROUPS)]
    return Evidence((*found, *(gaps or none)), _shapes(subject, worst))


def worst_columns(mask: Bools) -> list[int]:
    """Columns with any empty cell, the emptiest first, at most `MOST`."""
    empty = mask.sum(axis=0)
    return [int(column) for column in np.argsort(-empty, kind="stable") if empty[column]][:MOST]


def _share(mask: Bools, column: int, name: str) -> Measurement:
    return lift(
        proportion(int(mask[:, column].sum()), len(mask)), "missing_share", facet={"column": name}, unit="share"
    )


def _gap(subject: Subject, groups: Groups) -> Measurement:
    """The gap of the column whose empty cells differ most, its p-value paid for by the number of columns."""
    mask, facet = np.asarray(subject.data.missing), {"attribute": groups.name}
    kept = large_enough(groups)
    columns = [int(column) for column in np.flatnonzero(mask[kept.codes >= 0].any(axis=0))]
    if len(kept.levels) < 2:
        return undefined("missing_gap", "fewer than two groups of 5 rows or more", facet=facet)
    if not columns:
        known = int(kept.counts.sum())
        return replace(counted("missing_gap", 0.0, known, facet=facet, unit="share"), smallest=int(kept.counts.min()))
    worst = max(columns, key=lambda column: _range(kept, mask[:, column]))
    gap = rate_gap(_empty(kept, mask[:, worst]), kept.counts, subject.rng("data missing"), names=kept.levels)
    told = lift_gap(gap, "missing_gap", facet={**facet, "column": subject.data.players[worst].name}, unit="share")
    return _paid(told, len(columns))


def _paid(found: Measurement, columns: int) -> Measurement:
    if found.p is None or columns == 1:
        return found
    note = f"{found.method}; the worst of {columns} columns, p times {columns}"
    return replace(found, p=min(1.0, found.p * columns), method=note)


def _empty(groups: Groups, mask: Bools) -> Ints:
    return np.bincount(groups.codes[mask & (groups.codes >= 0)], minlength=len(groups.levels))


def _range(groups: Groups, mask: Bools) -> float:
    return float(np.ptp(_empty(groups, mask) / groups.counts))


def _shapes(subject: Subject, worst: list[int]) -> tuple[Table | Heat, ...]:
    if not worst:
        return ()
    mask = np.asarray(subject.data.missing)
    names = [subject.data.players[column].name for column in worst]
    shares = mask.mean(axis=0)[worst].tolist()
    title = f"Empty cells: most in {names[0]}, {percent(shares[0])} of the rows"
    told = "Columns with empty cells, most first."
    table = Table(title, told, ("column", "share of rows empty"), tuple(zip(names, shares, strict=True)))
    heats = [_heat(large_enough(groups), mask[:, worst], names) for groups in subject.data.groups.values()]
    return (table, *(heat for heat in heats if heat.column_labels))


def _heat(groups: Groups, mask: Bools, names: list[str]) -> Heat:
    shares = [_empty(groups, mask[:, column]) / np.maximum(groups.counts, 1) for column in range(len(names))]
    told = _most(groups, names, shares) if groups.levels else ""
    return Heat(
        f"Empty cells by {groups.name}{told}",
        f"Share of empty cells in {', '.join(names)}, for each of {len(groups.levels)} groups of {groups.name}.",
        row_labels=tuple(names),
        column_labels=groups.levels,
        values=tuple(tuple(float(value) for value in line) for line in shares),
        row_title="column",
        column_title=groups.name,
        unit="share",
    )


def _most(groups: Groups, names: list[str], shares: Sequence[Floats]) -> str:
    """The emptiest cell of the heat map in words."""
    grid = np.stack(shares)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(grid)), grid.shape))
    return f": most in {names[row]} for {groups.levels[column]}, {percent(float(grid[row, column]))}"
