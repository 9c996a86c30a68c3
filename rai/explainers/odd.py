"""How much more can be read from the same scores once it is known which players interact?"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from rai.explainers.designs import Design, Shares
from rai.subject import Floats, Ints

Exact = NDArray[np.float64]
Singles = NDArray[np.float32]
MOST_PLAYERS = 24
MOST_PAIRS = 2_048
PRIORS = 16
STRONGEST = 0.6
TEMPER = 0.75
FLOOR = 0.02
RIDGE = 0.02
NUGGET = 5e-4
ROUNDS = 20
NODES, MASSES = np.polynomial.legendre.leggauss(13)
TINY = float(np.finfo(float).tiny)


def pays(players: int, pairs: int) -> bool:
    """Whether fitting interactions is worth its time: 4 to 24 players, up to 2,048 pairs and nine tenths of all."""
    return 4 <= players <= MOST_PLAYERS and pairs <= min(MOST_PAIRS, 0.9 * 2 ** (players - 1))


@dataclass(frozen=True)
class OddRegression:
    """Kriging of halved differences of pairs, with a covariance that halved sums of the same pairs have shown.

    Shapley values depend only on the odd part of a game, which halved differences show without its even part; the odd
    part is a sum over odd sets of players, each of which shares its coefficient equally among its members. Sets of one
    are fitted freely, as by the `Regression` of the design. A larger set has a prior variance that is the product of
    its players' strengths. The strengths come from the even part, which plain regression throws away: it shows how
    strongly each two players interact, and players that interact in twos do so in threes and more. So each row (among
    many, each few rows alike) has its own prior, on a scale that its own scores set. Sources of the ideas: odd
    regression (arXiv:2602.01399); kriging: Matheron 1963; kernels that are products over players: Wahba 1990.
    """

    drawn: Design

    def shares(self, scores: Floats, total: Floats) -> Shares:
        """Values from the scores of `Design.both`, (rows, 2 × pairs), and what they must add up to, (rows,).

        The standard error is the root of the kriging variance: how far values could lie from the estimate if the
        interactions had the prior's covariance.
        """
        plain = self.drawn.regression
        values = plain.shares(scores, total).values
        inside, outside = np.split(scores, 2, axis=1)
        missed = (inside - outside) / 2 - values @ plain.signs.T
        more = self._corrected(missed, np.log(strengths(twos(self.drawn, (inside + outside) / 2))))
        return Shares(values + more.values - more.values.mean(axis=1, keepdims=True), more.error)

    def _corrected(self, missed: Exact, strength: Exact) -> Shares:
        """What interactions add to the values; the set of all players, with whom nothing is missed, is known too."""
        players = strength.shape[1]
        signs = np.concatenate([2 * self.drawn.regression.signs, np.ones((1, players))])
        missed = np.concatenate([missed, np.zeros((len(missed), 1))], axis=1)
        values, error = np.zeros((2, len(missed), players))
        for part in alike(strength, -(-len(strength) // PRIORS)):
            found = Kriging(signs, np.exp(strength[part].mean(axis=0))).shares(missed[part])
            values[part], error[part] = found.values, found.error
        return Shares(values, error)


def twos(drawn: Design, even: Exact) -> Exact:
    """Interaction of each two players in halved sums of pairs, (rows, players, players), by ridge regression."""
    signs = np.where(drawn.coalitions, 1.0, -1.0)
    first, second = np.array(list(combinations(range(signs.shape[1]), 2))).T
    weights = drawn.weights / drawn.weights.sum()
    table = signs[:, first] * signs[:, second]
    table -= weights @ table
    normal = (table.T * weights) @ table
    normal[np.diag_indices_from(normal)] += RIDGE
    coefficients = lapack.dposv(normal, ((even - (even @ weights)[:, None]) * weights @ table).T)[1].T
    found = np.zeros((len(even), signs.shape[1], signs.shape[1]))
    found[:, first, second] = found[:, second, first] = coefficients
    return found


def strengths(interactions: Exact) -> Exact:
    """Players' strengths (rows, players) below 1, whose products come closest to the squares of interactions of two."""
    energy = (interactions**2).sum(axis=2).clip(min=TINY)
    found = np.sqrt(energy)
    for _ in range(ROUNDS):
        others = found.sum(axis=1, keepdims=True) - found
        found *= np.sqrt(energy / (found * others))
    found += FLOOR * found.mean(axis=1, keepdims=True)
    return np.asarray(STRONGEST * (found / found.max(axis=1, keepdims=True)) ** TEMPER)


