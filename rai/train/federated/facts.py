"""What a site tells of itself before the first round, and once more after the last: names, counts and its promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from rai.card import STRICT
from rai.errors import InputError, plain
from rai.files import write_atomic
from rai.ledger import Fingerprint, Privacy
from rai.ledger.types import Count
from rai.train.batches import Rows
from rai.train.federated.sites import Sites, all_levels, levels_in
from rai.train.given import Parts
from rai.train.losses import Task

FACTS = "sites.json"
OWN = "sites' own files"


@dataclass(frozen=True)
class Facts:
    """One site: its number from 0, its name, rows to learn from and held back, rows of each class, levels of groups.

    `promise` is what the site has promised to its rows so far, with those of earlier runs on them.
    """

    __pydantic_config__ = STRICT

    number: Count
    name: str
    train: Count
    held: Count
    classes: Mapping[str, Count] = field(default_factory=dict)
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    promise: Privacy | None = None


@dataclass(frozen=True)
class DistantSites(Sites):
    """Sites whose rows are elsewhere: what is known of them is what they told."""

    told: tuple[Facts, ...]

    def classes(self, site: int) -> dict[str, int]:
        """Rows of each class that a site says it holds."""
        return dict(self.told[site].classes)

    def rows(self, site: int) -> int:
        """Rows that a site says it holds, with those it holds back."""
        return self.told[site].train + self.told[site].held


def facts_of(number: int, name: str, parts: Parts, promise: Privacy | None) -> Facts:
    """Return what a site tells of its rows: counts, and the names of its classes' positions and groups' levels."""
    own = Sites((name,), (parts,), Fingerprint(0, ""), "", {})
    held = 0 if parts.held is None else len(parts.held)
    return Facts(number, name, len(parts.train), held, own.classes(0), levels_in(parts.train), promise)


def levels_of(facts: Sequence[Facts]) -> dict[str, tuple[str, ...]]:
    """Return every level of every attribute that any site knows, in the order of sites."""
    return all_levels(each.levels for each in facts)


def distant(names: Sequence[str], attributes: Mapping[str, tuple[str, ...]], task: Task) -> Sites:
    """Return sites of which nothing is known yet but how many there are."""
    nobody = Parts(Rows(torch.zeros(0, 1), torch.zeros(0), task), None)
    return Sites(tuple(names), (nobody,) * len(names), Fingerprint(0, "", OWN), OWN, attributes)


def known(sites: Sites, facts: Sequence[Facts]) -> DistantSites:
    """Return the sites as they told of themselves; no fingerprint of rows leaves a site, so there is none of all."""
    rows = sum(each.train + each.held for each in facts)
    return DistantSites(
        tuple(each.name for each in facts),
        sites.parts,
        Fingerprint(rows, "", OWN),
        OWN,
        levels_of(facts),
        tuple(facts),
    )


def to_text(facts: Facts) -> str:
    """Return facts as JSON."""
    return TypeAdapter(Facts).dump_json(facts).decode()


def from_text(text: str) -> Facts | None:
    """Read facts from JSON that a site sent; None where it is none."""
    try:
        found = TypeAdapter(Facts).validate_json(text)
    except ValidationError:
        return None
    return found if found.name == plain(found.name) else None


def write_facts(folder: Path, facts: Sequence[Facts]) -> None:
    """Write what all sites told, in their order."""
    write_atomic(folder / FACTS, TypeAdapter(tuple[Facts, ...]).dump_json(tuple(facts), indent=1).decode())


def read_facts(folder: Path) -> tuple[Facts, ...]:
    """Read what all sites told; raise `InputError` where that is not there."""
    try:
        return TypeAdapter(tuple[Facts, ...]).validate_json((folder / FACTS).read_bytes())
    except (OSError, ValidationError):
        raise InputError("does not say who the sites are", where=folder / FACTS, do="run the federation anew") from None
