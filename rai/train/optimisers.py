"""How far the parameters move at a step: the optimizers, and the learning rate from the first step to the last."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from rai.train.settings import Fit

Rate = Callable[[int], float]
ONE_RATE: Mapping[str, float] = MappingProxyType({})
"""All parameters learn at the same rate."""


def optimizer_of(settings: Fit, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
    """Make the optimizer that the settings name; weight decay and momentum mean what they mean in torch.

    Momentum is for "sgd" and "rmsprop"; the Adam family has its own, and Adagrad none. `parameters` may come in groups,
    as torch takes them.
    """
    given: Any = list(parameters)
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(given, lr=rate, momentum=settings.momentum, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(given, lr=rate, momentum=settings.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(given, lr=rate, weight_decay=decay)
        case "adagrad":
            return torch.optim.Adagrad(given, lr=rate, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(given, lr=rate, weight_decay=decay)


def grouped(module: nn.Module, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the module's parameters in groups: those at the full rate, then those that `rates` names by a beginning.

    The loop multiplies the learning rate of a group by its `rate`.
    """
    named = list(module.named_parameters())
    full = [each for name, each in named if not name.startswith(tuple(rates))]
    own = [
        {"params": [each for name, each in named if name.startswith(start)], "rate": rate}
        for start, rate in rates.items()
    ]
    return [{"params": full}, *own]


def rate_of(settings: Fit, *, per_epoch: int, steps: int) -> Rate:
    """Return the learning rate as a function of the step, counted from 0.

    It rises evenly over the first `warmup` steps. Then "constant" stays; "step" is multiplied by `gamma` every
    `step_size` epochs, counted from the start; "cosine" falls along half a wave from the end of the warm-up to 0 at
    `steps` (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).
    """

    def rate(step: int) -> float:
        if step < settings.warmup:
            return settings.learning_rate * (step + 1) / settings.warmup
        return settings.learning_rate * _share(settings, step, per_epoch=per_epoch, steps=steps)

    return rate


def _share(settings: Fit, step: int, *, per_epoch: int, steps: int) -> float:
    """What is left of the full rate, from 0 to 1."""
    match settings.schedule:
        case "constant":
            return 1.0
        case "step":
            return settings.gamma ** (step // per_epoch // settings.step_size)
        case "cosine":
            done = (step - settings.warmup) / max(1, steps - settings.warmup)
            return 0.5 * (1.0 + math.cos(math.pi * done))
