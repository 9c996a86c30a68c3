"""The numbers of a promise, read before anything is done: all public, none taken from the rows themselves."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from rai.errors import InputError
from rai.train.checks import AT_LEAST_0, AT_LEAST_1, CHANCE, POSITIVE, SHARE, Check, require_bounds
from rai.train.settings import Fit, Private

SHUFFLED = (
    "shuffled batches keep less than is promised for Poisson samples",
    "leave it out: every step draws a Poisson sample",
)
KNOWN_NOISE = (
    "noise from a generator that can be repeated hides nothing",
    "leave it out: the operating system seeds noise and sampling, and fit.seed all else",
)
FROM_ROWS = (
    "the rate would follow from how many rows there are, which is private",
    "set sample_rate and expected_batch to public numbers",
)
REFUSED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "poisson_sampling": SHUFFLED,
        "shuffle": SHUFFLED,
        "accountant": (
            "epsilon comes from PLD, with RDP and PRV beside it; GDP says less than is spent",
            "leave it out, and read alternatives in the ledger",
        ),
        "generator": KNOWN_NOISE,
        "noise_generator": KNOWN_NOISE,
        "noise_seed": KNOWN_NOISE,
        "data_loader": FROM_ROWS,
        "batch_size": FROM_ROWS,
        "epochs": FROM_ROWS,
    }
)
"""Words that other libraries take, why they would break the promise, and what to do."""


def promise_of(private: Private | None, given: Mapping[str, Any]) -> Private:
    """Return the promise that `private` and single words make together; raise `InputError` naming what is wrong.

    A word that would break the promise, such as `poisson_sampling`, is refused whatever its value.
    """
    for name in given:
        _require_known(name, given[name])
    needed = () if private is not None else ("delta", "sample_rate", "steps", "expected_batch")
    for name in needed:
        if given.get(name) is None:
            do = "say it as a public number; it is never taken from how many rows there are"
            raise InputError("is missing", where=f"private.{name}", do=do)
    found = Private(**given) if private is None else replace(private, **given)
    require_bounds(found, BOUNDS, "private")
    if (found.epsilon is None) == (found.noise_multiplier is None):
        what = "are both missing" if found.epsilon is None else "are both given"
        raise InputError(what, where="private.epsilon and noise_multiplier", expected="one of them")
    return found


def require_private_settings(settings: Fit) -> None:
    """Raise `InputError` for settings of the fit that would look at rows past the clipped and noised sum."""
    for name, usual in (("early_stopping", None), ("class_weight", None), ("mixed_precision", False)):
        if getattr(settings, name) != usual:
            raise InputError(f"is {getattr(settings, name)!r}", where=f"fit.{name}", do=REASONS[name])


def _require_known(name: str, value: object) -> None:
    if name in REFUSED:
        reason, do = REFUSED[name]
        raise InputError(f"is {value!r}: {reason}", where=f"private.{name}", do=do)
    known = [each.name for each in fields(Private)]
    if name not in known:
        raise InputError("is no word of a promise", where=f"private.{name}", expected=f"among {', '.join(known)}")


REASONS: Mapping[str, str] = MappingProxyType(
    {
        "early_stopping": "leave it out: when to stop would be told by rows that are no part of the promise",
        "class_weight": "leave it out: the weights would tell how many rows each class has, without noise",
        "mixed_precision": "leave it off: clipped sums are kept in full precision",
    }
)
BOUNDS: Mapping[str, Check] = MappingProxyType(
    {
        "sample_rate": SHARE,
        "steps": AT_LEAST_1,
        "delta": CHANCE,
        "expected_batch": POSITIVE,
        "epsilon": POSITIVE,
        "noise_multiplier": POSITIVE,
        "max_grad_norm": POSITIVE,
        "physical_batch": AT_LEAST_1,
        "gradients": ({"auto", "book_keeping", "hooks", "ghost"}.__contains__, "auto, book_keeping, hooks or ghost"),
        "canaries": AT_LEAST_0,
    }
)
