"""Training by several sites in one call: who they are, how they learn together, and the account of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.ledger import Epoch, Privacy
from rai.train.account import forward_flops
from rai.train.batches import Rows
from rai.train.checkpoints import Clock
from rai.train.checks import require_settings
from rai.train.federated.account import Told, ledger_of_federation
from rai.train.federated.book import Sheet, epoch_of
from rai.train.federated.deployment import Places, run_deployed, with_bundle
from rai.train.federated.flower import quiet, switched_off
from rai.train.federated.job import Job, require_federated
from rai.train.federated.local import Run, replies_of, run_local
from rai.train.federated.promises import SitePromises, is_hidden, site_promises
from rai.train.federated.simulation import run_simulated
from rai.train.federated.site import arrays_of, evaluated, load
from rai.train.federated.sites import GivenSites, sites_of
from rai.train.federated.strategies import arguments_of
from rai.train.federated.stress import planned, with_stress
from rai.train.given import Given, rows_given
from rai.train.loop import Moment, Watch
from rai.train.losses import Task
from rai.train.settings import Federated, Fit, Private
from rai.train.setup import copied, device_of, forked, initialize, require_frozen
from rai.train.threads import threads_for
from rai.train.trained import Trained

DEFAULTS = Fit()


@dataclass(frozen=True)
class Aids:
    """What a caller may hand in beside network, data and settings; `fit_federated` says what each of them is."""

    validation: Rows | None
    test: Rows | None
    watch: Watch | None
    accounts: Path | None
    made: str
    origin: str
    described: Network | None = None


def fit_federated(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    network: nn.Module,
    data: GivenSites,
    *,
    clients: int | None = None,
    rounds: int | None = None,
    strategy: str | None = None,
    partition: str | None = None,
    federated: Federated | None = None,
    settings: Fit = DEFAULTS,
    private: Private | None = None,
    task: Task | None = None,
    validation: Given | None = None,
    test: Given | None = None,
    runtime: str | None = None,
    watch: Watch | None = None,
    accounts: Path | str | None = None,
    described: Network | None = None,
    made: str = "",
    origin: str = "",
) -> Trained:
    """Train a copy of the network at several sites that keep their rows, and return it with its ledger.

    `data` is what `fit` takes, dealt out to `clients` sites as `partition` says; or a list or mapping of such, one for
    each site, and then nothing is dealt out. `clients`, `rounds`, `strategy`, `partition` and `runtime` go before what
    `federated` says of them (10 sites, 10 rounds, "fedavg", "iid", "local"). Optimizer, rate and batches of a site's
    training are those of `settings`, whose `epochs` mean nothing here: a site makes `federated.local_epochs` passes in
    a round, with a fresh optimizer, and schedules of the rate go on over all rounds. Each site holds back a share
    `settings.validation` of its own rows, on which the common model is measured after each round.

    `validation` and `test` are rows of the server's own, if it has any: the ledger's epochs then have the loss on the
    first, and the last epoch what the model is worth on the second. `watch` hears of every round. A site that fails,
    or whose update is no use, is left out of the round, and the ledger says why. The same seed gives the same bytes;
    the caller's random generators are not touched. With `private` each site keeps an account of what its rows have
    spent, in the folder `accounts`, where later runs go on from it; without one, for this run alone. Where
    `federated.stress` asks for it, attacks are then tried in trainings of their own, in this process. Nothing else is
    written and no connection is tried, but by the runtimes "deployment" and "ray": there each site learns from a file
    of its own on Flower's servers or in its simulation on Ray (`rai[ray]`), on this machine alone, to the same result;
    `described` is then the network in a card's words, for sites are sent no code. `InputError` names what is wrong with
    settings, rows or labels, and is raised where no reply could ever be joined. `origin`, the SHA-256 of the file that
    the first weights came from, is entered in the ledger's recipe. Source: McMahan et al. 2017 (arXiv:1602.05629).
    """
    said = {"clients": clients, "rounds": rounds, "strategy": strategy, "partition": partition, "runtime": runtime}
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    chosen = replace(federated or Federated(), **given)
    require_settings(settings)
    require_federated(chosen, settings, private)
    switched_off()
    module = copied(network).to(device_of(settings))
    require_frozen(module, settings.freeze)
    with forked(module), quiet():
        torch.manual_seed(settings.seed)
        initialize(module, settings.initialization)
        sites = sites_of(data, module, task, chosen, settings)
        arguments = arguments_of(chosen, settings, replies_of(chosen.share, len(sites.parts)))
        job = Job(copied(module), sites, chosen, settings, private, arguments, arrays_of(module))
        own = [None if each is None else rows_given(each, module, sites.task) for each in (validation, test)]
        folder = None if accounts is None else Path(accounts)
        return _trained(module, job, Aids(own[0], own[1], watch, folder, made, origin, described))


def _trained(module: nn.Module, job: Job, aids: Aids) -> Trained:
    """Let the sites learn, and give back the module as it came, but for its weights."""
    plan = planned(job)
    flops = forward_flops(module, job.sites.parts[0].train)
    clock, epochs = Clock(), Epochs(job, aids)
    with threads_for(flops, job.fit.batch_size, job.fit.device):
        ran = _ran(job, epochs, aids)
    load(module, ran.run.state)
    module.zero_grad(set_to_none=True)
    module.eval().cpu()
    told = Told(module, ran.run, epochs.tested(module), clock, flops, aids.made, aids.origin, ran.promised)
    ledger = with_bundle(ledger_of_federation(job, told), ran.bundle)
    return Trained(module, with_stress(ledger, plan, aids.watch))


@dataclass(frozen=True)
class Ran:
    """What came of the rounds, what each site promised to its rows, and the hashes of what was sent to sites."""

    run: Run
    promised: Mapping[int, Privacy]
    bundle: Mapping[str, str]


def _ran(job: Job, epochs: "Epochs", aids: Aids) -> Ran:
    """Let the sites learn where the settings say."""
    with _folder(aids.accounts) as folder:
        promises = site_promises(job, folder)
        if job.federated.runtime != "local":
            run_there = run_simulated if job.federated.runtime == "ray" else run_deployed
            far = run_there(job, epochs, _described(aids), places=Places(accounts=folder))
            run, bundle = far.run, far.bundle
        else:
            epochs.promises = promises
            run, bundle = run_local(job, epochs, None if promises is None else promises.learners()), {}
        return Ran(run, {} if promises is None else promises.made(), bundle)


def _described(aids: Aids) -> Network:
    if aids.described is None:
        do = "name the network as a card would: described=rai.card.Network(…)"
        raise InputError("is missing, and sites are sent no code", where="described", do=do)
    return aids.described


@contextmanager
def _folder(accounts: Path | None) -> Iterator[Path]:
    """Where sites keep their accounts: the folder that was named, or one that goes when the training is done."""
    if accounts is not None:
        yield accounts
        return
    with TemporaryDirectory(prefix="rai-accounts-") as folder:
        yield Path(folder)


@dataclass
class Epochs:
    """Hears of each round, measures the common model on the server's own rows, and enters the round as an epoch.

    With `promises` of sites in this process the epoch has the most that any site's rows have spent so far, unless that
    would tell who took part.
    """

    job: Job
    aids: Aids
    found: list[Epoch] = field(default_factory=list)
    promises: SitePromises | None = None

    def __call__(self, sheet: Sheet) -> None:
        """Enter a round, and tell who watches."""
        hidden = is_hidden(self.job)
        epoch = epoch_of(sheet, hidden=hidden)
        if epoch is not None and self.promises is not None and not hidden:
            epoch = replace(epoch, epsilon=self.promises.spent())
        if epoch is not None and self.aids.validation is not None:
            load(self.job.module, sheet.end)
            epoch = replace(epoch, validation_loss=evaluated(self.job.module, self.aids.validation, {}).loss)
        if epoch is not None:
            self.found.append(epoch)
        if self.aids.watch is not None:
            self.aids.watch.step(self._moment(sheet.number, epoch))

    def _moment(self, number: int, epoch: Epoch | None) -> Moment:
        rounds = self.job.federated.rounds
        loss, epsilon = (None, None) if epoch is None else (epoch.loss, epoch.epsilon)
        return Moment(number, rounds, number, rounds, loss, epsilon, part="round")

    def tested(self, module: nn.Module) -> list[Epoch]:
        """Return all epochs, the last of them with what the model is worth on the test rows, if there are any."""
        if self.aids.test is None or not self.found:
            return self.found
        seen = evaluated(module, self.aids.test, {})
        worth = {"test_loss": seen.loss, "test_accuracy" if seen.decided else "test_r2": seen.accuracy}
        known = {name: value for name, value in worth.items() if value is not None}
        return [*self.found[:-1], replace(self.found[-1], metrics={**self.found[-1].metrics, **known})]
