"""How much the decisions rest on columns that tell a sensitive attribute."""

from dataclasses import dataclass

import numpy as np

from rai.audits._auc import WIDER
from rai.audits._lift import guarded, large_enough, undefined
from rai.audits._predict import bins, categorical, folds, player_codes, single_aucs
from rai.audits.attribution.importance import UNMOVED, Ranked
from rai.evidence import Measurement
from rai.subject import Data, Floats, Groups, Ints, Subject

FEWEST = 25
MOST_ROWS = 3_000
DEALT = 50
NAME = "proxy_reliance"
METHOD = (
    "share of each column (the attribute's own left out) times how well it alone tells the attribute, 2 AUC - 1, "
    "cross-fitted and averaged over the groups by their rows; row bootstrap of the shares with normal errors of the "
    f"AUCs, 95% percentile; p and chance from {DEALT} permutations of the groups"
)


@dataclass(frozen=True)
class Strengths:
    """How well each column alone tells the group: 0 not at all, 1 fully.

    `values` and `errors` (columns,), `dealt` (permutations, columns) the same with the groups dealt out anew.
    """

    values: Floats
    errors: Floats
    dealt: Floats
    smallest: int


def proxy_reliance(subject: Subject, groups: Groups, found: Ranked) -> Measurement:
    """The part of all that moves the score which falls to columns that tell the attribute, by how well they tell it."""
    facet, rows = {"attribute": groups.name}, len(found.reasons.rows)
    problem = _problem(subject, groups, found)
    if problem:
        return undefined(NAME, problem, rows=rows, facet=facet, unit="share")
    told = strengths(subject.data, groups, subject.rng(f"attribution proxies {groups.name}"))
    other = np.array([name.casefold() != groups.name.casefold() for name in found.reasons.names])
    rng = subject.rng(f"attribution proxy errors {groups.name}")
    noisy = told.values + WIDER * told.errors * rng.standard_normal(found.draws.shares.shape)
    drawn = ((found.draws.shares * noisy) @ other)[~np.isnan(found.draws.shares).any(axis=1)]
    value = float((found.reasons.shares * told.values) @ other)
    dealt = (found.reasons.shares * told.dealt) @ other
    low, high = np.quantile(drawn, [0.025, 0.975])
    return guarded(
        Measurement(
            NAME,
            value,
            min(value, max(0.0, float(low))),
            max(value, float(high)),
            rows,
            facet=facet,
            unit="share",
            method=METHOD,
            smallest=told.smallest,
            p=float((1 + np.sum(dealt >= value)) / (len(dealt) + 1)),
            chance=float(dealt.mean()),
            corrected=max(0.0, value - float(dealt.mean())),
        )
    )


def _problem(subject: Subject, groups: Groups, found: Ranked) -> str:
    """Why reliance on proxies cannot be told; empty where it can."""
    if subject.data.kind != "table":
        return "only the columns of a table are tried one by one"
    if not found.reasons.moved:
        return UNMOVED
    many = len(large_enough(groups, least=FEWEST).levels)
    return "" if many > 1 else f"fewer than two groups of {FEWEST} rows or more"


def strengths(data: Data, groups: Groups, rng: np.random.Generator) -> Strengths:
    """How well each column alone tells the group of a row, judged on rows not learned from."""
    kept = large_enough(groups, least=FEWEST)
    known = np.flatnonzero(kept.codes >= 0)
    rows = known if len(known) <= MOST_ROWS else np.sort(rng.choice(known, MOST_ROWS, replace=False))
    chosen, codes = data.take(rows), kept.codes[rows]
    binned = [
        bins(column, unordered=bool(each))
        for column, each in zip(player_codes(chosen).T, categorical(chosen), strict=True)
    ]
    fold = folds(codes, rng)
    dealt = [_told(binned, rng.permutation(codes), fold) for _ in range(DEALT)]
    counts = np.bincount(codes, minlength=len(kept.levels))
    found = _told(binned, codes, fold)
    return Strengths(found, _errors(found, counts), np.stack(dealt), int(kept.counts.min()))


def _told(binned: list[Ints], codes: Ints, fold: Ints) -> Floats:
    """2 AUC - 1 of each column, averaged over the groups by their rows; never below 0."""
    counts = np.bincount(codes)
    share = counts / counts.sum()
    aucs = np.array([single_aucs(column, codes, fold)[: len(counts)] for column in binned])
    strong = np.nan_to_num(np.maximum(2 * aucs - 1, 0.0))
    return np.asarray(strong @ share)


def _errors(told: Floats, counts: Ints) -> Floats:
    """Standard error of 2 AUC - 1, as of the smallest group against the rest (Hanley & McNeil 1982)."""
    area, small = (told + 1) / 2, max(1, int(counts.min()))
    rest = int(counts.sum()) - small
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (small - 1) * (first - area**2) + (rest - 1) * (second - area**2)
    return np.asarray(2 * np.sqrt(np.maximum(spread, 0.0) / (small * rest)))
