"""The account of a federated training: what `rai.ledger.Federation` holds of it, and the ledger around that."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

from torch import nn

from rai.ledger import Epoch, Federation, Ledger, Privacy, Site
from rai.train.account import Finished, ledger_of, versions
from rai.train.checkpoints import Clock
from rai.train.federated.book import Sheet, round_of
from rai.train.federated.contribution import Contributions
from rai.train.federated.facts import OWN
from rai.train.federated.job import Job
from rai.train.federated.local import Run
from rai.train.federated.promises import (
    is_hidden,
    promise_to_rows,
    promise_to_sites,
    rests_on,
    shown,
    twins,
    unnoised,
    warnings,
)
from rai.train.federated.sites import HANDED_IN
from rai.train.federated.worth import alone, contributions
from rai.train.loop import State

DEALING = frozenset({"partition", "alpha", "classes", "column", "smallest"})
"""Settings of how one table is dealt out to sites."""


@dataclass(frozen=True)
class Told:
    """What a federation tells of itself when it is done. `promised` is each site's promise to its rows, by site."""

    module: nn.Module
    run: Run
    epochs: Sequence[Epoch]
    clock: Clock
    flops_a_row: float | None
    made: str
    origin: str
    promised: Mapping[int, Privacy] = field(default_factory=dict)


def ledger_of_federation(job: Job, told: Told) -> Ledger:
    """Write the account: the time is that of the rounds; models that sites trained alone are no part of it."""
    ledger = ledger_of(_finished(job, told))
    brought = _brought(job, told)
    doubts = (*told.run.warnings, *_doubts(job, told.run.book), *_unvalued(brought))
    return replace(
        ledger,
        versions={**versions(), **_tools(job)},
        warnings=(*ledger.warnings, *doubts, *warnings(job)),
        privacy=promise_to_rows(told.promised),
        federation=_federation(job, told, brought),
    )


def _finished(job: Job, told: Told) -> Finished:
    parts = job.sites.parts
    split = {
        "train": sum(len(part.train) for part in parts),
        "validation": sum(0 if part.held is None else len(part.held) for part in parts),
    }
    private = {} if job.private is None else {"private": asdict(job.private)}
    recipe = {**asdict(job.fit), "federated": _settings(job), **private}
    recipe |= {"origin": told.origin} if told.origin else {}
    state = State(rows=_rows_seen(job, told.run.book), history=list(told.epochs))
    return Finished(
        told.module,
        job.sites.fingerprint,
        state,
        told.clock,
        told.flops_a_row,
        recipe,
        job.fit.seed,
        split=split,
        made=told.made,
    )


def _settings(job: Job) -> dict[str, Any]:
    """What was said of the federation, with as many clients as there are; how rows are dealt out only if they were."""
    said = {**asdict(job.federated), "clients": len(job.sites.parts)}
    dealt = job.sites.dealt not in {HANDED_IN, OWN}
    return {name: each for name, each in said.items() if dealt or name not in DEALING}


def _federation(job: Job, told: Told, brought: Contributions) -> Federation:
    return Federation(
        job.federated.runtime,
        job.federated.strategy,
        dict(job.arguments),
        job.sites.dealt,
        tuple(_site(job, told, brought, site) for site in range(len(job.sites.parts))),
        tuple(shown(job, round_of(sheet, job.sites.names)) for sheet in told.run.book),
        client_privacy=promise_to_sites(job),
        assumption=rests_on(job),
        unnoised=unnoised(job, brought=brought.values is not None),
    )


def _site(job: Job, told: Told, brought: Contributions, site: int) -> Site:
    last, promised = told.run.book[-1].evaluations.get(site), told.promised.get(site)
    return Site(
        job.sites.names[site],
        job.sites.rows(site),
        job.sites.classes(site),
        epsilon=None if promised is None or is_hidden(job) else promised.epsilon,
        alone=alone(job, site) if twins(job) else None,
        together=None if last is None else last.accuracy,
        contribution=None if brought.values is None else float(brought.values[site]),
    )


def _rows_seen(job: Job, book: Sequence[Sheet]) -> int:
    """Rows that gradients were taken of, each as often as that was; by expectation where rows or sites are drawn."""
    parts, asked = job.sites.parts, job.federated.share * len(book)
    if job.private is not None:
        replies = asked * len(parts) if is_hidden(job) else sum(len(sheet.examples) for sheet in book)
        return round(job.private.expected_batch * job.private.steps / len(book) * replies)
    if is_hidden(job):
        return round(job.federated.local_epochs * asked * sum(len(part.train) for part in parts))
    return job.federated.local_epochs * sum(sum(sheet.examples.values()) for sheet in book)


def _brought(job: Job, told: Told) -> Contributions:
    if not job.federated.contributions:
        return Contributions(None)
    if job.federated.client_privacy is not None:
        return Contributions(None, "they would tell of each site's update what the noise hides")
    return contributions(job, told.run.book, told.flops_a_row)


def _unvalued(brought: Contributions) -> tuple[str, ...]:
    return (f"contributions of sites were not computed: {brought.reason}",) if brought.reason else ()


def _doubts(job: Job, book: Sequence[Sheet]) -> list[str]:
    """What a reader must know of a federation that went otherwise than it seems."""
    found = []
    if job.buffers and job.federated.client_privacy is None:
        some = ", ".join(sorted(job.buffers)[:3])
        found.append(f"the network remembers more than its parameters ({some}), and sites' values of it were averaged")
    idle = [sheet.number for sheet in book if not sheet.weights and job.federated.client_privacy is None]
    if idle:
        found.append(f"no reply was joined in {len(idle)} of {len(book)} rounds, the first of them round {idle[0]}")
    return found


def _tools(job: Job) -> dict[str, str]:
    """Versions of what the sites learned together with, and of what computed their promises."""
    promised = job.private is not None or job.federated.client_privacy is not None
    return {name: version(name) for name in ("flwr", *(("dp-accounting", "opacus") if promised else ()))}
