"""Checks of the settings of a training, before anything is done."""

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

from rai.errors import InputError
from rai.train.settings import Fit

Check = tuple[Callable[[Any], bool], str]
"""Whether a value makes sense, and in words which do."""


def require_settings(settings: Fit) -> None:
    """Raise `InputError` naming the first setting that makes no sense, and what would."""
    require_bounds(settings, BOUNDS, "fit")
    if settings.unfreeze_after is not None and not settings.freeze:
        raise InputError("is given, and nothing is frozen", where="fit.unfreeze_after", do="say what to freeze")


def require_bounds(table: object, bounds: Mapping[str, Check], where: str) -> None:
    """Raise `InputError` naming the first key of a table whose value breaks its bounds; None breaks none."""
    for name, (holds, expected) in bounds.items():
        value = getattr(table, name)
        if value is not None and not holds(value):
            raise InputError(f"is {value!r}", where=f"{where}.{name}", expected=expected)


def _whole(least: int) -> Callable[[float], bool]:
    return lambda value: isinstance(value, int) and value >= least


def _one_of(name: str) -> Check:
    """The words that the type of a setting names."""
    return among(*get_args(get_type_hints(Fit)[name]))


def among(*names: str) -> Check:
    """Return the check of a value that must be one of these words."""
    return names.__contains__, f"one of {', '.join(names)}"


def _finite(value: float) -> bool:
    return 0 <= value < float("inf")


def _names(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, str) and each for each in value)


POSITIVE: Check = (lambda value: 0 < value < float("inf"), "a number above 0")
NOT_NEGATIVE: Check = (_finite, "a number from 0")
AT_LEAST_0: Check = (_whole(0), "a whole number from 0")
AT_LEAST_1: Check = (_whole(1), "a whole number from 1")
SHARE: Check = (lambda value: 0 < value <= 1, "a share above 0 and at most 1")
CHANCE: Check = (lambda value: 0 < value < 1, "a chance above 0 and below 1, such as 1e-5")
BOUNDS: Mapping[str, Check] = {
    "epochs": AT_LEAST_1,
    "batch_size": AT_LEAST_1,
    "optimizer": _one_of("optimizer"),
    "learning_rate": POSITIVE,
    "momentum": (lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "weight_decay": NOT_NEGATIVE,
    "l1": NOT_NEGATIVE,
    "schedule": _one_of("schedule"),
    "warmup": AT_LEAST_0,
    "step_size": AT_LEAST_1,
    "gamma": POSITIVE,
    "initialization": _one_of("initialization"),
    "max_grad_norm": POSITIVE,
    "early_stopping": AT_LEAST_1,
    "class_weight": among("balanced"),
    "validation": (lambda value: 0 <= value < 1, "a share from 0 to below 1"),
    "augment": (_names, "a tuple of names"),
    "freeze": (_names, "a tuple of names with which names of parameters begin"),
    "unfreeze_after": AT_LEAST_0,
    "seed": AT_LEAST_0,
}