def alike(table: Exact, most: int) -> Iterator[Ints]:
    """Places of rows in groups of at most `most`, halved again and again along the direction of largest spread."""
    waiting = [np.arange(len(table))]
    while waiting:
        part = waiting.pop()
        if len(part) <= most:
            yield part
            continue
        centred = table[part] - table[part].mean(axis=0)
        order = part[np.argsort(centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1])]
        waiting += np.array_split(order, 2)


class Kriging:
    """Best linear unbiased prediction of values from missed halved differences, for rows with one prior.

    The covariance of two coalitions is the sum over all odd sets of players of the product of their strengths, positive
    where the coalitions agree on the set up to a sign: a hyperbolic sine of their agreement weighted by artanh of the
    strengths. It is factored in single precision, once for all rows of the prior.
    """

    def __init__(self, signs: Exact, strength: Exact) -> None:
        self.signs, self.strength = signs, strength
        slopes = np.arctanh(strength)
        wide = signs.astype(np.float32)
        covariance = np.exp((wide * slopes.astype(np.float32)) @ wide.T)
        covariance -= 1 / covariance
        covariance *= np.float32(0.5 / np.prod(np.cosh(slopes)))
        self.factor = _factored(covariance, NUGGET)

    def shares(self, missed: Exact) -> Shares:
        """Values and standard errors, (rows, players), of the rows of `missed` (rows, coalitions)."""
        players = len(self.strength)
        right = np.concatenate([self.signs.T, self._covariance_of_values(), missed]).astype(np.float32)
        whitened = lapack.strtrs(self.factor, right.T, lower=1)[0].astype(np.float64)
        singles, mapped, seen = np.split(whitened, [players, 2 * players], axis=1)
        doubt = np.linalg.inv(singles.T @ singles)
        slopes = doubt @ (singles.T @ seen)
        left = seen - singles @ slopes
        free = 2 * np.eye(players) - mapped.T @ singles
        variance = self._variance_of_values() - (mapped**2).sum(axis=0) + ((free @ doubt) * free).sum(axis=1)
        scale = (left**2).sum(axis=0) / (len(left) - players)
        return Shares((2 * slopes + mapped.T @ left).T, np.sqrt(np.outer(scale, variance.clip(min=0))))

    def _covariance_of_values(self) -> Exact:
        """Of values with the coalitions' scores, (players, coalitions): 2 / size × strengths × signs of each odd set.

        The sum over sets is an integral of a product over players, in t from 0 to 1 (Owen 1972's multilinear
        extension), which Gauss-Legendre's rule finds exactly.
        """
        slopes = np.arctanh((NODES[:, None] + 1) / 2 * self.strength)
        lead = MASSES[:, None] * self.strength * np.cosh(slopes) / np.prod(np.cosh(slopes), axis=1, keepdims=True)
        agreed = self.signs @ slopes.T
        even, odd = np.cosh(agreed) @ (lead * np.cosh(slopes)), np.sinh(agreed) @ (lead * np.sinh(slopes))
        return np.asarray((self.signs * even - odd).T)

    def _variance_of_values(self) -> Exact:
        """Of values before anything is seen, (players,): (2 / size)² × strengths, over the odd sets with the player."""
        root = (NODES + 1) / 2
        masses = -4 * np.log(root) * root * MASSES
        shrunk = root[:, None] ** 2 * self.strength
        both = [np.prod(1 + each, axis=1, keepdims=True) / (1 + each) for each in (shrunk, -shrunk)]
        return np.asarray(2 * (masses @ (both[0] + both[1]) / 2) * self.strength)


def _factored(covariance: Singles, nugget: float) -> Singles:
    """Cholesky factor with the diagonal raised by the nugget, or by ten times as much where rounding forbids it."""
    raised = covariance.copy()
    raised[np.diag_indices_from(raised)] *= np.float32(1 + nugget)
    factor, failed = lapack.spotrf(raised.T, lower=1, clean=0, overwrite_a=1)
    return _factored(covariance, 10 * nugget) if failed else np.asarray(factor)
