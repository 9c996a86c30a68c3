"""Which features moved a prediction, by how much, and how sure that is. One signature for every method."""

import importlib
from collections.abc import Callable

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.questions import Question, Target, target_of
from rai.explainers.shapley import shapley_values
from rai.methods import METHODS

__all__ = ["METHODS", "Attribution", "Question", "Target", "method", "shapley_values", "target_of"]


def method(name: str) -> Callable[[Question], Attribution]:
    """The function behind a method's name; raise `InputError` for a name that none has."""
    if name not in METHODS:
        raise InputError(f"no method is named {name!r}", where="method", expected=f"one of {', '.join(METHODS)}")
    module, function = METHODS[name].split(":")
    found: Callable[[Question], Attribution] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return found
