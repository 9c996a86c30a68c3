"""All that one federated training is made of, before its first round."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from torch import nn

from rai.errors import InputError
from rai.train.checks import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, SHARE, Check, among, require_bounds
from rai.train.federated.attacks import ATTACKS, BOTH
from rai.train.federated.client_privacy import require_mean
from rai.train.federated.site import Arrays
from rai.train.federated.sites import Sites
from rai.train.federated.strategies import STRATEGIES, Number
from rai.train.settings import Federated, Fit, Partition, Private, Runtime, Stress

BOUNDS: Mapping[str, Check] = {
    "clients": AT_LEAST_1,
    "rounds": AT_LEAST_1,
    "local_epochs": AT_LEAST_1,
    "share": SHARE,
    "alpha": NOT_NEGATIVE,
    "classes": AT_LEAST_1,
    "smallest": AT_LEAST_1,
    "most_examples": AT_LEAST_1,
    "jobs": AT_LEAST_1,
    "partition": among(*get_args(Partition)),
    "runtime": among(*get_args(Runtime)),
}


def _once_each(*names: str, least: int) -> Check:
    expected = f"some of {', '.join(names)}, each once"
    return lambda value: least <= len(value) == len(set(names).intersection(value)), expected


STRESS_BOUNDS: Mapping[str, Check] = {
    "attacks": _once_each(*ATTACKS, BOTH, least=1),
    "strategies": _once_each(*STRATEGIES, least=0),
    "share": (lambda value: 0 < value < 1, "a share above 0 and below 1"),
    "scale": POSITIVE,
    "rounds": AT_LEAST_1,
}


@dataclass(frozen=True)
class Job:
    """One federated training: a network to work in, the sites, what was said, and the state it starts from."""

    module: nn.Module
    sites: Sites
    federated: Federated
    fit: Fit
    private: Private | None
    arguments: Mapping[str, Number]
    start: Arrays

    @property
    def buffers(self) -> frozenset[str]:
        """Names of what the network remembers beside its parameters, such as the statistics of a batch norm."""
        return frozenset(self.start) - {name for name, _ in self.module.named_parameters(remove_duplicate=False)}


def require_federated(federated: Federated, fit: Fit, private: Private | None = None) -> None:
    """Raise `InputError` naming the first setting of a federation that makes no sense, and what would.

    `private` is the promise of each site to its rows, which it cannot make to rows of a group that lie at others too.
    """
    require_bounds(federated, BOUNDS, "federated")
    if fit.early_stopping is not None:
        do = "leave it out, and choose the number of rounds"
        raise InputError("is not known to sites that learn together", where="fit.early_stopping", do=do)
    if federated.vmap and federated.jobs > 1:
        do = "choose one: vmap for small networks, jobs for large ones"
        raise InputError(f"is {federated.jobs} beside vmap", where="federated.jobs", do=do)
    if federated.client_privacy is not None:
        require_mean(federated.strategy)
    if private is not None and private.unit != "record":
        what = f"is {private.unit!r}, and rows of one group may lie at several sites"
        raise InputError(what, where="private.unit", expected='"record" beside [federated]')
    if federated.stress is not None:
        require_stress(federated, fit, private)


def require_stress(federated: Federated, fit: Fit, private: Private | None) -> None:
    """Raise `InputError` where a federation cannot be tried under attack, or for a setting of that without sense."""
    where = "federated.stress"
    if private is not None or federated.client_privacy is not None:
        table = "[private]" if private is not None else "[federated.client_privacy]"
        what = f"is given beside {table}, whose budget each of its trainings would spend"
        raise InputError(what, where=where, do="leave one of the two out")
    if federated.superlink:
        what = "is given, and the rows of real sites are not at hand to train on anew"
        raise InputError(what, where=where, do="leave it out, or try a simulation with runtime 'local'")
    require_bounds(federated.stress or Stress(), STRESS_BOUNDS, where)
    if not fit.validation:
        what = f"is {fit.validation:g}, and attacks are measured on rows that honest sites hold back"
        raise InputError(what, where="fit.validation", expected="a share above 0 beside [federated.stress]")
