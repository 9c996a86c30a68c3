"""Checks of the settings of a training, before anything is done."""

from collections.abc import Callable

from rai.errors import InputError
from rai.train.settings import Fit


def require_settings(settings: Fit) -> None:
    """Raise `InputError` naming the first setting that makes no sense, and what would."""
    for name, (holds, expected) in BOUNDS.items():
        value = getattr(settings, name)
        if value is not None and not holds(value):
            raise InputError(f"is {value!r}", where=f"fit.{name}", expected=expected)
    if settings.unfreeze_after is not None and not settings.freeze:
        raise InputError("is given, and nothing is frozen", where="fit.unfreeze_after", do="say what to freeze")


def _whole(least: int) -> Callable[[float], bool]:
    return lambda value: isinstance(value, int) and value >= least


def _among(*names: str) -> tuple[Callable[[object], bool], str]:
    return names.__contains__, f"one of {', '.join(names)}"


def _finite(value: float) -> bool:
    return 0 <= value < float("inf")


def _names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, str) and each for each in value)


POSITIVE: tuple[Callable[[float], bool], str] = (lambda value: 0 < value < float("inf"), "a number above 0")
NOT_NEGATIVE = (_finite, "a number from 0")
AT_LEAST_0 = (_whole(0), "a whole number from 0")
AT_LEAST_1 = (_whole(1), "a whole number from 1")
BOUNDS = {
    "epochs": AT_LEAST_1,
    "batch_size": AT_LEAST_1,
    "optimizer": _among("sgd", "adam", "adamw", "rmsprop", "adagrad"),
    "learning_rate": POSITIVE,
    "momentum": (lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "weight_decay": NOT_NEGATIVE,
    "l1": NOT_NEGATIVE,
    "schedule": _among("constant", "step", "cosine"),
    "warmup": AT_LEAST_0,
    "step_size": AT_LEAST_1,
    "gamma": POSITIVE,
    "initialization": _among("default", "xavier", "he"),
    "max_grad_norm": POSITIVE,
    "early_stopping": AT_LEAST_1,
    "class_weight": _among("balanced"),
    "validation": (lambda value: 0 <= value < 1, "a share from 0 to below 1"),
    "augment": (_names, "a tuple of names"),
    "freeze": (_names, "a tuple of names with which names of parameters begin"),
    "unfreeze_after": AT_LEAST_0,
    "seed": AT_LEAST_0,
}
