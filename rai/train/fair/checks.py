"""Checks of what is asked for, before anything is done."""

import math
from typing import get_args, get_type_hints

from torch import nn

from rai.errors import InputError
from rai.train.losses import Task
from rai.train.settings import Fair, Private

SHARES = ("threshold", "reductions", "reweighing")
"""Methods whose strength is a share, from 0 to 1."""
WORDS = {name: get_args(get_type_hints(Fair)[name]) for name in ("criterion", "method", "penalty")}
LEAST = {"warm_start": 0, "ramp": 0, "tolerance": 0, "adversary_rate": 0}
NOT_PRIVATE = {
    "adversarial": "the adversary learns from the same rows, and nothing yet bounds what it takes from one of them",
    "gap_penalty": "the gap is one of all rows of a batch together, so no row's part in the gradient can be clipped",
    "threshold": "thresholds are found on the rows without noise",
    "reductions": "its costs are counted on the rows without noise, and it trains many models",
    "reweighing": "the weights are counts of rows by group and label, taken without noise",
}


def require_fair(fair: Fair, adversary: nn.Module | None = None) -> None:
    """Raise `InputError` naming the first word of `fair` that makes no sense, and what would."""
    for name, known in WORDS.items():
        if getattr(fair, name) not in known:
            what = f"is {getattr(fair, name)!r}"
            raise InputError(what, where=f"fair.{name}", expected=f"one of {', '.join(known)}")
    for name, least in LEAST.items():
        value = getattr(fair, name)
        if not math.isfinite(value) or value < least:
            raise InputError(f"is {value!r}", where=f"fair.{name}", expected=f"{least} or more")
    _require_strength(fair)
    if fair.method != "adversarial" and adversary is not None:
        raise InputError(f"is given, and the method is {fair.method!r}", where="adversary", do="leave it out")
    if fair.method != "threshold" and fair.attribute_at_predict:
        what = f"is on, and the method is {fair.method!r}"
        raise InputError(what, where="fair.attribute_at_predict", expected="method 'threshold'", do="leave it off")


def require_defined(fair: Fair, task: Task) -> None:
    """Raise `InputError` where the criterion says nothing about such a task."""
    if task == "multilabel":
        what = "several labels a row have no criterion of their own"
        raise InputError(what, where="task", expected="binary, multiclass or regression")
    if task == "regression" and fair.criterion != "demographic_parity":
        what = f"is {fair.criterion!r}, which is not defined for regression: there are no classes to be right about"
        raise InputError(what, where="fair.criterion", expected="'demographic_parity'")


def require_not_private(fair: Fair, private: Private | None) -> None:
    """Raise `InputError` where a promise of privacy is asked for that the method would break."""
    if private is not None and fair.method in NOT_PRIVATE:
        raise InputError(
            f"is given, and {fair.method!r} cannot keep its promise: {NOT_PRIVATE[fair.method]}",
            where="private",
            do="leave out one of [fair] and [private]",
        )


def _require_strength(fair: Fair) -> None:
    most = 1.0 if fair.method in SHARES else math.inf
    if (fair.strength is not None and not 0 <= fair.strength <= most) or fair.strength == math.inf:
        expected = "a share from 0 to 1" if most == 1 else "a number, 0 or more"
        raise InputError(f"is {fair.strength!r} for {fair.method!r}", where="fair.strength", expected=expected)
