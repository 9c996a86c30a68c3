"""Which updates are joined at all: what a site sends is looked at before any strategy sees it.

One update with a NaN, or one that claims a million rows, undoes a weighted average (Blanchard et al. 2017,
arXiv:1703.02757). Each that is left out is left out for one reason, in words.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Received(Protocol):
    """What came back from a site: its parameters, and how many rows it says it learned from."""

    @property
    def arrays(self) -> Arrays:
        """The parameters after training, by name."""

    @property
    def examples(self) -> int:
        """How many rows it says it learned from."""


@dataclass(frozen=True)
class Checked:
    """Places of the updates that are used, why each of the others is not, and how long each update is.

    `norms` are Euclidean lengths of the difference to what was sent out, measured here and not taken from a site;
    those that cannot be measured are left out.
    """

    kept: list[int]
    excluded: dict[int, str]
    norms: dict[int, float] = field(default_factory=dict)


def checked(
    updates: Sequence[Received],
    reference: Arrays,
    *,
    most_examples: int | None = None,
    sites: Sequence[Hashable] | None = None,
) -> Checked:
    """Return which updates may be joined: finite, of the shapes and types sent out, with a count of rows in bounds.

    `reference` holds the parameters that were sent out. `most_examples` caps what a site may say it learned from, None
    for no cap. `sites` names who sent each update; of two by one site the first is used.
    """
    seen: set[Hashable] = set()
    reasons: dict[int, str] = {}
    norms: dict[int, float] = {}
    for place, update in enumerate(updates):
        site = place if sites is None else sites[place]
        norms[place] = norm_of(update.arrays, reference) if comparable(update.arrays, reference) else math.nan
        reason = next(_reasons(update, reference, most_examples, norms[place]), "")
        reasons[place] = "the site had already answered in this round" if site in seen else reason
        seen.add(site)
    excluded = {place: reason for place, reason in reasons.items() if reason}
    kept = [place for place in reasons if place not in excluded]
    return Checked(kept, excluded, {place: each for place, each in norms.items() if math.isfinite(each)})


def comparable(arrays: Arrays, reference: Arrays) -> bool:
    """Whether both hold the same names with arrays of the same shapes and types."""
    return not any(_misfits(arrays, reference))


def norm_of(arrays: Arrays, reference: Arrays) -> float:
    """Return the Euclidean length of the difference over all floating-point arrays; infinite where it overflows."""
    floating = [name for name, each in reference.items() if each.dtype.kind == "f"]
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = [np.asarray(arrays[name], np.float64) - np.asarray(reference[name], np.float64) for name in floating]
        return math.sqrt(sum(float(np.vdot(gap, gap)) for gap in gaps))


def _reasons(update: Received, reference: Arrays, most_examples: int | None, norm: float) -> Iterator[str]:
    yield from _misfits(update.arrays, reference)
    yield from _not_finite(update.arrays)
    yield from _miscounts(update.examples, most_examples)
    if not math.isfinite(norm):
        yield "its update is longer than a number can hold"


def _misfits(arrays: Arrays, reference: Arrays) -> Iterator[str]:
    yield from (f"{name!r} is missing" for name in reference if name not in arrays)
    yield from (f"{name!r} is not a parameter of the model" for name in arrays if name not in reference)
    for name, wanted in reference.items():
        given = arrays.get(name, wanted)
        if given.shape != wanted.shape:
            yield f"{name!r} has shape {given.shape} instead of {wanted.shape}"
        if given.dtype != wanted.dtype:
            yield f"{name!r} holds {given.dtype} instead of {wanted.dtype}"


def _not_finite(arrays: Arrays) -> Iterator[str]:
    for name, each in arrays.items():
        if each.dtype.kind in "fc" and not np.isfinite(each).all():
            yield f"{name!r} holds {'NaN' if np.isnan(each).any() else 'an infinite number'}"


def _miscounts(examples: Any, most: int | None) -> Iterator[str]:
    if isinstance(examples, bool) or not isinstance(examples, int | np.integer):
        yield "how many rows it learned from is no whole number"
    elif examples < 1:
        yield f"it says that it learned from {examples:,} rows"
    elif most is not None and examples > most:
        yield f"it says that it learned from {examples:,} rows, and at most {most:,} are allowed"
