"""Training that writes down what it promised: plain, private, searched, monitored, metered.

>>> from rai import train
>>> trained = train.fit(network, (X, y), settings=train.Fit(epochs=50, early_stopping=5))
>>> trained.ledger.epochs[-1].loss
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rai.train.fair import fit_fair
    from rai.train.federated import fit_federated
    from rai.train.fitting import fit
    from rai.train.private import fit_private
    from rai.train.settings import ClientPrivacy, Fair, Federated, Fit, Private
    from rai.train.setup import replace_head
    from rai.train.trained import Trained

HOMES = {
    "ClientPrivacy": "settings",
    "Fair": "settings",
    "Federated": "settings",
    "Fit": "settings",
    "Private": "settings",
    "Trained": "trained",
    "fit": "fitting",
    "fit_fair": "fair",
    "fit_federated": "federated",
    "fit_private": "private",
    "replace_head": "setup",
}

__all__ = [
    "ClientPrivacy",
    "Fair",
    "Federated",
    "Fit",
    "Private",
    "Trained",
    "fit",
    "fit_fair",
    "fit_federated",
    "fit_private",
    "replace_head",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that reading a recipe's settings does not load torch."""
    if name not in HOMES:
        raise AttributeError(f"module 'rai.train' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"rai.train.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
