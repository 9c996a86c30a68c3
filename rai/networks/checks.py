"""Checks that every architecture makes of its arguments before anything is allocated."""

from collections.abc import Iterable, Sequence

from rai.errors import InputError

MOST_PARAMETERS = 2**31
"""More numbers than this (8 GiB of weights) in one network are a mistake or an attack."""
MOST_LAYERS = 1000
"""More layers than this in one network, or one stage of it, are a mistake or an attack."""


def size(key: str, given: object, *, most: int = MOST_PARAMETERS) -> int:
    """Return `given` when it is a whole number from 1 to `most`; raise `InputError` naming the key otherwise."""
    return whole(key, given, range(1, most + 1))


def whole(key: str, given: object, allowed: range) -> int:
    """Return `given` when it is a whole number among `allowed`, which counts up by ones."""
    if isinstance(given, bool) or not isinstance(given, int) or given not in allowed:
        expected = f"a whole number from {allowed.start} to {allowed.stop - 1}"
        raise InputError(f"is {given!r}", where=_place(key), expected=expected)
    return given


def odd(key: str, given: object) -> int:
    """Return `given` when it is an odd whole number from 1 to 99, such as the side of a kernel with a middle."""
    if isinstance(given, bool) or not isinstance(given, int) or given not in range(1, 100, 2):
        raise InputError(f"is {given!r}", where=_place(key), expected="an odd whole number from 1 to 99")
    return given


def sizes(key: str, given: object) -> tuple[int, ...]:
    """Return `given` as a tuple of sizes; it may be empty."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"is {given!r}", where=_place(key), expected="a list of whole numbers, for example [64, 32]")
    return tuple(size(key, each) for each in given)


def stages(key: str, given: object) -> tuple[int, ...]:
    """Return `given` as a tuple of one size or more, at most 1000 of them."""
    found = sizes(key, given)
    if not 1 <= len(found) <= MOST_LAYERS:
        raise InputError(f"lists {len(found)} sizes", where=_place(key), expected=f"from 1 to {MOST_LAYERS} of them")
    return found


def area(key: str, given: object) -> tuple[int, int]:
    """Return `given` as height and width."""
    found = sizes(key, given)
    if len(found) != 2:
        raise InputError(f"is {list(found)}", where=_place(key), expected="height and width, for example [28, 28]")
    return found[0], found[1]


def one_of(key: str, given: object, choices: Iterable[str]) -> str:
    """Return `given` when it is one of `choices`."""
    known = tuple(choices)
    if not isinstance(given, str) or given not in known:
        raise InputError(f"is {given!r}", where=_place(key), expected=f"one of {', '.join(known)}")
    return given


def share(key: str, given: object) -> float:
    """Return `given` as a number from 0 to below 1."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1:
        raise InputError(f"is {given!r}", where=_place(key), expected="a number from 0 to below 1")
    return float(given)


def flag(key: str, given: object) -> bool:
    """Return `given` when it is true or false."""
    if not isinstance(given, bool):
        raise InputError(f"is {given!r}", where=_place(key), expected="true or false")
    return given


def require_total(parameters: int) -> None:
    """Raise `InputError` when the network would hold more than 2³¹ parameters."""
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"would hold {parameters:,} parameters", where="network.arguments", expected="at most 2,147,483,648"
        )


def _place(key: str) -> str:
    return f"network.arguments.{key}"
