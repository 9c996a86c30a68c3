"""Models that are functions, and the rows that they are asked about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rai.card import Card, Head
from rai.evidence import Evidence
from rai.subject import Data, Groups, Player, Subject


@dataclass(frozen=True)
class Live:
    """A model that is a function of its inputs."""

    answer: Callable[[Any], np.ndarray]
    head: Head = Head.LOGIT
    trust: str = "in memory"

    def scores(self, inputs: Any) -> np.ndarray:
        found = np.asarray(self.answer(inputs), dtype=np.float64)
        return found.reshape(len(found), -1)

    def inside(self, procedure: Any, inputs: Any, **arguments: Any) -> Any:
        raise NotImplementedError


def _subject(answer: Any, data: Data, *, head: Head = Head.LOGIT, seed: int = 0, **card: Any) -> Subject:
    regression = head is Head.VALUE
    classes = card.pop("classes", () if regression else ("no", "yes"))
    task = "regression" if regression else "binary" if len(classes) == 2 else "multiclass"
    return Subject("planted", Live(answer, head), data, Card(task, classes=classes, **card), None, seed)


def _table(values: np.ndarray, groups: dict[str, np.ndarray] | None = None, names: tuple[str, ...] = ()) -> Data:
    players = tuple(Player(names[place] if names else f"x{place}", (place,)) for place in range(values.shape[1]))
    found = {
        name: Groups(name, tuple(f"{name} {level}" for level in range(int(codes.max()) + 1)), codes)
        for name, codes in (groups or {}).items()
    }
    return Data("table", values, values, None, found, players)


def _shares(found: Evidence, key: str = "feature") -> dict[str, float]:
    told = [each for each in found.measurements if each.name == "importance_share" and key in each.facet]
    return {each.facet[key]: float(each.value or 0.0) for each in told}


def _normal(rows: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width))


@pytest.fixture(scope="session")
def subject():
    """A model that answers by a function, on these rows."""
    return _subject


@pytest.fixture(scope="session")
def table():
    """Rows of a table, one feature a column."""
    return _table


@pytest.fixture(scope="session")
def shares():
    """Each feature's share of importance, the largest first."""
    return _shares


@pytest.fixture(scope="session")
def normal():
    """Standard normal numbers."""
    return _normal
