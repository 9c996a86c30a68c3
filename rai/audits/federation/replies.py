"""What the sites sent back, as far as it may be shown: who answered, on how many held-out rows, and how well."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rai.audits._lift import hidden
from rai.audits.training.promise import phases_of
from rai.audits.training.rows import ledger_of
from rai.ledger import Federation, Privacy, Reply, Round
from rai.subject import Ints, Subject

MOST_LISTED = 60
"""So many sites, rounds or exclusions are listed."""
LARGEST = 1e100
"""A larger figure is told as this one: a ledger may hold any number."""
UNKNOWN_ROWS = "the ledger does not tell on how many held-out rows"
NOT_TOLD = "not told"
NO_ROUNDS = "the ledger names no round"
FEW = "each site that sent such a figure holds, or held back, fewer than 5 rows, so nothing of it is told"
NOT_HELD = "no site held rows back to measure on (validation under [fit])"
OWN_FILES = "sites' own files"
"""What a ledger says of how rows were dealt out where each site read its own file."""
UNDISCLOSED = "it is secret who took part in which round: the promise to whole sites rests on that"

MOST_COUNTED = 10**12
"""A larger count is told as this one, so that sums stay whole numbers."""
TOO_MANY_ROWS = "more held-out rows than can be compared"


@dataclass(frozen=True)
class Score:
    """Share of one site's held-out rows that the common model predicts right; `rows` is 0 where nobody says how many.

    For a regression model `accuracy` is R².
    """

    site: str
    accuracy: float
    rows: int


@dataclass(frozen=True)
class Seen:
    """A federation as its ledger tells it, and what follows from all its replies."""

    told: Federation

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every site once: those listed, then those that only replied."""
        replied = (name for each in self.told.rounds for name in each.replies)
        return tuple(dict.fromkeys((*(each.name for each in self.told.sites), *replied)))

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds, first to last."""
        return tuple(sorted(self.told.rounds, key=lambda each: each.number))

    @cached_property
    def by_site(self) -> dict[str, tuple[Reply, ...]]:
        """The replies of each site, first to last."""
        found: dict[str, list[Reply]] = {name: [] for name in self.names}
        for each in self.rounds:
            for name, reply in each.replies.items():
                found[name].append(reply)
        return {name: tuple(replies) for name, replies in found.items()}

    @cached_property
    def held_out(self) -> dict[str, int]:
        """Held-out rows by site, as its last reply that names them says."""
        every = ((name, reply.held_out) for name, replies in self.by_site.items() for reply in replies)
        return {name: min(rows, MOST_COUNTED) for name, rows in every if rows}

    @cached_property
    def small(self) -> frozenset[str]:
        """Sites of one to four people, or with so few held out, of whom nothing may be told."""
        few = {each.name for each in self.told.sites if hidden(each.rows)}
        return frozenset(few.union(name for name, rows in self.held_out.items() if hidden(rows)))

    @cached_property
    def measured(self) -> bool:
        """Whether any site tells of held-out rows in any round: how many, or what the common model is worth there."""
        every = (each for replies in self.by_site.values() for each in replies)
        return any(each.held_out or each.loss is not None or each.accuracy is not None for each in every)

    @cached_property
    def tells(self) -> bool:
        """Whether the ledger tells who took part in any round."""
        return any(took_part(each) or each.excluded for replies in self.by_site.values() for each in replies)

    @cached_property
    def secret(self) -> bool:
        """Whether it is kept secret who took part in which round: a promise rests on that, and the ledger is silent."""
        return is_secret(self.told.client_privacy) and not self.tells


def untold(seen: Seen, sent: Iterable[str], otherwise: str) -> str:
    """Why a figure of single sites is missing, `sent` being those that sent it although it may not be told."""
    if not seen.rounds:
        return NO_ROUNDS
    if set(sent) & seen.small:
        return FEW
    return otherwise if seen.measured else NOT_HELD


def took_part(reply: Reply) -> bool:
    """Whether the site sent an update, used or not; one that only tried the common model learned from no row."""
    return reply.examples > 0


def is_secret(privacy: Privacy | None) -> bool:
    """Whether a promise to whole sites counts on nobody knowing who took part in which round."""
    return privacy is not None and any(each.sample_rate < 1 for each in phases_of(privacy))


def seen_by(subject: Subject) -> Seen:
    """What the ledger says of the sites; the audit is not run without it."""
    told = ledger_of(subject).federation
    if told is None:
        raise TypeError("a federation was expected")
    return Seen(told)


def cells_of(levels: Mapping[str, tuple[int, int, int, int]], names: Iterable[str]) -> Ints:
    """Confusion cells (levels, 4) in the order of `names`; a level that the site did not count has none."""
    each = [[min(cell, MOST_COUNTED) for cell in levels.get(name, (0, 0, 0, 0))] for name in names]
    return np.array(each, dtype=np.int64).reshape(-1, 4)


def scores(seen: Seen, one: Round, task: str) -> tuple[Score, ...]:
    """How the common model did in this round at each site that may be shown."""
    present = (name for name in seen.names if name in one.replies and name not in seen.small)
    found = [(name, _accuracy(one.replies[name], task)) for name in present]
    return tuple(Score(name, value, seen.held_out.get(name, 0)) for name, value in found if value is not None)


def _accuracy(reply: Reply, task: str) -> float | None:
    value = reply.accuracy
    if value is None or not math.isfinite(value):
        return None
    if task == "regression":
        return min(max(value, -LARGEST), LARGEST)
    return value if 0 <= value <= 1 else None


def finite(value: float | None) -> float | None:
    """The number where there is one that can be drawn."""
    return None if value is None or not math.isfinite(value) else min(max(float(value), -LARGEST), LARGEST)


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in words, the first few of many."""
    told = list(names)
    more = f" and {len(told) - most:,} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more
