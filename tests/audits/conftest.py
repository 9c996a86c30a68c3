"""Subjects made of stored scores, so that a test can plant exactly the flaw that an audit must find."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rai.card import Card, Files, Head
from rai.evidence import Evidence, Measurement
from rai.subject import Data, Groups, Player, Subject, Trust


@dataclass(frozen=True)
class Stub:
    """A model that answers with the scores it was given."""

    answers: np.ndarray
    head: Head
    trust: Trust = "predictions only"

    def scores(self, inputs: Any) -> np.ndarray:
        return self.answers[: len(inputs)]

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:
        raise NotImplementedError


def _groups(name: str, values: Sequence[str | None]) -> Groups:
    levels = tuple(sorted({str(value) for value in values if value}))
    return Groups(name, levels, np.array([levels.index(value) if value else -1 for value in values], dtype=np.int64))


def _features(given: Any, rows: int, seed: int) -> tuple[np.ndarray, tuple[Player, ...]]:
    """Features as one array and its players; a dict maps a name to a column, or to one-hot columns (rows, k)."""
    if given is None:
        given = {"x0": np.random.default_rng([seed, 77]).normal(size=rows)}
    if not isinstance(given, Mapping):
        given = {f"x{place}": column for place, column in enumerate(np.asarray(given).T)}
    blocks = {name: np.asarray(block, dtype=np.float64).reshape(rows, -1) for name, block in given.items()}
    ends = np.cumsum([0, *(block.shape[1] for block in blocks.values())])
    players = [
        Player(name, tuple(range(start, end)))
        for name, start, end in zip(blocks, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return np.concatenate([np.zeros((rows, 0)), *blocks.values()], axis=1), tuple(players)


def build_data(
    labels: Any,
    groups: Mapping[str, Sequence[str | None]] | None = None,
    *,
    features: Any = None,
    missing: Any = None,
    rows: int | None = None,
    seed: int = 0,
) -> Data:
    """Test or reference rows; `groups` maps an attribute to one group name a row ("" or None: unknown)."""
    count = rows if rows is not None else len(labels)
    array, players = _features(features, count, seed)
    found = {name: _groups(name, values) for name, values in (groups or {}).items()}
    targets = None if labels is None else np.asarray(labels)
    mask = None if missing is None else np.asarray(missing, dtype=bool).reshape(count, len(players))
    return Data("table", array, array, targets, found, players, mask)


def build_subject(  # noqa: PLR0913 - a builder names whatever a test may plant
    scores: Any,
    labels: Any = None,
    groups: Mapping[str, Sequence[str | None]] | None = None,
    *,
    task: str = "binary",
    classes: Sequence[str] | None = None,
    features: Any = None,
    missing: Any = None,
    reference: Data | None = None,
    seed: int = 0,
    **card: Any,
) -> Subject:
    """A subject whose model answers with `scores`.

    Binary: P(positive), shape (rows,), or both chances (rows, 2). Multiclass: chances (rows, classes). Regression:
    values (rows,). `labels` are class positions or values. `card` takes further fields of the card; `metrics` and
    `intersections` are taken too.
    """
    answers = np.asarray(scores, dtype=np.float64)
    answers = answers[:, None] if answers.ndim == 1 else answers
    metrics, intersections = card.pop("metrics", {}), card.pop("intersections", True)
    names = tuple(classes or (("no", "yes") if task == "binary" else map(str, range(answers.shape[1]))))
    chances = Head.PROBABILITY if answers.shape[1] == 1 else Head.PROBABILITIES
    head = Head.VALUE if task == "regression" else chances
    whole = Card(
        task=task,
        head=head,
        classes=() if task == "regression" else names,
        data=Files(intersections=intersections),
        **card,
    )
    data = build_data(labels, groups, features=features, missing=missing, rows=len(answers), seed=seed)
    return Subject("stub", Stub(answers, head), data, whole, reference, seed, metrics)


def pick(evidence: Evidence, name: str, /, **facet: str) -> Measurement:
    """The one measurement of this name whose facet is exactly this (a key `cls` stands for "class")."""
    wanted = {("class" if key == "cls" else key): value for key, value in facet.items()}
    found = [each for each in evidence.measurements if each.name == name and dict(each.facet) == wanted]
    assert len(found) == 1, f"{len(found)} measurements {name} {wanted}"
    return found[0]


@pytest.fixture(scope="session")
def make_subject() -> Callable[..., Subject]:
    return build_subject


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Data]:
    return build_data


@pytest.fixture(scope="session")
def one() -> Callable[..., Measurement]:
    return pick
