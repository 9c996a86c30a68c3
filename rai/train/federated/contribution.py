"""What each site brought to the common model: exact Shapley values over the updates of each round.

A round is a game of the sites that took part in it: a coalition is worth what the model is worth that its updates alone
would have made (Song, Tong and Wei 2019, "Profit allocation for federated learning"; Shapley 1953). Nothing is trained
again: 2^n averages a round.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.subject import Floats

Arrays = Mapping[str, NDArray[Any]]
MOST = 12


@dataclass(frozen=True)
class Played:
    """One round: the parameters sent out, and by site what came back and how much it weighs (its rows, say)."""

    start: Arrays
    updates: Mapping[int, Arrays]
    weights: Mapping[int, float]


@dataclass(frozen=True)
class Contributions:
    """A value for each site in the order of sites, (sites,), or None with the reason why there are none.

    `models` is how many models were averaged and valued.
    """

    values: Floats | None
    reason: str = ""
    models: int = 0


def shapley(rounds: Sequence[Played], sites: int, value: Callable[[dict[str, NDArray[Any]]], float]) -> Contributions:
    """Return how much of the gain in `value`, such as held-out accuracy, each site's updates brought over all rounds.

    `value` is handed the parameters of a model and is called 2^n times a round of n sites. A coalition's model is the
    average of its updates by weight; nobody's is what was sent out. A site that sat a round out has 0 of it. The values
    of a round sum to what the average of all its updates gained; where a strategy joins them so, those of all rounds
    sum to what the training gained. More than 12 sites in a round, or a value that is no number, leave no values.
    """
    crowd = max((len(each.updates) for each in rounds), default=0)
    if crowd > MOST:
        why = f"{crowd} sites took part in one round, and exact values are computed for at most {MOST}"
        return Contributions(None, why)
    totals, models = np.zeros(sites), 0
    for number, each in enumerate(rounds, start=1):
        worths = np.array([value(_model(each, members)) for members in _coalitions(sorted(each.updates))])
        models += len(worths)
        if not np.isfinite(worths).all():
            return Contributions(None, f"in round {number} the value of some coalition's model is no number", models)
        totals[sorted(each.updates)] += values_of(worths)
    return Contributions(totals, "", models)


def values_of(worths: Floats) -> Floats:
    """Return the Shapley value of each of n players from what every coalition is worth.

    `worths` (2^n,): place s is the coalition of the players whose bits are set in s.
    """
    players = len(worths).bit_length() - 1
    every = np.arange(len(worths))
    sizes = np.array([int(each).bit_count() for each in every])
    chance = np.array([1.0 / (players * math.comb(players - 1, size)) for size in range(players)])
    return np.array([_value(worths, every[(every >> k) & 1 == 0], 1 << k, chance, sizes) for k in range(players)])


def _value(worths: Floats, without: NDArray[Any], player: int, chance: Floats, sizes: NDArray[Any]) -> float:
    return math.fsum(chance[sizes[without]] * (worths[without | player] - worths[without]))


def _coalitions(players: Sequence[int]) -> Iterable[list[int]]:
    for bits in range(1 << len(players)):
        yield [each for place, each in enumerate(players) if bits >> place & 1]


def _model(played: Played, members: Sequence[int]) -> dict[str, NDArray[Any]]:
    """The parameters that these sites' updates alone make."""
    shares = np.array([played.weights[each] for each in members], dtype=np.float64)
    if not shares.sum() > 0:
        return dict(played.start)
    shares /= shares.sum()
    return {name: _mean([played.updates[k][name] for k in members], shares) for name in played.start}


def _mean(arrays: Sequence[NDArray[Any]], shares: Floats) -> NDArray[Any]:
    kind = arrays[0].dtype
    mean = sum(share * each.astype(np.float64) for share, each in zip(shares, arrays, strict=True))
    return np.asarray(np.rint(mean) if kind.kind in "iu" else mean).astype(kind)
