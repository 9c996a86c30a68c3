"""All that one federated training is made of, before its first round."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from rai.errors import InputError
from rai.train.checks import AT_LEAST_1, NOT_NEGATIVE
from rai.train.federated.client_privacy import require_mean
from rai.train.federated.site import Arrays
from rai.train.federated.sites import Sites
from rai.train.federated.strategies import Number
from rai.train.settings import Federated, Fit, Private

PARTITIONS = ("iid", "dirichlet", "pathological", "column", "quantity")
BOUNDS = {
    "clients": AT_LEAST_1,
    "rounds": AT_LEAST_1,
    "local_epochs": AT_LEAST_1,
    "share": (lambda value: 0 < value <= 1, "a share above 0 and at most 1"),
    "alpha": NOT_NEGATIVE,
    "classes": AT_LEAST_1,
    "smallest": AT_LEAST_1,
    "most_examples": AT_LEAST_1,
    "partition": (PARTITIONS.__contains__, f"one of {', '.join(PARTITIONS)}"),
    "runtime": (("local", "deployment").__contains__, "'local' or 'deployment'"),
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


def require_federated(federated: Federated, fit: Fit) -> None:
    """Raise `InputError` naming the first setting of a federation that makes no sense, and what would."""
    for name, (holds, expected) in BOUNDS.items():
        value = getattr(federated, name)
        if value is not None and not holds(value):
            raise InputError(f"is {value!r}", where=f"federated.{name}", expected=expected)
    if fit.early_stopping is not None:
        do = "leave it out, and choose the number of rounds"
        raise InputError("is not known to sites that learn together", where="fit.early_stopping", do=do)
    if federated.client_privacy is not None:
        require_mean(federated.strategy)
