"""Ledgers that an audit of training is tried on, and ways to find what it says of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rai.audits import training
from rai.evidence import Evidence, Table, Text
from rai.ledger import Epoch, Fingerprint, Ledger, Privacy, Run
from rai.policy import Verdict, judge, read_policy

Make = Callable[..., Any]
MNIST = {"noise_multiplier": 1.1, "sample_rate": 256 / 60_000, "steps": 14_062, "delta": 1e-5}

PRIVACY = Privacy(
    unit="record",
    epsilon=2.382,
    max_grad_norm=1.5,
    expected_batch=256.0,
    accountant="PLD (dp-accounting 0.6)",
    alternatives={"RDP": 2.597, "PRV": 2.392},
    **MNIST,
)

PLAIN = Ledger(
    rai="1.0",
    made="2026-01-02 03:04 UTC",
    model="5e" * 32,
    data=Fingerprint(60_000, "ab" * 32, "train.csv", "cd" * 32),
    recipe={"fit": {"epochs": 3, "learning_rate": 0.25}, "seed": 1},
    seed=4,
    epochs=tuple(Epoch(place, 1 / place, 0.9 / place + 0.1 * (place > 2)) for place in (1, 2, 3)),
    seconds=1.5,
    cpu_seconds=1.25,
    versions={"torch": "2.13"},
    parameters=120_000,
    split={"train": 60_000},
)

PRIVATE = replace(PLAIN, privacy=PRIVACY)


@pytest.fixture(scope="session")
def plain_ledger() -> Ledger:
    """A training without privacy."""
    return PLAIN


@pytest.fixture(scope="session")
def private_ledger() -> Ledger:
    """The same with a promise."""
    return PRIVATE


@pytest.fixture(scope="session")
def examined(make_subject: Make) -> Callable[[Ledger], Evidence]:
    bare = make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50))
    return lambda ledger: training.measure(replace(bare, ledger=ledger))


def _promised(**changes: Any) -> Ledger:
    return replace(PLAIN, privacy=replace(PRIVACY, **changes))


def _text(found: Evidence, title: str) -> str:
    return next(each.text for each in found.exhibits if isinstance(each, Text) and title in each.title)


def _table(found: Evidence, title: str) -> Table:
    return next(each for each in found.exhibits if isinstance(each, Table) and title in each.title)


def _verdicts(found: Evidence) -> dict[str, Verdict]:
    findings = judge(read_policy("default"), found.measurements, {}, "binary")
    return {each.rule.id: each.verdict for each in findings if each.rule.id.startswith("TRAIN")}


def _runs(*spent: float | None, kept: int | None = None) -> tuple[Run, ...]:
    return tuple(
        Run({"fit.learning_rate": 0.1 * (place + 1)}, {"accuracy": 0.9 - 0.1 * place}, each, kept=place == kept)
        for place, each in enumerate(spent)
    )


@pytest.fixture(scope="session")
def promised() -> Make:
    """The private ledger with other terms."""
    return _promised


@pytest.fixture(scope="session")
def text() -> Make:
    """The text of an exhibit whose title holds these words."""
    return _text


@pytest.fixture(scope="session")
def table() -> Make:
    """The table whose title holds these words."""
    return _table


@pytest.fixture(scope="session")
def verdicts() -> Make:
    """What the default policy says of it, by rule."""
    return _verdicts


@pytest.fixture(scope="session")
def runs() -> Make:
    """Runs that spent so much each; `kept` is the place of the one that became the model."""
    return _runs
