"""How well the score alone tells who belongs to a group, and how well within rows of one true class."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rai.audits._lift import large_enough, lift
from rai.audits.mitigation.gaps import WHEN, Change
from rai.audits.mitigation.pairs import NO_BASELINE
from rai.evidence import SMALLEST_CELL
from rai.stats.estimates import Estimate, undefined
from rai.stats.proportions import normal_quantile
from rai.stats.ranking import on_logit, placements
from rai.subject import Bools, Floats, Groups, Ints, Subject

FEW = f"needs {SMALLEST_CELL} rows of the group and {SMALLEST_CELL} others"
METHOD = "DeLong 95% interval"


@dataclass(frozen=True)
class Board:
    """Rows whose group is known: who is a member, and in which stratum each row lies."""

    member: Bools
    strata: Ints
    rows: Bools


def leakages(before: Subject | None, after: Subject, groups: Groups) -> Iterator[Change]:
    """ROC AUC of each group's membership from the score, alone and given the true class; of two groups the first."""
    large = large_enough(groups)
    levels = range(len(large.levels)) if len(large.levels) > 2 else range(len(large.levels) - 1)
    for level in levels:
        for extra, scores in _scores(before, after):
            facet = {"attribute": groups.name, **extra, "group": large.levels[level]}
            for name, title, strata in _strata(after):
                rows = large.codes >= 0
                yield _change((name, title), Board(large.mask(level), strata, rows), scores, facet)


@dataclass(frozen=True)
class Part:
    """One stratum: who of its rows is a member, and the share of the others that each row's score outranks."""

    member: Bools
    shares: Floats


def parts(board: Board, score: Floats) -> tuple[Part, ...]:
    """The strata with at least five members and five others, ranked by the score."""
    found = [board.rows & (board.strata == each) for each in np.unique(board.strata[board.rows])]
    large = [rows for rows in found if min(board.member[rows].sum(), (~board.member[rows]).sum()) >= SMALLEST_CELL]
    return tuple(Part(board.member[rows], placements(board.member[rows], score[rows])) for rows in large)


def stratified_auc(after: Sequence[Part], before: Sequence[Part] | None = None) -> Estimate:
    """ROC AUC of membership within each stratum, averaged by rows; or its change, where `before` is given.

    DeLong's variance of each stratum, for a change that of the difference on the same rows (DeLong, DeLong &
    Clarke-Pearson 1988, Biometrics 44:837).
    """
    if not after:
        return undefined(FEW, method=METHOD)
    shares = [each.shares for each in after]
    if before is not None:
        shares = [each.shares - old.shares for each, old in zip(after, before, strict=True)]
    sizes = np.array([len(each) for each in shares])
    means = [each[part.member].mean() for each, part in zip(shares, after, strict=True)]
    variances = [_variance(each, part.member) for each, part in zip(shares, after, strict=True)]
    weights = sizes / sizes.sum()
    error = math.sqrt(float(weights**2 @ variances))
    return _bounded(float(weights @ means), error, int(sizes.sum()), changes=before is not None)


def _variance(shares: Floats, member: Bools) -> float:
    return float(shares[member].var(ddof=1) / member.sum() + shares[~member].var(ddof=1) / (~member).sum())


def _bounded(value: float, error: float, rows: int, *, changes: bool) -> Estimate:
    still = "the score is the same in all rows, or never puts the group on both sides of the others"
    reach = normal_quantile(0.95)
    if changes:
        return Estimate(value, value - reach * error, value + reach * error, rows, f"{METHOD} on the same rows")
    plain = Estimate(value, None, None, rows, f"{METHOD} on the logit scale", still)
    return on_logit(plain, error, reach)


def _change(names: tuple[str, str], board: Board, scores: Sequence[Floats], facet: Mapping[str, str]) -> Change:
    """The AUC before (where there is a baseline) and after, and the difference."""
    name, title = names
    ranked = [parts(board, each) for each in scores]
    after = stratified_auc(ranked[-1])
    before, moved = undefined(NO_BASELINE), undefined(NO_BASELINE)
    if len(scores) > 1:
        before, moved = stratified_auc(ranked[0]), stratified_auc(ranked[1], ranked[0])
    found = zip((before, after, moved), WHEN, strict=True)
    ends = [lift(each, f"{name}_{when}", facet=facet) for each, when in found]
    return Change(name, title, ends[0], ends[1], ends[2])


def _strata(subject: Subject) -> Iterator[tuple[str, str, Ints]]:
    """Names of what is measured, and the rows within which scores are compared."""
    labels = np.asarray(subject.data.labels)
    yield "attribute_auc", "from the score alone", np.zeros(len(labels), dtype=np.int64)
    if subject.card.task != "regression":
        yield "attribute_auc_given_label", "given the true class", labels


def _scores(before: Subject | None, after: Subject) -> Iterator[tuple[Mapping[str, str], Sequence[Floats]]]:
    """The scores that may tell: of the positive class, of every class, or the predicted value."""
    several = [each for each in (before, after) if each is not None]
    if after.probabilities is None:
        yield {}, [np.asarray(each.scores[:, 0], dtype=np.float64) for each in several]
        return
    binary = after.card.task == "binary"
    for place in [after.positive] if binary else range(len(after.card.classes)):
        facet = {} if binary else {"class": after.card.classes[place]}
        yield facet, [np.asarray(each.probabilities)[:, place] for each in several]
