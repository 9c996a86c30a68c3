"""When the model says 80 %, does it happen 80 % of the time?

Compares stated probabilities with what happened, in all rows and in each group. Of several classes the chance of the
predicted class is held against how often that class is right (top-label calibration, Guo et al. 2017). Sources: Brier
1950; Naeini et al. 2015; Kumar et al. 2019; EU AI Act Art. 13(3)(b) and 15(1).
"""

from dataclasses import dataclass

import numpy as np

from rai.audits._exhibits import bars, line, percent, spread
from rai.audits._lift import joined, large_enough, lift, lift_gap, undefined
from rai.evidence import SMALLEST_CELL, Bars, Curve, Evidence, Line, Measurement
from rai.stats.calibration import (
    brier_estimate,
    calibration_in_the_large,
    ece_estimate,
    reliability,
    stated_variance,
)
from rai.stats.estimates import Estimate, Gap
from rai.stats.gaps import value_ratio
from rai.stats.means import mean_estimate, mean_gap
from rai.subject import Bools, Floats, Groups, Subject

NEEDS = ("labels", "probabilities")
MEASURES = (
    "brier",
    "ece",
    "calibration_in_the_large",
    "group_brier",
    "group_ece",
    "calibration_gap",
    "calibration_ratio",
)
DRAWS = 2000
FEWEST = 100
"""Rows a group must have before its reliability curve is drawn."""
MOST_LINES = 8
METHOD = (
    "The Brier score is the mean squared distance of probability and outcome. The expected calibration error compares "
    "both in 15 bins of equally many rows, less what a calibrated model would show by chance. Calibration in the large "
    "is the mean of outcome less probability: above 0 the event happens more often than stated. The calibration gap "
    "is the largest less the smallest of these means among the groups of 5 rows or more; the calibration ratio is the "
    "smallest over the largest of their ratios of outcomes to summed probability, with normal errors. Intervals allow "
    "for at least the spread that the stated probabilities imply."
)
TOP_LABEL = "The model knows several classes: the chance of the predicted class is held against how often it is right."


@dataclass(frozen=True)
class Stated:
    """What the model stated and whether it happened, one entry a row."""

    happened: Bools
    chance: Floats


def stated(subject: Subject) -> Stated:
    """P(positive) and whether the row is positive; of several classes P(predicted) and whether it is right."""
    chances = subject.probabilities
    if chances is None:
        raise TypeError("a classifier was expected; the model's head gives values")
    if subject.card.task == "binary":
        return Stated(np.asarray(subject.data.labels == subject.positive), np.asarray(chances[:, subject.positive]))
    return Stated(np.asarray(subject.data.labels == subject.predicted), np.asarray(chances.max(axis=1)))


def measure(subject: Subject) -> Evidence:
    """Measure calibration of all rows and of each group."""
    claim = stated(subject)
    everyone = _everyone(subject, claim)
    attributes = subject.data.attributes(intersections=subject.card.data.intersections)
    grouped = [_grouped(subject, claim, groups) for groups in attributes]
    curves = [_curves(claim, groups) for groups in subject.data.groups.values()]
    said = Evidence((), caveats=(TOP_LABEL,) if subject.card.task == "multiclass" else ())
    return joined([everyone, *grouped, *curves, said], METHOD)


def _everyone(subject: Subject, claim: Stated) -> Evidence:
    found = (
        lift(_brier(subject, claim, np.ones(subject.data.rows, dtype=np.bool_)), "brier"),
        lift(ece_estimate(claim.happened, claim.chance, subject.rng("calibration ece")), "ece"),
        lift(calibration_in_the_large(claim.happened, claim.chance), "calibration_in_the_large"),
    )
    return Evidence(found, (_overall(subject, claim, found),) if subject.data.rows >= SMALLEST_CELL else ())


def _excess(claim: Stated) -> Floats:
    """Outcome less probability, one a row: above 0 where more happened than was stated."""
    return np.asarray(claim.happened - claim.chance, dtype=np.float64)


def _brier(subject: Subject, claim: Stated, among: Bools) -> Estimate:
    """Squared distance of probability and outcome; of several classes, summed over the classes (Brier 1950)."""
    if subject.card.task == "binary" or subject.probabilities is None:
        return brier_estimate(claim.happened[among], claim.chance[among])
    chances, labels = subject.probabilities[among], np.asarray(subject.data.labels, dtype=np.int64)[among]
    told = chances[np.arange(len(labels)), labels]
    return mean_estimate((chances**2).sum(axis=1) - 2 * told + 1, least=0.0)


def _overall(subject: Subject, claim: Stated, found: tuple[Measurement, ...]) -> Curve:
    event = "the event happens" if subject.card.task == "binary" else "the predicted class is right"
    title = f"Stated against observed: {_told(event, error=found[1], large=found[2])}"
    alt = (
        f"On average {percent(float(claim.chance.mean()))} was stated and {percent(float(claim.happened.mean()))} seen."
    )
    return _curve(title, alt, (_reliability_line("all rows", claim),))


def _told(event: str, *, error: Measurement, large: Measurement) -> str:
    """What the intervals of the calibration error and of calibration in the large allow to be said."""
    if large.low is not None and large.high is not None and not large.low <= 0.0 <= large.high:
        return f"{event} {'more' if large.low > 0 else 'less'} often than stated on average"
    if error.low is not None and error.value is not None and error.low > 0.0:
        return f"{percent(error.value)} apart, averaged over the bins"
    return "no difference that these rows could show"


