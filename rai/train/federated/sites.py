"""Who the sites are: rows dealt out to them, or handed in site by site, each holding back a share of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import nn

from rai.errors import InputError
from rai.ledger import Fingerprint
from rai.subject import Data, Ints
from rai.train.batches import Rows
from rai.train.federated.partition import names, partition
from rai.train.given import Given, Parts, parts_of, rows_given
from rai.train.losses import Task
from rai.train.settings import Federated, Fit
from rai.train.splits import strata

HANDED_IN = "as handed in"
GivenSites = Given | Sequence[Given] | Mapping[str, Given]
"""All rows at once, to be dealt out, or a list or mapping of the rows of each site."""


@dataclass(frozen=True)
class Sites:
    """The sites by name, each with its rows to learn from and those it holds back, and a fingerprint of all rows."""

    names: tuple[str, ...]
    parts: tuple[Parts, ...]
    fingerprint: Fingerprint
    dealt: str
    attributes: Mapping[str, tuple[str, ...]]

    @property
    def task(self) -> Task:
        """What all sites learn."""
        return self.parts[0].train.task

    def classes(self, site: int) -> dict[str, int]:
        """Rows of each class that a site holds, by the class's position; {} for regression and several labels."""
        if self.task not in {"binary", "multiclass"}:
            return {}
        found: Counter[int] = Counter()
        for part in (self.parts[site].train, self.parts[site].held):
            found.update([] if part is None else part.targets.long().flatten().tolist())
        return {str(label): found[label] for label in sorted(found)}

    def rows(self, site: int) -> int:
        """Rows that a site holds, with those it holds back."""
        part = self.parts[site]
        return len(part.train) + (0 if part.held is None else len(part.held))


def sites_of(data: GivenSites, module: nn.Module, task: Task | None, federated: Federated, fit: Fit) -> Sites:
    """Return the sites: `data` dealt out as `federated` says, or one for each of several data sets, as they are.

    Raises `InputError` for more sites than rows, for sites that do not learn the same, and for what `rows_given` names.
    """
    if _several(data):
        found = _named(data)
        rows = {name: rows_given(each, module, task) for name, each in found.items()}
        _require_alike(rows)
        parts = list(rows.values())
        return _sites(tuple(rows), parts, _joint(parts), HANDED_IN, fit)
    return _dealt(data, rows_given(data, module, task), federated, fit)  # type: ignore[arg-type]


def levels_in(rows: Rows) -> dict[str, tuple[str, ...]]:
    """Return the levels of each attribute that a site knows of its rows."""
    return {name: tuple(group.levels) for name, group in rows.groups.items()}


def all_levels(told: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """Return every level of every attribute that any site knows, in the order in which they come."""
    found: dict[str, dict[str, None]] = {}
    for each in told:
        for name, levels in each.items():
            found.setdefault(name, {}).update(dict.fromkeys(levels))
    return {name: tuple(levels) for name, levels in found.items()}


def _dealt(data: Given, rows: Rows, federated: Federated, fit: Fit) -> Sites:
    column = _column(data, rows, federated) if federated.partition == "column" else None
    if column is None and federated.clients > len(rows):
        what = f"are {federated.clients:,}, and there are {len(rows):,} rows"
        raise InputError(what, where="federated.clients", expected="no more sites than rows")
    positions = partition(
        federated.partition,
        strata(rows.targets.numpy(), {}),
        clients=federated.clients,
        seed=fit.seed,
        alpha=federated.alpha,
        classes=federated.classes,
        smallest=federated.smallest,
        column=column,
    )
    called = names(federated.partition, len(positions), column)
    told = {name: each for name, each in rows.groups.items() if column is None or name != federated.column}
    kept = replace(rows, groups=told)  # what is the same all over a site is no attribute to compare its rows by
    return _sites(
        called, [kept.take(torch.from_numpy(each)) for each in positions], rows.fingerprint, _how(federated), fit
    )


def _sites(called: tuple[str, ...], rows: Sequence[Rows], fingerprint: Fingerprint, dealt: str, fit: Fit) -> Sites:
    parts = tuple(parts_of(each, None, share=fit.validation, seed=fit.seed) for each in rows)
    return Sites(called, parts, fingerprint, dealt, all_levels(map(levels_in, rows)))


def _how(federated: Federated) -> str:
    match federated.partition:
        case "dirichlet" | "quantity":
            return f"{federated.partition}, alpha {federated.alpha:g}"
        case "pathological":
            return f"pathological, {federated.classes} classes a site"
        case "column":
            return f"column {federated.column}"
        case _:
            return federated.partition


def _column(data: Any, rows: Rows, federated: Federated) -> Any:
    """The values that name each row's site: those of a group, or of a column of a table that is one number."""
    name = federated.column or ""
    if name in rows.groups:
        return _levels(rows.groups[name].levels, rows.groups[name].codes)
    players = {each.name: each.inputs for each in data.players} if isinstance(data, Data) else {}
    if len(players.get(name, ())) == 1:
        return data.features[:, players[name][0]]
    known = ", ".join([*rows.groups, *players]) or "none"
    raise InputError(f"there is no column {name!r}", where="federated.column", expected=f"one of the groups: {known}")


def _levels(levels: Sequence[str], codes: Ints) -> Any:
    return np.array([*levels, None], dtype=object)[codes]


def _several(data: Any) -> bool:
    if isinstance(data, Mapping):
        return True
    return isinstance(data, list) and not any(hasattr(each, "shape") for each in data)


def _named(data: Any) -> dict[str, Any]:
    if not data:
        raise InputError("holds no site", where="data", expected="the rows of each site")
    if isinstance(data, Mapping):
        return {str(name): each for name, each in data.items()}
    return dict(zip(names("iid", len(data)), data, strict=True))


def _require_alike(rows: Mapping[str, Rows]) -> None:
    first, *others = rows.items()
    for name, each in others:
        if each.task != first[1].task:
            what = f"site {name!r} has labels for {each.task}, and site {first[0]!r} for {first[1].task}"
            raise InputError(what, where="data", do="say task=…, or give all sites labels of one kind")
        if each.inputs.shape[1:] != first[1].inputs.shape[1:] and each.inputs.is_floating_point():
            what = f"site {name!r} has rows of another shape than site {first[0]!r}"
            raise InputError(what, where="data", expected="the same columns at all sites")


def _joint(rows: Sequence[Rows]) -> Fingerprint:
    """One fingerprint of all sites' rows, in the order of sites."""
    prints = [each.fingerprint for each in rows]
    digest = sha256("\n".join(each.sha256 for each in prints).encode()).hexdigest()
    sources = dict.fromkeys(each.source for each in prints)
    return Fingerprint(sum(each.rows for each in prints), digest, ", ".join(sources))
