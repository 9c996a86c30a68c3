"""How far the parameters move at a step: the optimizers, and the learning rate from the first step to the last."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from rai.train.settings import Fit

Rate = Callable[[int], float]


def optimizer_of(settings: Fit, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimizer that the settings name; weight decay and momentum mean what they mean in torch.

    Momentum is for "sgd" and "rmsprop"; the Adam family has its own, and Adagrad none.
    """
    given, rate, decay = list(parameters), settings.learning_rate, settings.weight_decay
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
