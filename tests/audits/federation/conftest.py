"""Federations made of sites' held-out rows, so that a test can plant exactly the trouble that the audit must find."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from rai.audits.federation import MEASURES, measure
from rai.evidence import Evidence
from rai.ledger import Federation, Fingerprint, Ledger, Privacy, Reply, Round, Site
from rai.policy import Verdict, judge, read_policy
from rai.subject import Subject

NAMES = ("north", "south", "east", "west", "centre")
PRIVACY = Privacy("record", 3.8, 1e-5, 1.0, 1.0, 1 / 16, 48, 32.0, "RDP")
WHOLE = Privacy("site", 7.9, 1e-5, 1.0, 1.0, 0.1, 100, 10.0, "PLD", "add or remove one site", "Poisson, among sites")


@dataclass(frozen=True)
class Held:
    """Held-out rows of one site, row by row."""

    actual: np.ndarray
    chosen: np.ndarray
    sex: np.ndarray

    @property
    def right(self) -> float:
        return float(np.mean(self.actual == self.chosen))

    @property
    def counts(self) -> dict[str, dict[str, tuple[int, int, int, int]]]:
        """Counted by a slow loop, every level at every site."""
        cells = {level: [0, 0, 0, 0] for level in ("Female", "Male")}
        for actual, chosen, sex in zip(self.actual, self.chosen, self.sex, strict=True):
            cells[str(sex)][2 * int(actual) + int(chosen)] += 1
        return {"sex": {level: (a, b, c, d) for level, (a, b, c, d) in cells.items()}}


def held(seed: int, rows: int = 400, right: float = 0.85, tilt: float = 0.0, women: float = 0.5) -> Held:
    """Decisions that are right so often; `tilt` more often yes for men."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, 2, rows)
    sex = np.where(rng.random(rows) < women, "Female", "Male")
    chosen = np.where(rng.random(rows) < right, actual, 1 - actual)
    return Held(actual, np.where((sex == "Male") & (rng.random(rows) < tilt), 1, chosen), sex)


def federation(sites: Mapping[str, Held], *, alone: Mapping[str, float] | None = None, rounds: int = 4) -> Federation:
    listed = tuple(
        Site(
            name,
            5 * len(each.actual),
            {"no": 3 * len(each.actual), "yes": 2 * len(each.actual)},
            epsilon=3.8 - place / 10,
            alone=(alone or {}).get(name, each.right - 0.03),
            together=each.right,
            contribution=0.1 - place / 50,
        )
        for place, (name, each) in enumerate(sites.items())
    )
    course = tuple(_round(number, sites) for number in range(1, rounds + 1))
    return Federation("local", "fedavg", {"share": 1.0}, "dirichlet, alpha 0.5", listed, course, WHOLE, "secret draws")


def _round(number: int, sites: Mapping[str, Held]) -> Round:
    replies = {
        name: Reply(
            4 * len(each.actual), 0.5, each.right, 1 / number + place / 100, each.counts, held_out=len(each.actual)
        )
        for place, (name, each) in enumerate(sites.items())
    }
    return Round(number, replies, 0.7 / number, {}, 1000, 900, 0.1)


def changed(told: Federation, number: int, name: str, **change: Any) -> Federation:
    """The federation with one reply of one round changed."""
    rounds = [
        replace(r, replies={**r.replies, name: replace(r.replies[name], **change)}) if r.number == number else r
        for r in told.rounds
    ]
    return replace(told, rounds=tuple(rounds))


def every_reply(told: Federation, **change: Any) -> Federation:
    """The federation with all replies changed alike."""
    rounds = [replace(r, replies={n: replace(e, **change) for n, e in r.replies.items()}) for r in told.rounds]
    return replace(told, rounds=tuple(rounds))


EQUAL = {name: held(seed) for seed, name in enumerate(NAMES)}
CLEAN = federation(EQUAL)


def ledger_with(told: Federation | None, privacy: Privacy | None = PRIVACY) -> Ledger:
    rows = Fingerprint(10_000, "0" * 64)
    return Ledger("0", "now", "", rows, {}, 0, (), 1.0, 1.0, {}, privacy=privacy, federation=told)


def exhibit(found: Evidence, start: str) -> Any:
    named = [each for each in found.exhibits if each.title.startswith(start)]
    assert len(named) == 1, [each.title for each in found.exhibits]
    return named[0]


def verdicts(found: Evidence) -> dict[str, Verdict]:
    findings = judge(read_policy("default"), found.measurements, {}, "binary")
    return {each.rule.id: each.verdict for each in findings if each.rule.id.startswith("FED")}


@dataclass(frozen=True)
class Built:
    """What tests build federations with, and how they look at what the audit found."""

    held: Callable[..., Held] = held
    federation: Callable[..., Federation] = federation
    changed: Callable[..., Federation] = changed
    every_reply: Callable[..., Federation] = every_reply
    ledger: Callable[..., Ledger] = ledger_with
    exhibit: Callable[..., Any] = exhibit
    verdicts: Callable[..., dict[str, Verdict]] = verdicts
    equal: Mapping[str, Held] = field(default_factory=lambda: EQUAL)
    clean: Federation = CLEAN
    privacy: Privacy = PRIVACY
    whole: Privacy = WHOLE


@pytest.fixture(scope="module")
def built() -> Built:
    """Five sites that are alike, and what else tests of federations need."""
    return Built()


@pytest.fixture(scope="module")
def bare(make_subject: Callable[..., Subject]) -> Subject:
    return make_subject(np.tile([0.2, 0.8], 100), np.tile([0, 1], 100))


@pytest.fixture(scope="module")
def audited(bare: Subject) -> Callable[..., Evidence]:
    def run(told: Federation, privacy: Privacy | None = PRIVACY) -> Evidence:
        found = measure(replace(bare, ledger=ledger_with(told, privacy)))
        assert {each.name for each in found.measurements} <= set(MEASURES)
        return found

    return run


@pytest.fixture(scope="module")
def clean(audited: Callable[..., Evidence]) -> Evidence:
    return audited(CLEAN)
