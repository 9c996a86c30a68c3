"""How much more can be read from the same scores when interactions of three players are fitted as well?"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from rai.explainers.designs import Design, Shares
from rai.subject import Floats, Ints

Exact = NDArray[np.float64]
MOST_TERMS = 2_400
MOST_PAIRS = 2_048
FREE = 1e4
NOISES = (0.2, 2.0)
LEARNING = 0.03
ENOUGH_ROWS = 5
TINY = float(np.finfo(float).tiny)


def pays(players: int, pairs: int) -> bool:
    """Whether fitting interactions of three is worth its time: up to 24 players and 2,048 pairs."""
    return players >= 4 and players + math.comb(players, 3) <= MOST_TERMS and pairs <= MOST_PAIRS


@dataclass(frozen=True)
class OddRegression:
    """Ridge regression of halved differences of pairs on each player and on each product of three.

    Shapley values depend only on the odd part of a game, which halved differences show without its even part; the
    odd part is a sum over odd sets of players, each of which shares its coefficient equally among its members. Here
    sets of one are fitted freely, as by the `Regression` of the design, and sets of three are shrunk towards 0. How far
    is chosen for each row by the weighted error of leaving out one pair. With several rows, the sets that matter in the
    others are shrunk less (empirical Bayes). Shrinking leaves a small bias, which the standard error covers. Source of
    the idea: odd regression (arXiv:2602.01399); ridge and its leave-one-out error: Golub, Heath & Wahba 1979.
    """

    drawn: Design

    def shares(self, scores: Floats, total: Floats) -> Shares:
        """Values from the scores of `Design.both`, (rows, 2 × pairs), and what they must add up to, (rows,).

        The standard error is that of leaving out one pair at a time, as in `Regression.shares`.
        """
        plain = self.drawn.regression
        values = plain.shares(scores, total).values
        pairs = len(plain.signs)
        missed = (scores[:, :pairs] - scores[:, pairs:]) / 2 - values @ plain.signs.T
        found = self._corrected(missed)
        return Shares(values + found.values - found.values.mean(axis=1, keepdims=True), found.error)

    def _corrected(self, missed: Exact) -> Shares:
        """What interactions of three add to the values, from what the plain regression leaves over."""
        terms = odd_terms(self.drawn)
        spread = np.where(terms.sizes == 1, FREE, 1.0)
        ridge = Ridge(terms, spread)
        if len(missed) >= ENOUGH_ROWS:
            ridge = Ridge(terms, ridge.learned(missed))
        return ridge.shares(missed, self.drawn.unseen)


@dataclass(frozen=True)
class Terms:
    """Products of the signs of one and of three players: `table` (pairs, terms), +1 or -1.

    `members` (players, terms) is 1 where a player belongs to the term, `sizes` (terms,) how many do, and `weights`
    (pairs,) are those of the pairs, 1 on average.
    """

    table: Exact
    members: Exact
    sizes: Ints
    weights: Exact


def odd_terms(drawn: Design) -> Terms:
    """The terms of one and of three players of a design."""
    signs = np.where(drawn.coalitions, 1.0, -1.0)
    players = signs.shape[1]
    threes = np.array(list(combinations(range(players), 3)), dtype=np.int64).T
    members = np.zeros((players, threes.shape[1]))
    np.put_along_axis(members, threes, 1.0, axis=0)
    products = signs[:, threes[0]] * signs[:, threes[1]] * signs[:, threes[2]]
    return Terms(
        np.concatenate([signs, products], axis=1),
        np.concatenate([np.eye(players), members], axis=1),
        np.repeat([1, 3], members.shape),
        drawn.weights / drawn.weights.mean(),
    )


class Ridge:
    """Coefficients of the terms, drawn towards 0 by a prior of variance `spread` (terms,), that add up to 0.

    Its matrices depend on the design alone, so they are factored once for all rows. `wide` (pairs, terms) holds the
    terms in units of the prior and of the weights; `unit` is how much of a pair's variance triples explain.
    """

    def __init__(self, terms: Terms, spread: Exact) -> None:
        self.terms, self.spread, self.root = terms, spread, np.sqrt(terms.weights)
        self.wide = terms.table - (terms.table @ spread / spread.sum())[:, None]
        self.wide *= self.root[:, None]
        self.wide *= np.sqrt(spread)
        triples = self.wide[:, len(terms.members) :]
        self.unit = max(float(np.einsum("ij,ij->", triples, triples)) / len(triples), TINY)
        self.gram = self.wide @ self.wide.T

    def whitener(self, noise: float) -> Exact:
        """W (pairs, pairs) with W.T @ W the inverse covariance of the pairs; noise in units of what triples explain."""
        covariance = self.gram + noise * self.unit * np.eye(len(self.gram))
        factor, _ = lapack.dpotrf(covariance.T, lower=1, clean=1, overwrite_a=1)
        return np.asarray(lapack.dtrtri(factor, lower=1, overwrite_c=1)[0])

    def learned(self, missed: Exact) -> Exact:
        """The prior variance of each term as seen in all rows together, each row by its own scale (one step of EM)."""
        white = self.whitener(LEARNING)
        pulled, seen = (missed * self.root) @ white.T, white @ self.wide
        scale = np.sqrt((pulled**2).mean(axis=1, keepdims=True).clip(min=TINY))
        found, doubt = (pulled / scale) @ seen, 1 - (seen**2).sum(axis=0)
        fresh = self.spread * ((found**2).mean(axis=0) + doubt.clip(min=0))
        return np.where(self.terms.sizes == 1, self.spread, fresh)

    def shares(self, missed: Exact, unseen: Floats) -> Shares:
        """Values and standard errors, each row with the noise that predicts its left-out pairs best."""
        share = (2 * self.terms.members / self.terms.sizes * np.sqrt(self.spread)) @ self.wide.T
        scaled, best = missed * self.root, np.full((len(missed), 1), np.inf)
        values, error = np.zeros((2, len(missed), len(share)))
        for noise in NOISES:
            white = self.whitener(noise)
            mapped, alone = share @ white.T @ white, scaled @ white.T @ white / (white**2).sum(axis=0)
            size = (alone**2).sum(axis=1, keepdims=True)
            better = size < best
            best = np.where(better, size, best)
            values = np.where(better, scaled @ mapped.T, values)
            error = np.where(better, np.sqrt((unseen * alone**2) @ (mapped**2).T), error)
        return Shares(values, error)
