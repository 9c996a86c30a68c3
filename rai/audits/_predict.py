"""How well columns tell something they should not: small models, each judged only on rows it never saw."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rai.subject import Bools, Data, Floats, Ints

MOST_ROWS = 20_000
MOST_CELLS = 1_000_000
"""Rows times columns given to a boosted model; more rows are sampled down, so that time stays bounded."""
MOST_BINS = 32
MOST_CATEGORIES = 250
PRIOR_ROWS = 5.0
"""A value's average is drawn towards the overall one as if this many typical rows had been seen with it."""


def player_codes(data: Data) -> Floats:
    """One number a row and player, shape (rows, players): the input itself, or the position of its one-hot pattern.

    Positions are ordered by how common the pattern is, and beyond the 250 commonest all share one.
    """
    columns = [_codes(data.features[:, list(player.inputs)]) for player in data.players]
    return np.stack(columns, axis=1) if columns else np.zeros((data.rows, 0))


def categorical(data: Data) -> Bools:
    """Which players became several inputs, so that their codes have no order."""
    return np.array([len(player.inputs) > 1 for player in data.players], dtype=np.bool_)


def _codes(block: Floats) -> Floats:
    if block.shape[1] == 1:
        return np.asarray(block[:, 0], dtype=np.float64)
    plain = np.ascontiguousarray(block, dtype=np.float64) + 0.0
    patterns = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    _, inverse, counts = np.unique(patterns, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.asarray(np.minimum(rank[inverse.ravel()], MOST_CATEGORIES))


def sample(rows: int, columns: int, rng: np.random.Generator) -> Ints:
    """Rows to model on, in order: all, or as many as time allows, drawn at random."""
    most = min(MOST_ROWS, max(2_000, MOST_CELLS // max(columns, 1)))
    return np.arange(rows) if rows <= most else np.sort(rng.choice(rows, most, replace=False))


def folds(codes: Ints, rng: np.random.Generator) -> Ints:
    """A fold for each row, every class spread evenly over them: 2 folds, or 5 where rows are few."""
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    fold[order] = np.arange(len(codes)) % (5 if len(codes) <= 2_000 else 2)
    return fold


def bins(column: Floats, *, unordered: bool) -> Ints:
    """A bin for each row: categories and few-valued numbers keep each value, others are cut at 31 quantiles."""
    values, inverse = np.unique(column, return_inverse=True)
    if unordered or len(values) <= MOST_BINS:
        return np.asarray(inverse.ravel())
    cuts = np.unique(np.quantile(column, np.linspace(0, 1, MOST_BINS + 1)[1:-1]))
    return np.searchsorted(cuts, column, side="right")


def single_chances(binned: Ints, codes: Ints, fold: Ints) -> Floats:
    """Chance of each class given one column, shape (rows, classes), averaged over rows of the other folds."""
    cells = _cells(binned, codes, fold)
    return np.asarray(_held_out(cells)[fold, binned])


def single_aucs(binned: Ints, codes: Ints, fold: Ints) -> Floats:
    """ROC AUC of `single_chances` for each class against the rest, straight from counts; NaN where undefined."""
    cells = _cells(binned, codes, fold)
    chances, everyone = _held_out(cells), cells.sum(axis=2)
    return np.array(
        [
            auc_of_counts(chances[:, :, level].ravel(), cells[:, :, level].ravel(), everyone.ravel())
            for level in range(cells.shape[2])
        ]
    )


def single_values(binned: Ints, values: Floats, fold: Ints) -> Floats:
    """A value predicted from one column: the average over rows of the other folds in the same bin."""
    shape = (int(fold.max()) + 1, int(binned.max()) + 1)
    flat = fold * shape[1] + binned
    rows = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(flat, weights=values, minlength=shape[0] * shape[1]).reshape(shape)
    others, totals = rows.sum(axis=0) - rows, sums.sum(axis=0) - sums
    typical = totals.sum(axis=1, keepdims=True) / np.maximum(others.sum(axis=1, keepdims=True), 1)
    return np.asarray(((totals + PRIOR_ROWS * typical) / (others + PRIOR_ROWS))[fold, binned])


def auc_of_counts(scores: Floats, positives: Ints, everyone: Ints) -> float:
    """ROC AUC where many rows share a score: `positives` of `everyone` at each; NaN without both classes."""
    _, place = np.unique(scores, return_inverse=True)
    won = np.bincount(place.ravel(), weights=positives)
    lost = np.bincount(place.ravel(), weights=everyone - positives)
    if not won.sum() or not lost.sum():
        return float("nan")
    below = np.cumsum(lost) - lost / 2
    return float((won * below).sum() / (won.sum() * lost.sum()))


def boosted_chances(
    columns: Floats, codes: Ints, fold: Ints, rng: np.random.Generator, *, unordered: Sequence[bool] | Bools
) -> Floats:
    """Chance of each class given all columns, shape (rows, classes), from gradient boosting on the other folds.

    Forty small trees a class, one thread (so that equal inputs give equal bits), no early stopping.
    """
    from threadpoolctl import threadpool_limits

    chances = np.zeros((len(codes), int(codes.max()) + 1))
    with threadpool_limits(limits=1):
        for held in range(int(fold.max()) + 1):
            seen, unseen = fold != held, fold == held
            model = _booster(rng, unordered).fit(columns[seen], codes[seen])
            chances[np.ix_(unseen, model.classes_)] = model.predict_proba(columns[unseen])
    return chances


def _booster(rng: np.random.Generator, unordered: Sequence[bool] | Bools) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=40,
        learning_rate=0.2,
        max_leaf_nodes=15,
        early_stopping=False,
        categorical_features=np.asarray(unordered, dtype=np.bool_),
        random_state=int(rng.integers(2**31)),
    )


def _cells(binned: Ints, codes: Ints, fold: Ints) -> Ints:
    """Rows in each fold, bin and class."""
    shape = (int(fold.max()) + 1, int(binned.max()) + 1, int(codes.max()) + 1)
    flat = (fold * shape[1] + binned) * shape[2] + codes
    return np.bincount(flat, minlength=shape[0] * shape[1] * shape[2]).reshape(shape)


def _held_out(cells: Ints) -> Floats:
    """Chance of each class in each fold and bin, learned from the other folds."""
    others = cells.sum(axis=0) - cells
    typical = others.sum(axis=1, keepdims=True) / np.maximum(others.sum(axis=(1, 2), keepdims=True), 1)
    return np.asarray((others + PRIOR_ROWS * typical) / (others.sum(axis=2, keepdims=True) + PRIOR_ROWS))
