"""Training at sites of their own: a SuperLink that runs already is handed the run, and this side sees no row."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from rai.card import Card, Network
from rai.errors import InputError
from rai.train.checkpoints import Clock
from rai.train.checks import require_settings
from rai.train.federated.account import Told, ledger_of_federation
from rai.train.federated.bundle import stage
from rai.train.federated.deployment import Submitted, follow, order_of, stop, submit, with_bundle
from rai.train.federated.facts import distant, known, read_facts
from rai.train.federated.fitting import Aids, Epochs
from rai.train.federated.job import Job, require_federated
from rai.train.federated.local import Run, replies_of
from rai.train.federated.partition import names
from rai.train.federated.site import arrays_of, load
from rai.train.federated.strategies import arguments_of
from rai.train.federated.superlink import Link, listens, require_encrypted
from rai.train.on_disk import fresh
from rai.train.settings import Federated, Fit, Private
from rai.train.setup import forked, initialize, require_frozen
from rai.train.trained import Trained

UNSEEN = (
    "what each site's own model would be worth, and what its updates brought, was not measured: its rows stay there"
)
NO_AIDS = Aids(None, None, None, None, "", "")


def fit_at_sites(  # noqa: PLR0913 - the front door: each is a thing that some caller wants to say
    card: Card,
    link: Link,
    folder: Path,
    *,
    federated: Federated,
    settings: Fit,
    private: Private | None = None,
    module: nn.Module | None = None,
    aids: Aids = NO_AIDS,
) -> Trained:
    """Train the card's network at sites that a SuperLink knows, and return it with its ledger.

    `federated.clients` says how many sites there are; each has a SuperNode whose node config names its number
    (`partition-id`, from 0), its own file (`data`), which the card says how to read, and if it likes its `name` and the
    folder of its `accounts`. `folder` holds what is sent and what comes back; the SuperLink writes rounds into it, so
    it runs on this machine, or the folder is one that both share. Ctrl-C stops the run. Sites begin with the weights of
    `module`, which becomes the trained one, or without it with weights that the seed draws. `aids` are rows of this
    side's own and who watches. Raises `InputError` for settings that make no sense, where nothing answers at the
    SuperLink's address, and where the run fails.
    """
    require_settings(settings)
    _require_address(link)
    require_encrypted(link.address.rpartition(":")[0], link.authority, insecure=link.insecure)
    chosen = replace(federated, runtime="deployment", alone=False, contributions=False, vmap=False, jobs=1)
    require_federated(replace(chosen, superlink=link.address), settings, private)
    begun = fresh(_network(card), settings.seed) if module is None else module
    job = _job(card, begun, chosen, settings, private)
    require_frozen(job.module, settings.freeze)
    _require_answering(link)
    bundle = stage(folder / "bundle", order_of(job, _network(card), card), job.start)
    clock, epochs = Clock(), Epochs(job, aids)
    run = _ran(submit(link, bundle, folder, result=folder / "result"), job, epochs)
    facts = read_facts(folder / "result")
    load(job.module, run.state)
    made = job.module.eval()
    promised = {each.number: each.promise for each in facts if each.promise is not None}
    told = Told(made, run, epochs.tested(made), clock, None, aids.made, aids.origin, promised)
    ledger = ledger_of_federation(replace(job, sites=known(job.sites, facts)), told)
    return Trained(made, with_bundle(ledger, bundle.manifest))


def _ran(submitted: Submitted, job: Job, epochs: Epochs) -> Run:
    try:
        run = follow(submitted, job, epochs)
    except KeyboardInterrupt:
        stop(submitted)
        raise
    return replace(run, warnings=(*run.warnings, UNSEEN))


def _network(card: Card) -> Network:
    if card.network is None:
        raise InputError("names no network", where="network", expected="network.kind")
    return card.network


def _require_address(link: Link) -> None:
    host, _, port = link.address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"is {link.address!r}", where="federated.superlink", expected="HOST:PORT")


def _require_answering(link: Link) -> None:
    """Raise `InputError` where the SuperLink is not there, which Flower's own command takes long to say."""
    if not listens(link.address):
        do = "start flower-superlink there, or mend federated.superlink"
        raise InputError("nothing answers", where=link.address, expected="a SuperLink", do=do)


def _job(card: Card, module: nn.Module, federated: Federated, settings: Fit, private: Private | None) -> Job:
    """The job as this side knows it, which begins as in one process."""
    with forked(module):
        torch.manual_seed(settings.seed)
        initialize(module, settings.initialization)
    called = names("iid", federated.clients)
    arguments = arguments_of(federated, settings, replies_of(federated.share, federated.clients))
    sites = distant(called, {}, card.task)
    return Job(module, sites, federated, settings, private, arguments, arrays_of(module))
