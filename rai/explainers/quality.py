"""May an explanation be believed? What a method's values are held against, one number a row.

Values are those of one explained output, (rows, players). A row where a number is undefined holds NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.quality_boards import Board
from rai.explainers.questions import Question
from rai.explainers.shapley import MOST_EXACT
from rai.explainers.shapley import explain as shapley
from rai.subject import Bools, Data, Floats, Ints

Exact = NDArray[np.float64]
Explain = Callable[[Question], Attribution]
TOP = 5
NUDGE = 0.02
SUBSETS = 32
NO_NUDGE = "tokens cannot be changed a little"
FEW_VALUES = "no input takes more than two values, so none can be changed a little"
TOO_MANY = f"more than {MOST_EXACT} features, too many for exact Shapley values"


@dataclass(frozen=True)
class Probes:
    """Random sets of features of some rows and what the score loses without them.

    `sets` (probes, players of the board), `lost` (rows of the board, probes).
    """

    board: Board
    sets: Bools
    lost: Exact


def picked(question: Question, explain: Explain, outputs: Ints) -> Exact:
    """The values that a method gives to one output of each row, (rows, players)."""
    return explain(question).picked(np.asarray(outputs, dtype=np.int64)).values


def probes(played: Sequence[Board], rng: np.random.Generator, count: int = SUBSETS) -> tuple[Probes, ...]:
    """Draw sets of features, of every size alike, and ask what each row loses without them."""
    return tuple(_probes(board, rng, count) for board in played)


def _probes(board: Board, rng: np.random.Generator, count: int) -> Probes:
    players = len(board.players)
    sizes = rng.integers(1, max(2, players), size=(count, 1))
    sets = rng.random((count, players)).argsort(axis=1).argsort(axis=1) < sizes
    without = board.scores(np.broadcast_to(~sets, (len(board.rows), *sets.shape)))
    return Probes(board, sets, board.full[:, None] - without)


def infidelity(found: Sequence[Probes], values: Floats) -> Exact:
    """How badly the values foretell what the score loses without sets of features, (rows,): 0 exactly, 1 not at all.

    The squared miss over the squared loss, after the best positive factor for each row, so that the unit of the values
    does not matter. NaN where nothing is ever lost. Source: Yeh et al. 2019 (arXiv:1901.09392).
    """
    missed = np.full(len(values), np.nan)
    for each in found:
        told = values[np.ix_(each.board.rows, each.board.players)] @ each.sets.T
        size, due = (told**2).sum(axis=1), (each.lost**2).sum(axis=1)
        match = np.maximum((told * each.lost).sum(axis=1), 0)
        fitted = np.divide(match**2, size * due, out=np.zeros(len(due)), where=size * due > 0)
        missed[each.board.rows] = np.where(due > 0, 1 - fitted, np.nan)
    return missed


def similarity(first: Floats, second: Floats) -> Exact:
    """Rank correlation (Spearman) of the sizes of two explanations of the same rows, (rows,).

    Features that both give nothing are left out; NaN where fewer than two remain or one gives the same to all.
    """
    return np.array([_correlation(*_told(a, b), ranked=True) for a, b in zip(first, second, strict=True)])


def kendall(first: Floats, second: Floats) -> Exact:
    """Kendall's tau-b of the sizes of two explanations of the same rows, (rows,); undefined as `similarity` is."""
    return np.array([_correlation(*_told(a, b), ranked=False) for a, b in zip(first, second, strict=True)])


def _told(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    told = (first != 0) | (second != 0)
    return np.abs(first[told]), np.abs(second[told])


def _correlation(first: Floats, second: Floats, *, ranked: bool) -> float:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    if ranked:
        return float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])
    return float(stats.kendalltau(first, second).statistic)


def jaccard(first: Floats, second: Floats, top: int = TOP) -> Exact:
    """Share of the most telling features that two explanations of the same rows have in common, (rows,).

    The `top` largest values of each are compared, or half of the players where there are fewer than twice as many.
    """
    count = top_of(first.shape[1], top)
    sets = [np.argsort(-np.abs(each), axis=1, kind="stable")[:, :count] for each in (first, second)]
    common = (sets[0][:, :, None] == sets[1][:, None, :]).sum(axis=(1, 2))
    return np.asarray(common / (2 * count - common))


