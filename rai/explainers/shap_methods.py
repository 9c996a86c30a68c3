"""The explainers of the package shap, asked about the same coalitions of the same features as every other method."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import Game
from rai.explainers.options import chosen
from rai.explainers.parts import solved
from rai.explainers.questions import Question
from rai.subject import Bools, Data, Floats, Player

Run = Callable[[Any, Game, int], Floats]
Score = Callable[[Floats], Floats]
PERMUTATIONS = 10
PARTITION = 500


def kernel(question: Question) -> Attribution:
    """Shapley values by shap's KernelExplainer, without its selection of features.

    `budget`: coalitions a row (default 2 × players + 2,048, shap's own). With l1_reg left at shap's default, features
    beyond the tenth are set to zero; here none is. Source: Lundberg & Lee 2017 (arXiv:1705.07874).
    """
    return _asked(question, partial(_kernel, budget=question.budget), "shap.kernel")


def permutation(question: Question) -> Attribution:
    """Shapley values by shap's PermutationExplainer: what features add when they join in random orders.

    `budget`: coalitions a row (default 10 orders there and back, 20 × players + 10).
    """
    return _asked(question, partial(_permutation, budget=question.budget), "shap.permutation")


def partition(question: Question) -> Attribution:
    """Owen values by shap's PartitionExplainer, over a tree of neighbouring patches, steps or tokens.

    Columns of a table are neighbours when they are correlated in the background; those of a data frame when they stand
    side by side. `budget`: coalitions a row (default 500).
    """
    return _asked(question, partial(_partition, data=question.data, budget=question.budget), "shap.partition")


def _asked(question: Question, run: Run, name: str) -> Attribution:
    chosen(question)
    return solved(question, partial(_solve, run=run), name)


def _solve(asked: Game, rng: np.random.Generator, *, run: Run) -> Shares:
    """Values by shap row by row; one feature alone owns the whole difference and shap is not asked."""
    rows, players, outputs = len(asked.rows), len(asked.players), asked.full.shape[1]
    if players < 2:
        whole = np.repeat((asked.full - asked.empty)[:, None], players, axis=1)
        return Shares(whole, np.zeros_like(whole))
    values = np.empty((rows, players, outputs))
    with _alone(int(rng.integers(2**31))) as shap:
        for row in range(rows):
            values[row] = np.reshape(run(shap, asked, row), (players, outputs))
    return Shares(values, np.full_like(values, np.nan))


@contextlib.contextmanager
def _alone(seed: int) -> Iterator[Any]:
    """The package shap, silent, with NumPy's global random numbers seeded and put back afterwards."""
    before = np.random.get_state()  # noqa: NPY002 - shap draws from the global generator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap  # type: ignore[import-untyped]

        np.random.seed(seed)  # noqa: NPY002 - as above
        try:
            yield shap
        finally:
            np.random.set_state(before)  # noqa: NPY002 - as above


def _score(asked: Game, row: int) -> Score:
    """From memberships (n, players) of 0 and 1 to mean scores (n, outputs) of one row."""
    return lambda members: np.asarray(asked.values(np.asarray(members) > 0.5, slice(row, row + 1))[0])


def _nobody(asked: Game) -> Floats:
    return np.zeros((1, len(asked.players)))


def _everybody(asked: Game) -> Floats:
    return np.ones((1, len(asked.players)))


def _kernel(shap: Any, asked: Game, row: int, *, budget: int | None) -> Floats:
    _require_budget(budget, 2 * len(asked.players) + 2)
    explainer = shap.KernelExplainer(_score(asked, row), _nobody(asked))
    found = explainer.shap_values(_everybody(asked), nsamples=budget or "auto", l1_reg=0, silent=True)
    return np.asarray(found)


def _permutation(shap: Any, asked: Game, row: int, *, budget: int | None) -> Floats:
    least = 2 * len(asked.players) + 1
    _require_budget(budget, least)
    seed = int(np.random.randint(2**31))  # noqa: NPY002 - drawn from the stream that `_alone` seeded
    explainer = shap.PermutationExplainer(_score(asked, row), shap.maskers.Independent(_nobody(asked)), seed=seed)
    found = explainer(_everybody(asked), max_evals=budget or PERMUTATIONS * least, silent=True, batch_size=least)
    return np.asarray(found.values)


def _partition(shap: Any, asked: Game, row: int, *, data: Data, budget: int | None) -> Floats:
    _require_budget(budget, 4)
    tree = linkage(_distances(asked, data), method="average")
    masker = shap.maskers.Partition(_nobody(asked), clustering=tree)
    explainer = shap.PartitionExplainer(_score(asked, row), masker)
    return np.asarray(explainer(_everybody(asked), max_evals=budget or PARTITION, silent=True).values)


def _require_budget(budget: int | None, least: int) -> None:
    if budget is not None and budget < least:
        raise InputError(f"{budget} coalitions are too few", where="budget", expected=f"at least {least}")


def _distances(asked: Game, data: Data) -> Floats:
    """How far apart each two players are, as scipy's clustering takes it, (pairs,)."""
    if data.kind == "table" and not hasattr(data.inputs, "iloc"):
        return _unrelated(asked)
    shape = data.inputs.shape[1:]
    return np.asarray(pdist(np.array([_middle(player, shape) for player in asked.players])))


def _middle(player: Player, shape: tuple[int, ...]) -> Floats:
    return np.asarray(np.mean(np.unravel_index(player.inputs, shape), axis=1))


def _unrelated(asked: Game) -> Floats:
    """1 less the largest absolute correlation between an input of one player and one of the other."""
    centred = asked.background - asked.background.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, spread, out=np.zeros_like(centred, dtype=np.float64), where=spread > 0)
    related = np.abs(unit.T @ unit)
    owned: list[Bools] = [asked.owner == place for place in range(len(asked.players))]
    largest = [[related[np.ix_(one, other)].max(initial=0.0) for other in owned] for one in owned]
    apart = np.clip(1 - np.array(largest), 0, None)
    np.fill_diagonal(apart, 0)
    return np.asarray(squareform(apart, checks=False))