def _curve(title: str, alt: str, lines: tuple[Line, ...]) -> Curve:
    return Curve(title, alt, "stated probability", "share that happened", lines, diagonal=True)


def _reliability_line(name: str, claim: Stated) -> Line:
    """Observed share in bins of equal mass; bins of 1 to 4 rows are left out."""
    found = reliability(claim.happened, claim.chance)
    kept = found.rows >= SMALLEST_CELL
    bounds = {"low": found.low[kept], "high": found.high[kept]}
    return line(name, found.mean_predicted[kept], found.observed[kept], **bounds)


def _grouped(subject: Subject, claim: Stated, groups: Groups) -> Evidence:
    """Calibration in the large of each group of an attribute, and how far the groups are apart."""
    found = [_of_group(claim, groups, level) for level in range(len(groups.levels))]
    gaps = _gaps(subject, claim, groups)
    pictured = found and groups.name in subject.data.groups
    quality = _quality(subject, claim, groups)
    return Evidence((*found, *quality, *gaps), (_bars(groups, found),) if pictured else ())


def _of_group(claim: Stated, groups: Groups, level: int) -> Measurement:
    facet, among = {"attribute": groups.name, "group": groups.levels[level]}, groups.mask(level)
    found = calibration_in_the_large(claim.happened[among], claim.chance[among])
    return lift(found, "calibration_in_the_large", facet=facet)


def _quality(subject: Subject, claim: Stated, groups: Groups) -> list[Measurement]:
    """Brier score and calibration error of each group."""
    rng = subject.rng(f"calibration groups {groups.name}")
    found = []
    for level, name in enumerate(groups.levels):
        facet, among = {"attribute": groups.name, "group": name}, groups.mask(level)
        error = ece_estimate(claim.happened[among], claim.chance[among], rng)
        found += [
            lift(_brier(subject, claim, among), "group_brier", facet=facet),
            lift(error, "group_ece", facet=facet),
        ]
    return found


def _gaps(subject: Subject, claim: Stated, groups: Groups) -> tuple[Measurement, Measurement]:
    """How far the groups are apart, as a difference of means and as a ratio of ratios."""
    facet, kept = {"attribute": groups.name}, large_enough(groups)
    if len(kept.levels) < 2:
        reason = f"fewer than two groups of {SMALLEST_CELL} rows or more"
        return undefined("calibration_gap", reason, facet=facet), undefined("calibration_ratio", reason, facet=facet)
    rng = subject.rng(f"calibration {groups.name}")
    least = np.array([stated_variance(claim.chance[kept.mask(level)]) for level in range(len(kept.levels))])
    gap = mean_gap(_excess(claim), kept.codes, len(kept.levels), rng, names=kept.levels, least=least)
    return lift_gap(gap, "calibration_gap", facet=facet), lift_gap(
        _ratio(claim, kept, rng), "calibration_ratio", facet=facet
    )


def _ratio(claim: Stated, groups: Groups, rng: np.random.Generator) -> Gap:
    """Smallest over largest group ratio of what happened to what was stated."""
    pairs = np.stack([claim.happened.astype(np.float64), claim.chance])
    members = [pairs[:, groups.mask(level)] for level in range(len(groups.levels))]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.array([np.divide(*each.mean(axis=1)) for each in members])
        draws = np.stack([_ratio_draws(each, rng) for each in members], axis=1)
    return value_ratio(values, draws, groups.counts, names=groups.levels)


def _ratio_draws(pairs: Floats, rng: np.random.Generator) -> Floats:
    """Draws of the ratio of two means of the same rows, shape (2, rows), with normal errors."""
    covariance, least = np.cov(pairs), stated_variance(pairs[1])
    covariance[0, 0] += max(0.0, least - float(np.var(pairs[0] - pairs[1], ddof=1)))
    means = rng.multivariate_normal(pairs.mean(axis=1), covariance / pairs.shape[1], size=DRAWS)
    return np.asarray(means[:, 0] / means[:, 1])


def _bars(groups: Groups, found: list[Measurement]) -> Bars:
    title = f"Observed less stated by {groups.name}: {spread(found, 'group')}"
    return bars(title, found, "group", reference=0.0)


def _curves(claim: Stated, groups: Groups) -> Evidence:
    """One reliability line a group; groups of fewer than 100 rows are named as left out."""
    large = [level for level in np.argsort(-groups.counts, kind="stable") if groups.counts[level] >= FEWEST]
    small = [name for name, count in zip(groups.levels, groups.counts.tolist(), strict=True) if 0 < count < FEWEST]
    lines = tuple(_group_line(claim, groups, int(level)) for level in large[:MOST_LINES])
    means = "; ".join(_means(claim, groups, int(level)) for level in large[:MOST_LINES])
    alt = f"In bins of equally many rows. On average {means}."
    shape = (_curve(f"Stated against observed by {groups.name}", alt, lines),) if lines else ()
    said = f"No reliability curve is drawn for groups of fewer than {FEWEST} rows ({groups.name}): {', '.join(small)}."
    return Evidence((), shape, caveats=(said,) if small else ())


def _means(claim: Stated, groups: Groups, level: int) -> str:
    among = groups.mask(level)
    stated_mean, seen = (percent(float(each[among].mean())) for each in (claim.chance, claim.happened))
    return f"{groups.levels[level]}: {stated_mean} stated, {seen} seen"


def _group_line(claim: Stated, groups: Groups, level: int) -> Line:
    among = groups.mask(level)
    return _reliability_line(groups.levels[level], Stated(claim.happened[among], claim.chance[among]))
