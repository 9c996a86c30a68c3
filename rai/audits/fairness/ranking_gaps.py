"""How well the score ranks the members of each group, and how far the groups are apart in that."""

from collections.abc import Sequence

import numpy as np

from rai.audits._auc import auc_estimate
from rai.audits._exhibits import bars, spread
from rai.audits._lift import lift, lift_gap
from rai.evidence import SMALLEST_CELL, Evidence, Measurement
from rai.stats.estimates import Gap
from rai.stats.gaps import value_gap
from rai.stats.ranking import roc_auc_draws
from rai.subject import Bools, Floats, Groups

DRAWS = 500


def ranking_evidence(positive: Bools, score: Floats, groups: Groups, rng: np.random.Generator) -> Evidence:
    """ROC AUC of every group, with DeLong's interval, and the largest less the smallest, with resampled errors."""
    found = [_of_group(positive, score, groups, level) for level in range(len(groups.levels))]
    gap = _gap(positive, score, found, groups, rng)
    title = f"ROC AUC by {groups.name}: {spread(found, 'group')}"
    return Evidence(
        (*found, lift_gap(gap, "roc_auc_difference", facet={"attribute": groups.name})),
        (bars(title, found, "group"),),
    )


def _of_group(positive: Bools, score: Floats, groups: Groups, level: int) -> Measurement:
    among = groups.mask(level)
    facet = {"attribute": groups.name, "group": groups.levels[level]}
    return lift(auc_estimate(positive[among], score[among]), "group_roc_auc", facet=facet)


def _gap(positive: Bools, score: Floats, found: Sequence[Measurement], groups: Groups, rng: np.random.Generator) -> Gap:
    """The gap between the groups that may be shown; of the others not even the AUC is known here."""
    kept = [level for level, count in enumerate(groups.counts) if count >= SMALLEST_CELL]
    members = [groups.mask(level) for level in kept]
    draws = [roc_auc_draws(positive[each], score[each], rng, draws=DRAWS) for each in members]
    values = [found[level].value for level in kept]
    known = np.array([np.nan if each is None else each for each in values])
    names = [groups.levels[level] for level in kept]
    return value_gap(known, np.array(draws).T.reshape(DRAWS, -1), groups.counts[kept], names=names)
