"""Finds how much a decision must cost for each group, so that the gap of a criterion is as wide as it is wanted."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit, softmax

from rai.subject import Floats

SOFTNESS = (0.05, 0.02, 0.01, 0.005, 0.002)
"""How wide, in probability, the edge between yes and no is while offsets are sought: from wide to all but sharp."""
RESTRAINT = 1e-3
"""What a price that moves the usual row by 1 weighs beside a gap of 1: prices which change little stay small."""
FEW = 50
"""A rate of so many rows counts half as much as one of many: it is chance for a good part."""
TRIES = 50


@dataclass(frozen=True)
class Ground:
    """Rows on which prices are sought.

    `chances` (rows, decisions) is what a decision is worth: P(class 1), less the threshold, or P of each class. Price t
    makes decision `price_owners[t]` cost `features[row, t]` more. A decision adds `actual[row, t]` to the mean that is
    term t of the criterion, whose decision is `term_owners[t]`.
    """

    chances: Floats
    features: Floats
    actual: Floats
    price_owners: Floats
    term_owners: Floats

    def margins(self, prices: Floats) -> Floats:
        """What is left of each decision's worth, (rows, decisions)."""
        return np.asarray(self.chances - (self.features * prices) @ self.price_owners)

    def hard(self, prices: Floats) -> Floats:
        """Return the decisions, (rows, decisions) of 0 and 1."""
        margins = self.margins(prices)
        if margins.shape[1] == 1:
            return np.asarray(margins >= 0, dtype=np.float64)
        return np.asarray(np.eye(margins.shape[1])[margins.argmax(axis=1)])

    def soft(self, prices: Floats, softness: float) -> Floats:
        """Return decisions with an edge of this width, so that they change smoothly with the prices."""
        margins = self.margins(prices) / softness
        return np.asarray(expit(margins) if margins.shape[1] == 1 else softmax(margins, axis=1))

    def terms(self, decided: Floats) -> Floats:
        """Return how far each group's rate is from the rate of all groups: (terms,)."""
        return np.asarray((self.actual * (decided @ self.term_owners.T)).mean(axis=0))

    def sureness(self) -> Floats:
        """Return how much each term counts: little where its group has few rows, all but 1 where it has many."""
        rows = (self.actual > 0).sum(axis=0)
        return np.asarray(np.sqrt(rows / (rows + FEW)))

    def slopes(self, prices: Floats, softness: float) -> Floats:
        """Return how the terms of soft decisions change with each price: (terms, prices)."""
        decided = self.soft(prices, softness)
        pulled = (self.actual * (decided @ self.term_owners.T)).T
        alike = (pulled @ self.features) * (self.term_owners @ self.price_owners.T)
        across = pulled @ (self.features * (decided @ self.price_owners.T))
        return np.asarray((across - alike) / (softness * len(decided)))


def prices(ground: Ground, strength: float) -> Floats:
    """Return the prices under which every term is `1 - strength` times what it is without: (prices,).

    The decisions are softened and made sharper step by step, each time solved by least squares from the last solution;
    where the terms cannot all be met, that is the least of their squares. Nothing is drawn. Prices under which the
    largest term would be larger than without are not taken: all are 0 then.
    """
    free = np.zeros(ground.features.shape[1])
    if strength == 0 or not ground.actual.shape[1]:
        return free
    before = ground.terms(ground.hard(free))
    found = _solved(ground, (1.0 - strength) * before, free)
    after, sure = ground.terms(ground.hard(found)), ground.sureness()
    return found if np.abs(sure * after).max() <= np.abs(sure * before).max() else free


def _solved(ground: Ground, wanted: Floats, start: Floats) -> Floats:
    found, sure = start, ground.sureness()
    restraint = RESTRAINT * ground.features.std(axis=0)
    for softness in SOFTNESS:

        def left(given: Floats, softness: float = softness) -> Floats:
            away = ground.terms(ground.soft(given, softness)) - wanted
            return np.concatenate([sure * away, restraint * given])

        def slopes(given: Floats, softness: float = softness) -> Floats:
            return np.concatenate([sure[:, None] * ground.slopes(given, softness), np.diag(restraint)])

        found = np.asarray(least_squares(left, found, slopes, max_nfev=TRIES).x)
    return found
