"""How much each site counts so that groups fare alike: weights move towards sites that see the gap all sites see.

FairFed of Ezzeldin, Yan, He, Ferrara and Avestimehr 2023 (AAAI; arXiv:2110.00857).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rai.errors import InputError
from rai.subject import Floats


@dataclass(frozen=True)
class Accuracies:
    """How accurate the common model is on each site's rows, and on all of them together."""

    local: Sequence[float | None]
    overall: float


def weights(
    examples: Sequence[int],
    local_gaps: Sequence[float | None],
    global_gap: float | None,
    *,
    beta: float = 1.0,
    previous: Any = None,
    accuracies: Accuracies | None = None,
) -> Floats:
    """Return how much each site's update counts in the next average: never negative, summing to 1.

    A site's distance is |global gap - local gap| of the common model, or |accuracy over all - accuracy there| where its
    own gap is undefined, as when a group is missing. From the `previous` weights (in the first round each site's share
    of the `examples`) `beta` times a site's distance less the mean distance is taken away. Of a site with neither gap
    nor accuracy the distance counts as the mean one, so its weight stays. What falls below 0 is 0. With `beta` 0 this
    is FedAvg.
    """
    start = _shares(examples if previous is None else previous, len(local_gaps))
    far = _distances(local_gaps, global_gap, accuracies)
    known = ~np.isnan(far)
    if not known.any():
        return start
    moved = start - beta * np.where(known, far - far[known].mean(), 0.0)
    return _shares(np.maximum(moved, 0.0), len(moved))


def _shares(parts: Any, sites: int) -> Floats:
    given = np.asarray(parts, dtype=np.float64)
    if given.shape != (sites,) or not np.isfinite(given).all() or (given < 0).any() or not given.sum() > 0:
        raise InputError("are no shares", where="fairfed weights", expected=f"{sites} numbers of 0 or more, not all 0")
    return np.asarray(given / given.sum())


def _distances(gaps: Sequence[float | None], overall: float | None, accuracies: Accuracies | None) -> Floats:
    """How far each site is from all of them; NaN where nothing is known."""
    instead = _apart(accuracies.local, accuracies.overall) if accuracies else np.full(len(gaps), np.nan)
    far = _apart(gaps, overall)
    return np.where(np.isnan(far), instead, far)


def _apart(local: Sequence[float | None], overall: float | None) -> Floats:
    values = np.array([np.nan if each is None else each for each in local], dtype=np.float64)
    return np.abs(values - (np.nan if overall is None else overall))
