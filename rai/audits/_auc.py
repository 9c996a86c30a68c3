"""Honest intervals for scores that were cross-fitted: models that judge each other's rows err together."""

import math
from dataclasses import replace

import numpy as np
from scipy import special

from rai.stats.estimates import Estimate
from rai.stats.ranking import delong
from rai.subject import Bools, Floats

WIDER = math.sqrt(2)
NOTE = "√2 wider as cross-fitted"


def auc_estimate(positive: Bools, score: Floats) -> Estimate:
    """ROC AUC with DeLong's interval; a score that never varies has 0.5 and no interval, and says so."""
    found = delong(positive, score)
    still = found.value is not None and found.low is None and np.ptp(score) == 0
    return replace(found, reason="the score is the same in all rows") if still else found


def cross_fitted_auc(positive: Bools, score: Floats) -> Estimate:
    """ROC AUC of scores that models gave to rows they never saw, each fold judged by a model of the others.

    DeLong's interval takes rows for independent, yet folds that judge each other make the same chance finding twice:
    where there is nothing to find, the AUC varies √2 times as much. So the interval is √2 times as wide (on the logit
    scale), as if each row had been used once, either to learn or to judge. Bounds of 0 and 1 stay.
    """
    plain = auc_estimate(positive, score)
    if plain.value is None or plain.low is None or plain.high is None or plain.value in {0.0, 1.0}:
        return plain
    middle, ends = special.logit(plain.value), special.logit([plain.low, plain.high])
    low, high = special.expit(middle + WIDER * (ends - middle))
    return replace(plain, low=float(low), high=float(high), method=f"{plain.method}, {NOTE}")


def wider(estimate: Estimate) -> Estimate:
    """An interval √2 times as wide, for the same reason, on a scale without two ends."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    low, high = (estimate.value + WIDER * (end - estimate.value) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high, method=f"{estimate.method}, {NOTE}")
