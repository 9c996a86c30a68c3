"""A small lending table, its card, and ways to write files for the data room's tests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rai.card import Card, Column, Files

HEADER = "age,country,income,sex,y"
ROWS = ("31,NA,100.5,F,yes", "45,FR,200,M,no", "60,FR,300,F,no", "22,DE,0.5,M,yes")
COLUMNS = (
    Column("age", "number", mean=40, scale=10),
    Column("country", "category", categories=("DE", "FR", "NA")),
    Column("income", "number", fill=0.0),
)


@pytest.fixture
def lines() -> list[str]:
    """Lines of a good CSV file: a header and four rows."""
    return [HEADER, *ROWS]


@pytest.fixture
def card() -> Card:
    """The card of the good file."""
    files = Files(target="y", sensitive=("sex",))
    return Card(task="binary", classes=("no", "yes"), columns=COLUMNS, data=files)


@pytest.fixture
def recard(card: Card) -> Callable[..., Card]:
    """Change the card: keywords of `Files` go to its data section, the others to the card."""

    def change(**changes: Any) -> Card:
        files = {key: changes.pop(key) for key in list(changes) if key in Files.__dataclass_fields__}
        return replace(card, data=replace(card.data, **files), **changes)

    return change


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes to `people.csv` in a fresh folder."""

    def write(content: str | bytes, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