def top_of(players: int, top: int = TOP) -> int:
    """How many features count as the most telling ones."""
    return min(top, max(1, players // 2))


def run_error(first: Floats, second: Floats) -> Exact:
    """Standard error of one run, from two runs that differ in their seed alone, over the mean size of a value, (rows,).

    NaN where all values are 0.
    """
    spread = np.sqrt(((first - second) ** 2).mean(axis=1) / 2)
    return _relative(spread, (np.abs(first) + np.abs(second)).mean(axis=1) / 2)


def exact_values(question: Question, outputs: Ints) -> Exact:
    """Exact Shapley values of one output of each row, (rows, players); InputError for more than 13 players."""
    if len(question.data.players) > MOST_EXACT:
        raise InputError(TOO_MANY)
    return picked(replace(question, budget=None), shapley, outputs)


def distance(values: Floats, true: Floats) -> Exact:
    """Root mean squared distance of values from the true ones over their mean size, (rows,); NaN where all are 0."""
    return _relative(np.sqrt(((values - true) ** 2).mean(axis=1)), np.abs(true).mean(axis=1))


def _relative(amount: Exact, size: Exact) -> Exact:
    return np.asarray(np.divide(amount, size, out=np.full(len(amount), np.nan), where=size > 0))


def max_sensitivity(question: Question, explain: Explain, outputs: Ints, values: Floats, draws: int = 2) -> Exact:
    """The largest change of a row's values when its inputs change a little, over the size of the values, (rows,).

    Each number is moved by up to 2 % of its spread in the background, `draws` times; numbers that take at most two
    values there, such as one category or another, stay. Raises InputError where no input can be changed a little.
    Source: Yeh et al. 2019 (arXiv:1901.09392).
    """
    rng = np.random.default_rng([question.seed, 2])
    nudged = [replace(question, data=nudge(question, rng)) for _ in range(draws)]
    moved = [np.linalg.norm(picked(each, explain, outputs) - values, axis=1) for each in nudged]
    return _relative(np.max(moved, axis=0), np.linalg.norm(values, axis=1))


def nudge(question: Question, rng: np.random.Generator, share: float = NUDGE) -> Data:
    """The rows of a question, each number moved at random by up to `share` of its spread in the background."""
    data, known = question.data, question.background.inputs
    if data.kind == "text":
        raise InputError(NO_NUDGE)
    if hasattr(data.inputs, "iloc"):
        return _nudged_frame(question, rng, share)
    there = known.reshape(len(known), -1) if data.kind == "table" else known.reshape(-1, 1)
    reach = share * _spread(np.asarray(there, dtype=np.float64))
    if not reach.any():
        raise InputError(FEW_VALUES)
    shape = data.inputs.shape
    moved = data.inputs.reshape(-1, len(reach)) * 1.0
    moved += rng.uniform(-1, 1, size=moved.shape) * reach
    return replace(data, inputs=moved.reshape(shape).astype(data.inputs.dtype))


def _nudged_frame(question: Question, rng: np.random.Generator, share: float) -> Data:
    inputs, known = question.data.inputs.copy(), question.background.inputs
    for name in [each for each in inputs.columns if inputs[each].dtype.kind == "f"]:
        reach = share * _spread(known[[name]].to_numpy(dtype=np.float64))
        inputs[name] = inputs[name] + (rng.uniform(-1, 1, size=len(inputs)) * reach).astype(inputs[name].dtype)
    if inputs.equals(question.data.inputs):
        raise InputError(FEW_VALUES)
    return replace(question.data, inputs=inputs)


def _spread(known: Exact) -> Exact:
    """Standard deviation of each column; 0 for one of at most two values."""
    columns = [each[np.isfinite(each)] for each in known.T]
    return np.array([each.std() if len(np.unique(each)) > 2 else 0.0 for each in columns])


def agreement(found: Mapping[str, Floats]) -> Exact:
    """Mean rank correlation of the sizes of the values of each pair of methods, (methods, methods); NaN undefined."""
    names = list(found)
    matrix = np.eye(len(names))
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            each = similarity(found[first], found[second])
            known = each[np.isfinite(each)]
            matrix[i, j] = matrix[j, i] = known.mean() if len(known) else np.nan
    return matrix
