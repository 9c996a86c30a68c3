"""The whole federation in this process: all sites, the server, and Flower between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.train.federated.beside import Beside, beside
from rai.train.federated.book import Server, Sheet
from rai.train.federated.client_privacy import drawn_sites, noisy_mean
from rai.train.federated.contribution import MOST
from rai.train.federated.flower import client_app, quick_collection, server_app
from rai.train.federated.job import Job
from rai.train.federated.reweighing import FairFed
from rai.train.federated.site import Arrays, Home, Learner
from rai.train.federated.site_private import public_examples
from rai.train.federated.strategies import STEPPING
from rai.train.private.sampling import secret


@dataclass(frozen=True)
class Run:
    """What came of a federation: the common state, a sheet for each round, and what a reader must know."""

    state: Arrays
    book: tuple[Sheet, ...]
    warnings: tuple[str, ...] = ()


def run_local(job: Job, heard: Callable[[Sheet], None], learners: Mapping[int, Learner] | None = None) -> Run:
    """Let all sites learn together in this process; `heard` is told of each round, `learners` say who learns otherwise.

    Raises `InputError` where no reply could be joined in any round, with the reason of the first.
    """
    from flwr.app import Context, RecordDict

    from rai.train.federated.flower_strategy import Checking, inner_of
    from rai.train.federated.grid import LocalGrid, held, identified

    with identified(), beside(job, learners or {}) as others:
        homes = [_home(job, site, (learners or {}).get(site), others) for site in range(len(job.sites.parts))]
        server = replace(server_of(job, heard), most_examples=most_examples(job))
        strategy = Checking(inner_of(job.federated.strategy, job.arguments), server, job.sites.attributes, held)
        app = client_app(homes.__getitem__, job.fit, held)
        grid = LocalGrid(app, len(homes), None if others is None else others.learn)
        context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        with quick_collection():
            server_app(strategy, job.start)(grid, context)
    _require_joined(strategy.book, job)
    doubts = () if others is None or not others.reason else (f"sites learned one by one: {others.reason}",)
    return Run(strategy.state, tuple(strategy.book), doubts)


def most_examples(job: Job) -> int:
    """Return how many rows a site may say it learned from: as said, or where rows are at hand as the largest has."""
    public = 0 if job.private is None else public_examples(job.private)
    return job.federated.most_examples or max(public, *(len(part.train) for part in job.sites.parts))


def server_of(job: Job, heard: Callable[[Sheet], None]) -> Server:
    """Return what the server does beside joining, as the settings say."""
    federated, sites = job.federated, len(job.sites.parts)
    private = federated.client_privacy
    return Server(
        sites,
        federated.rounds,
        federated.local_epochs,
        partial(_drawn, job) if private is None else lambda _: drawn_sites(sites, federated.share, secret()),
        most_examples=federated.most_examples,
        weights=FairFed(float(job.arguments["beta"])) if federated.strategy == "fairfed" else None,
        mean=None if private is None else partial(_noisy, job),
        averaged=job.buffers if federated.strategy in STEPPING and private is None else frozenset(),
        keep=federated.contributions and sites <= MOST,
        heard=heard,
    )


def _home(job: Job, site: int, learner: Learner | None, others: Beside | None) -> Home:
    part = job.sites.parts[site]
    return Home(job.module, part.train, part.held, job.sites.attributes, learner or others)


def _drawn(job: Job, number: int) -> tuple[int, ...]:
    """As many sites as the share says, at least one; who they are hangs on seed and round alone."""
    sites = len(job.sites.parts)
    many = replies_of(job.federated.share, sites)
    rng = np.random.default_rng([job.fit.seed, 0x517E5, number])
    return tuple(sorted(rng.choice(sites, size=many, replace=False).tolist()))


def replies_of(share: float, sites: int) -> int:
    """Return how many sites are asked in a round."""
    return max(1, round(share * sites))


def _noisy(job: Job, updates: Any, start: Arrays) -> dict[str, NDArray[Any]]:
    private = job.federated.client_privacy
    if private is None:
        raise TypeError("there is no promise to sites")
    expected = job.federated.share * len(job.sites.parts)
    moving = frozenset(start) - job.buffers
    return noisy_mean(updates, start, privacy=private, expected=expected, rng=secret(), learned=moving)


def _require_joined(book: list[Sheet], job: Job) -> None:
    if any(sheet.weights for sheet in book) or job.federated.client_privacy is not None:
        return
    for sheet in book:
        for site, reason in sheet.excluded.items():
            what = f"no reply could be joined in any round; {job.sites.names[site]} in round {sheet.number}: {reason}"
            raise InputError(what, where="federated")
    raise InputError("no round joined any reply", where="federated", do="let more sites take part in a round")
