"""What a federation promises: each site to its rows, and the server to each site; two promises, never added up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from rai.ledger import NOISY_LOSSES, Privacy, Round
from rai.train.batches import Rows
from rai.train.federated.client_privacy import assumption, client_promise, without_participation
from rai.train.federated.client_privacy import unnoised as beside_the_mean
from rai.train.federated.facts import OWN
from rai.train.federated.job import Job
from rai.train.federated.site import Learner, Task, Update
from rai.train.federated.site_account import (
    BY_GROUP,
    MEASURED,
    Account,
    account_of,
    largest,
    phases_so_far,
    privacy_of,
    spent_at_most,
)
from rai.train.federated.site_account import UNNOISED as BESIDE_THE_UPDATE
from rai.train.federated.site_private import learned_privately, looked_at, with_noise
from rai.train.federated.sites import HANDED_IN
from rai.train.given import Parts
from rai.train.private.clipped_sum import Clipped
from rai.train.settings import Private

ALONE = "what a model of each site's own rows alone is worth"
SPENT = "the largest epsilon that the rows of any site have spent, which hints at how often that site took part"
BROUGHT = "what each site's updates brought, which was valued on the sites' held-out rows"
BEGINS_ANEW = (
    "a site's account is of exactly its rows, those held back included, as the network sees them, and of one delta: "
    "with a row more or less, another delta, or other means, scales or categories, it begins anew, and does not count "
    "what the same people spent before"
)
HELD_BACK = (
    "which rows a site holds back changes with the seed and the share of them: over several trainings a row may be "
    "measured on without noise in one, and learned from with noise in another"
)
MADE_UP = "sites were dealt out of one table; their accounts hold for these very parts"
HIDDEN_LOSSES = (
    "it is secret which sites took part in which round: the loss of an epoch is that of the common model on the rows "
    "that sites held back, and single rounds tell of no updates, bytes or seconds"
)
Way = Callable[[nn.Module, Rows, Task], Clipped]
"""How gradients of rows are clipped, for a network and what is asked."""


@dataclass(frozen=True)
class Promising:
    """How one site learns within its promise: what is promised, the account of it, and how gradients are clipped."""

    private: Private
    account: Account
    way: Way

    def __call__(self, module: nn.Module, rows: Rows, task: Task) -> Update:
        """Learn for a round."""
        clipped = self.way(module, rows, task)
        return learned_privately(module, rows, task, self.private, self.account, clipped=clipped)


@dataclass(frozen=True)
class SitePromises:
    """Each site's promise to its rows, and the account of it on the site's own disk."""

    private: Private
    accounts: Mapping[int, Account]

    def learners(self) -> dict[int, Learner]:
        """Return how each site learns within its promise; the network is looked at once for all of them."""
        way = _looked_at_once(self.private)
        return {site: Promising(self.private, account, way) for site, account in self.accounts.items()}

    def made(self) -> dict[int, Privacy]:
        """Return what each site has promised so far, those of earlier runs on the same rows included."""
        known = {site: each for site, each in self.accounts.items() if phases_so_far(each)}
        return {site: privacy_of(each, self.private) for site, each in known.items()}

    def spent(self) -> float | None:
        """Return quickly the most that the rows of any site have spent so far; None where nobody has."""
        return spent_at_most(self.accounts.values())


def site_promises(job: Job, folder: Path | None) -> SitePromises | None:
    """Return the sites' promises to their rows, None without `[private]`; each site's account is in `folder`."""
    if job.private is None or folder is None:
        return None
    accounts = {site: account_at(folder, each, job.private) for site, each in enumerate(job.sites.parts)}
    return SitePromises(with_noise(job.private), accounts)


def account_at(folder: Path, parts: Parts, private: Private) -> Account:
    """Return the account of all rows of a site, those that it holds back included, in a folder of its own disk."""
    return account_of(folder, _all_of(parts), private)


def is_hidden(job: Job) -> bool:
    """Whether the promise to sites counts on its being secret which of them took part in which round."""
    return job.federated.client_privacy is not None and job.federated.share < 1


def shown(job: Job, found: Round) -> Round:
    """Return a round as the ledger may tell it."""
    return without_participation(found) if is_hidden(job) else found


def warnings(job: Job) -> tuple[str, ...]:
    """Return in words what a reader of the ledger must know of the promises."""
    hidden, private = is_hidden(job), job.private is not None
    made_up = job.federated.partition != "column" and job.sites.dealt not in {HANDED_IN, OWN}
    told = {
        HIDDEN_LOSSES: hidden,
        NOISY_LOSSES: private and not hidden,
        MADE_UP: private and made_up,
        BEGINS_ANEW: private,
        HELD_BACK: private and job.fit.validation > 0,
    }
    return tuple(each for each, holds in told.items() if holds)


def promise_to_rows(made: Mapping[int, Privacy]) -> Privacy | None:
    """Return the sites' largest promise to a row, None where nobody promised."""
    return largest(made.values())


def promise_to_sites(job: Job) -> Privacy | None:
    """Return the server's promise to each site as a whole, None without `[federated.client_privacy]`."""
    said, federated = job.federated.client_privacy, job.federated
    if said is None:
        return None
    return client_promise(said, share=federated.share, clients=len(job.sites.parts), rounds=federated.rounds)


def rests_on(job: Job) -> str:
    """Return in words what the promise to sites rests on, "" without one."""
    return "" if job.federated.client_privacy is None else assumption(job.federated.share)


def unnoised(job: Job, *, brought: bool = False) -> tuple[str, ...]:
    """Return in words what leaves a site without noise, where something is promised; nothing that does not leave.

    `brought` says that the ledger tells what each site's updates brought.
    """
    rows = BESIDE_THE_UPDATE if job.private is not None else ()
    sites = () if job.federated.client_privacy is None else beside_the_mean(job.federated.share)
    alone = (ALONE,) if sites and twins(job) else ()
    spent = (SPENT,) if rows and is_hidden(job) else ()
    valued = (BROUGHT,) if brought and (rows or sites) else ()
    absent = _not_sent(job)
    return tuple(each for each in dict.fromkeys((*rows, *sites, *alone, *spent, *valued)) if each not in absent)


def _not_sent(job: Job) -> set[str]:
    """What this federation's sites have nothing to say of: rows that none holds back, groups that none counts."""
    measured, task = job.fit.validation > 0, job.sites.task
    counted = measured and bool(job.sites.attributes) and task in {"binary", "multiclass"}
    return ({MEASURED} if not measured else set()) | ({BY_GROUP} if not counted else set())


def twins(job: Job) -> bool:
    """Whether each site also learns alone: not where rows were promised something, for its model would break that."""
    return job.federated.alone and job.private is None


def _looked_at_once(private: Private) -> Way:
    """Look at the network when it is first asked for, and once more when what was frozen begins to learn."""
    found: dict[bool, Clipped] = {}

    def way(module: nn.Module, rows: Rows, task: Task) -> Clipped:
        frozen = (task.round - 1) * task.epochs < (task.fit.unfreeze_after or 0)
        if frozen not in found:
            found[frozen] = looked_at(module, rows, task, private)
        return found[frozen]

    return way


def _all_of(parts: Parts) -> Rows:
    train, held = parts.train, parts.held
    if held is None:
        return train
    return Rows(torch.cat([train.inputs, held.inputs]), torch.cat([train.targets, held.targets]), train.task)
