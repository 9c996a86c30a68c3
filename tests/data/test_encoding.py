"""Columns become inputs exactly as a slow loop over rows and cells would write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai.card import Card, Column
from rai.data import load

NAMES = ("amount", "kind", "rank", "part")
MISSING = ("", "?")
LISTS = {"kind": ("a", "b", "ü"), "rank": ("low", "mid", "high"), "part": ("x", "y", "z")}


def slow_cell(cell: str, column: Column) -> list[float]:
    """One cell, the obvious way."""
    if column.kind == "number":
        number = float(column.fill if cell.strip() in MISSING else cell)  # type: ignore[arg-type]
        return [(number - column.mean) / column.scale]
    name = str(column.fill) if cell in MISSING else cell
    if column.encoding == "ordinal":
        return [(column.categories.index(name) - column.mean) / column.scale]
    return [float(name == each) for each in column.categories if each != column.drop]


def slow(rows: list[tuple[str, ...]], columns: tuple[Column, ...]) -> np.ndarray:
    encoded = [[v for cell, c in zip(row, columns, strict=True) for v in slow_cell(cell, c)] for row in rows]
    return np.array(encoded, dtype=np.float64).astype(np.float32)


numbers = st.one_of(
    st.floats(-1e6, 1e6).map(repr),
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from(["+1", "1.", ".5", " 7 ", "-0", "1E3", "00012", "", "?", " ? "]),
)
rows = st.lists(
    st.tuples(numbers, *(st.sampled_from((*LISTS[name], *MISSING)) for name in NAMES[1:])), min_size=2, max_size=20
)
means = st.floats(-100, 100)
scales = st.floats(0.1, 100)
columns_of = st.builds(
    lambda mean, scale, drop: (
        Column("amount", "number", mean=mean, scale=scale, fill=3.5),
        Column("kind", "category", categories=LISTS["kind"], fill="b"),
        Column("rank", "category", mean=mean, scale=scale, categories=LISTS["rank"], encoding="ordinal", fill="low"),
        Column("part", "category", categories=LISTS["part"], drop=drop, fill="y"),
    ),
    means,
    scales,
    st.sampled_from([None, "x", "z"]),
)
patient = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@patient
@given(rows=rows, columns=columns_of)
def test_encoding_equals_a_slow_loop(
    rows: list[tuple[str, ...]], columns: tuple[Column, ...], save: Callable[..., Path], recard: Callable[..., Card]
) -> None:
    lines = [",".join((*row, ("no", "yes")[i % 2])) for i, row in enumerate(rows)]
    path = save("\n".join([",".join((*NAMES, "y")), *lines]))
    found = load(path, recard(columns=columns, sensitive=(), missing_values=("?",)))
    assert np.array_equal(found.inputs, slow(rows, columns))
    assert found.missing is not None
    assert found.missing.tolist() == [[cell.strip() in MISSING for cell in row] for row in rows]


@patient
@given(order=st.permutations(range(3)))
def test_inputs_follow_the_cards_order_not_the_files(
    order: list[int], save: Callable[..., Path], card: Card, recard: Callable[..., Card], lines: list[str]
) -> None:
    plain = load(save("\n".join(lines)), card)
    columns = tuple(card.columns[i] for i in order)
    found = load(save("\n".join(lines)), recard(columns=columns))
    expected = [plain.inputs[:, list(plain.players[i].inputs)] for i in order]
    assert np.array_equal(found.inputs, np.concatenate(expected, axis=1))
    assert [player.name for player in found.players] == [plain.players[i].name for i in order]


def test_a_number_is_read_to_its_last_digit(save: Callable[..., Path], recard: Callable[..., Card]) -> None:
    values = ["0.1", "1234567.891", "3.4028234e38", "1e-45", "16777217", "-2.5e-10"]
    card = recard(columns=(), task="regression", classes=(), target="t", sensitive=())
    lines = [f"{value},{value}" for value in values]
    from dataclasses import replace

    found = load(save("\n".join(["a,t", *lines])), replace(card, columns=(Column("a", "number"),)))
    assert found.labels is not None
    assert found.labels.tolist() == [float(value) for value in values]
    assert found.inputs[:, 0].tolist() == [float(np.float32(float(value))) for value in values]
