"""How far apart groups are treated: the differences that a criterion asks to lower, and what predictions are worth."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.subject import Bools, Floats, Ints
from rai.train.fair.job import Attribute
from rai.train.losses import Task

CRITERIA = ("demographic_parity", "equalized_odds", "equal_opportunity")


def gap_name(criterion: str) -> str:
    """Return the name under which the gap of a criterion is measured, fairlearn's name."""
    return f"{criterion}_difference"


def measured(
    task: Task,
    outputs: Any,
    targets: Any,
    codes: Any,
    attributes: Sequence[Attribute],
    *,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Return how good the decisions are and how far apart they are between groups, each by its name.

    `outputs` are what the network answers, (rows, outputs): one logit for binary, logits for several classes, values
    for regression. `targets` (rows,), `codes` (rows, attributes), -1 for unknown. Named are `accuracy` (for regression
    `r2`) and `demographic_parity_difference`, `equalized_odds_difference`, `equal_opportunity_difference` as fairlearn
    defines them, the largest over attributes, and over classes one against the rest where there are more than two. For
    regression, demographic parity is the largest difference of mean outputs in standard deviations of the targets, and
    the others do not exist. A level without a row that counts is not compared, and a gap with fewer than two levels to
    compare is left out, never 0. `threshold` is the probability from which a binary answer is yes.
    """
    answers = np.asarray(outputs, dtype=np.float64).reshape(len(targets), -1)
    truth, groups = np.asarray(targets), np.asarray(codes).reshape(len(targets), -1)
    levels = [len(each.levels) for each in attributes]
    if task == "regression":
        return _of_values(answers, truth.reshape(answers.shape).astype(np.float64), groups, levels)
    decided, classes = decisions(answers, threshold), 2 if answers.shape[1] == 1 else answers.shape[1]
    found = {"accuracy": float((decided == truth.ravel()).mean())} if len(truth) else {}
    watched = [1] if classes == 2 else range(classes)
    pairs = [(decided == each, truth.ravel() == each) for each in watched]
    per = [_of_decisions(*pair, groups[:, place], many) for pair in pairs for place, many in enumerate(levels)]
    return found | _largest(per)


def decisions(answers: Floats, threshold: float = 0.5) -> Ints:
    """Return the class that each row of logits decides for; of two classes the second from the threshold on."""
    if answers.shape[1] > 2:
        return np.asarray(answers.argmax(axis=1))
    margin = answers[:, 0] if answers.shape[1] == 1 else answers[:, 1] - answers[:, 0]
    return np.asarray(margin >= np.log(threshold / (1.0 - threshold)), dtype=np.int64)


def _of_decisions(yes: Bools, true: Bools, codes: Ints, levels: int) -> dict[str, float]:
    """The gaps of one attribute for one class, those that are defined."""
    everyone = np.ones_like(true)
    rates, hits, alarms = (_gap(yes, within, codes, levels) for within in (everyone, true, ~true))
    odds = None if hits is None or alarms is None else max(hits, alarms)
    values = dict(zip(map(gap_name, CRITERIA), (rates, odds, hits), strict=True))
    return {name: value for name, value in values.items() if value is not None}


def _of_values(answers: Floats, truth: Floats, codes: Ints, levels: Sequence[int]) -> dict[str, float]:
    spread = truth.std(axis=0) if len(truth) else np.zeros(truth.shape[1])
    if not (spread > 0).all():
        return {}
    everyone = np.ones(len(truth), dtype=bool)
    columns = list((answers / spread).T)
    gaps = [_gap(each, everyone, codes[:, k], many) for each in columns for k, many in enumerate(levels)]
    worth = 1.0 - float((np.square(answers - truth).mean(axis=0) / truth.var(axis=0)).mean())
    return {"r2": worth} | _largest([{gap_name(CRITERIA[0]): gap} for gap in gaps if gap is not None])


def _gap(values: NDArray[Any], within: Bools, codes: Ints, levels: int) -> float | None:
    """Largest less smallest mean over the levels that have rows within; None where fewer than two have any."""
    counted = within & (codes >= 0)
    rows = np.bincount(codes[counted], minlength=levels)
    sums = np.bincount(codes[counted], weights=values[counted], minlength=levels)
    means = sums[rows > 0] / rows[rows > 0]
    return float(means.max() - means.min()) if len(means) > 1 else None


def _largest(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """The largest value of each name, in the order of the criteria."""
    return dict(_largest_of(found))


def _largest_of(found: Sequence[dict[str, float]]) -> Iterator[tuple[str, float]]:
    for name in map(gap_name, CRITERIA):
        values = [each[name] for each in found if name in each]
        if values:
            yield name, max(values)
