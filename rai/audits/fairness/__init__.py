"""Do the model's decisions and errors fall equally on the groups it serves?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rai.audits._lift import hidden, joined, left_out, lift, lift_gap
from rai.audits.fairness.criteria import CRITERIA, RATES, SELECTION, Criterion, Rate, difference, ratio, tally
from rai.audits.fairness.exhibits import Compared, Impact, gap_table, impact_table, rate_chart, score_chart
from rai.audits.fairness.ranking_gaps import ranking_evidence
from rai.audits.fairness.residuals import residual_evidence
from rai.evidence import Evidence, Exhibit, Measurement
from rai.stats.confusion import binary_counts
from rai.stats.gaps import rate_ratio
from rai.stats.proportions import proportion
from rai.stats.significance import fisher, flip_changes, holm, two_proportion_z
from rai.subject import Bools, Groups, Ints, Subject

NEEDS = ("labels", "groups")
MEASURES = (
    "group_selection_rate",
    "group_true_positive_rate",
    "group_false_positive_rate",
    "group_false_negative_rate",
    "group_precision",
    "group_accuracy",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "predictive_equality_difference",
    "predictive_equality_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "predictive_parity_difference",
    "predictive_parity_ratio",
    "accuracy_difference",
    "accuracy_ratio",
    "impact_ratio",
    "group_roc_auc",
    "roc_auc_difference",
    "group_mean_residual",
    "group_mae",
    "mean_residual_difference",
    "standardized_residual_difference",
    "mae_difference",
)
CHARTED = ("selection_rate", "true_positive_rate", "false_positive_rate")
METHOD = (
    "Group rates have Wilson intervals. A gap is the largest less the smallest group rate, a ratio the smallest over "
    "the largest. The lower bound of a gap is simultaneous over all pairs of groups, the upper bound is the largest of "
    "the pairs' own upper bounds: a gap that chance alone explains therefore has an interval that reaches 0. p comes "
    "from 2,000 permutations of group membership (largest difference in standard errors). 'By chance' is the mean gap "
    "of those permutations; 'corrected' is the gap less its bootstrap bias; 'detectable' is the smallest true gap that "
    "these rows would show with 80 % power. ROC AUCs have DeLong intervals, and their gap errors from 500 resamples."
)
CAVEATS = (
    "Equal rates are one of several criteria that cannot all hold when base rates differ (Kleinberg et al. 2016).",
    "The labels are taken as given; whether they are themselves skewed cannot be seen from these data.",
    "The four-fifths table compares with the group that happened to have the highest rate, which exaggerates a little.",
)


@dataclass(frozen=True)
class Decision:
    """One yes-or-no decision seen group by group: the confusion cells (groups, 4) of each attribute."""

    groups: Groups
    cells: Ints
    facet: Mapping[str, str]


def measure(subject: Subject) -> Evidence:
    """Compare rates, gaps and ratios across every sensitive attribute and each pair of attributes."""
    attributes = subject.data.attributes(intersections=subject.card.data.intersections)
    if subject.card.task == "regression":
        found = residual_evidence(subject, attributes)
        return replace(found, caveats=(CAVEATS[1], *(words for each in attributes for words in left_out(each))))
    found = joined([_attribute(subject, each) for each in attributes], METHOD)
    return replace(found, caveats=CAVEATS + found.caveats)


def _attribute(subject: Subject, groups: Groups) -> Evidence:
    """All about one attribute; of several classes each is held against the rest."""
    rng = subject.rng(f"fairness {groups.name}")
    parts = [_compare(each, rng) for each in _decisions(subject, groups)]
    if subject.card.task == "multiclass":
        parts.insert(0, _hit_or_miss(subject, groups, rng))
    else:
        parts += [_ranked(subject, groups), Evidence((), score_chart(groups, subject.probabilities, subject.positive))]
    return replace(joined(parts, METHOD), caveats=left_out(groups))


def _ranked(subject: Subject, groups: Groups) -> Evidence:
    if subject.probabilities is None:
        return Evidence(())
    positive = np.asarray(subject.data.labels == subject.positive)
    score = np.asarray(subject.probabilities[:, subject.positive])
    return ranking_evidence(positive, score, groups, subject.rng(f"fairness ranking {groups.name}"))


def _decisions(subject: Subject, groups: Groups) -> Iterable[Decision]:
    if subject.card.task == "binary":
        yield _decision(subject, groups, subject.positive, {})
        return
    for position, name in enumerate(subject.card.classes):
        yield _decision(subject, groups, position, {"class": name})


def _decision(subject: Subject, groups: Groups, position: int, extra: Mapping[str, str]) -> Decision:
    actual = np.asarray(subject.data.labels == position)
    chosen = np.asarray(subject.predicted == position)
    return Decision(groups, _cells(actual, chosen, groups), {"attribute": groups.name, **extra})


def _cells(actual: Bools, chosen: Bools, groups: Groups) -> Ints:
    known = groups.codes >= 0
    return binary_counts(actual[known], chosen[known], groups.codes[known], len(groups.levels))


def _comparable(decision: Decision) -> Decision:
    """The decision without groups of one to four rows, which a gap would point at."""
    kept = [i for i, rows in enumerate(decision.cells.sum(axis=1)) if not hidden(int(rows))]
    groups = decision.groups
    named = Groups(groups.name, tuple(groups.levels[i] for i in kept), groups.codes)
    return Decision(named, decision.cells[kept], decision.facet)


def _compare(decision: Decision, rng: np.random.Generator) -> Evidence:
    many = "class" in decision.facet
    rates = [rate for rate in RATES if not (many and rate.name == "accuracy")]
    criteria = [criterion for criterion in CRITERIA if not (many and criterion.name == "accuracy")]
    by_rate = {rate.name: _group_rates(rate, decision) for rate in rates}
    compared = [_gaps(criterion, _comparable(decision), rng) for criterion in criteria]
    impacts = _impacts(_comparable(decision), rng)
    charts = tuple(rate_chart(rate, decision.facet, by_rate[rate.name]) for rate in rates if rate.name in CHARTED)
    exhibits: tuple[Exhibit, ...] = (
        gap_table(decision.facet, compared),
        *charts,
        *([impact_table(decision.facet, impacts)] if impacts else []),
    )
    gaps = [each for pair in compared for each in (pair.difference, pair.ratio)]
    groups = [each for found in by_rate.values() for each in found]
    return Evidence((*groups, *gaps, *(each.measurement for each in impacts)), exhibits)


def _group_rates(rate: Rate, decision: Decision) -> list[Measurement]:
    counted, levels = tally(rate, decision.cells), decision.groups.levels
    return [
        _group_rate(rate, int(hits), int(base), {**decision.facet, "group": level})
        for hits, base, level in zip(counted.hits, counted.base, levels, strict=True)
    ]


def _group_rate(rate: Rate, hits: int, base: int, facet: Mapping[str, str]) -> Measurement:
    found = lift(proportion(hits, base), f"group_{rate.name}", facet=facet, unit="share")
    if base == 0:
        return Measurement(found.name, None, None, None, 0, facet=facet, reason=f"no {rate.base_words} in this group")
    return found


def _gaps(criterion: Criterion, decision: Decision, rng: np.random.Generator) -> Compared:
    apart = difference(criterion, decision.cells, decision.groups, rng)
    share = ratio(criterion, decision.cells, decision.groups, rng)
    levels = decision.groups.levels
    return Compared(
        criterion.title,
        lift_gap(apart, f"{criterion.name}_difference", facet=decision.facet),
        lift_gap(share, f"{criterion.name}_ratio", facet=decision.facet),
        "" if apart.highest is None else levels[apart.highest],
        "" if apart.lowest is None else levels[apart.lowest],
    )


def _impacts(decision: Decision, rng: np.random.Generator) -> list[Impact]:
    """Each group's selection rate against the highest one: ratio, Fisher's test, two standard deviations, flip."""
    counted = tally(SELECTION, decision.cells)
    if not counted.base.any():
        return []
    rates = np.where(counted.base > 0, counted.hits / np.maximum(counted.base, 1), -1.0)
    best = int(np.argmax(rates))
    others = [position for position in range(len(rates)) if position != best and counted.base[position] > 0]
    found = [_impact(decision, counted.hits, counted.base, (position, best), rng) for position in others]
    return [each.adjusted(float(p)) for each, p in zip(found, holm([each.p for each in found]), strict=True)]


def _impact(decision: Decision, hits: Ints, base: Ints, pair: tuple[int, int], rng: np.random.Generator) -> Impact:
    (k1, k2), (n1, n2) = (int(hits[i]) for i in pair), (int(base[i]) for i in pair)
    levels = decision.groups.levels
    gap = rate_ratio(hits[list(pair)], base[list(pair)], rng, names=[levels[i] for i in pair])
    facet = {**decision.facet, "group": levels[pair[0]]}
    return Impact(
        levels[pair[0]],
        levels[pair[1]],
        lift_gap(gap, "impact_ratio", facet=facet),
        rows=n1,
        selected=k1,
        p=fisher(k1, n1, k2, n2),
        z=two_proportion_z(k1, n1, k2, n2),
        flips=flip_changes(k1, n1, k2, n2),
    )


def _hit_or_miss(subject: Subject, groups: Groups, rng: np.random.Generator) -> Evidence:
    """Accuracy by group and its gap when there are several classes: right or wrong, whichever the class."""
    right = np.asarray(subject.predicted == subject.data.labels)
    decision = Decision(groups, _cells(right, right, groups), {"attribute": groups.name})
    by_group = [
        _group_rate(RATES[-1], int(cells[3]), int(cells.sum()), {**decision.facet, "group": level})
        for cells, level in zip(decision.cells, groups.levels, strict=True)
    ]
    as_selection = Criterion("accuracy", "Accuracy", (SELECTION,))
    pair = _gaps(as_selection, _comparable(decision), rng)
    shapes = (gap_table(decision.facet, [pair]), rate_chart(RATES[-1], decision.facet, by_group))
    return Evidence((*by_group, pair.difference, pair.ratio), shapes)
