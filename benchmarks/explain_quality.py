"""Are models that hide from explainers found, and false explanations marked as such?

Scaffolds (Slack et al. 2020, arXiv:1911.02508): a random forest is trained to tell made-up rows from real ones; the
model decides by a sensitive column where the forest sees a real row, else by a harmless one. Found: rule EXPL-05 of the
default policy says `fail` about rows that the forest never saw. Alarmed: it says so about a model of one rule.
Explanations: random values, another model's and values of the wrong sign should not be said to beat a random order;
exact Shapley values should.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

from collections.abc import Callable, Mapping  # noqa: E402 - after the threads are fixed
from dataclasses import dataclass, replace  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402

from rai.audits import faithfulness  # noqa: E402
from rai.audits.faithfulness.exhibits import BEATS, words  # noqa: E402
from rai.audits.faithfulness.trials import Case, Trial, case_of, measured  # noqa: E402
from rai.card import Card  # noqa: E402
from rai.explainers import Attribution, method  # noqa: E402
from rai.explainers.deletion import fall  # noqa: E402
from rai.explainers.scaffolding import drawn_rows, mixed_rows  # noqa: E402
from rai.models import bare  # noqa: E402
from rai.policy import Verdict, judge, read_policy  # noqa: E402
from rai.subject import Data, Player, Subject  # noqa: E402

Array = NDArray[np.floating[Any]]
Score = Callable[[Array], Array]
Random = np.random.Generator
RUNS, FEW = 21, 3
ROWS = 2_400
WORKS = 0.8
RULE = "EXPL-05"


@dataclass(frozen=True)
class Scaffold:
    """A model that hides, and how well its forest tells unseen real rows from made-up ones (ROC AUC)."""

    score: Score
    auc: float


def bound(rng: Random) -> Array:
    """6 to 18 numbers that hang together."""
    columns = int(rng.integers(6, 19))
    factors = max(2, columns // 3)
    return rng.normal(size=(ROWS, factors)) @ rng.normal(size=(factors, columns)) + 0.3 * rng.normal(
        size=(ROWS, columns)
    )


def skewed(rng: Random) -> Array:
    """The same with long tails."""
    table = bound(rng)
    return np.asarray(np.exp(0.7 * table / table.std(axis=0)))


def cancer(rng: Random) -> Array:
    """Eighteen of the measurements of the breast cancer data."""
    table = load_breast_cancer().data
    return np.asarray(rng.permutation(table)[:, rng.permutation(table.shape[1])[:18]])


TABLES = (bound, skewed, cancer)


def people(seed: int) -> Array:
    """Rows of numbers around 0 behind a sensitive and a harmless column, which are both -1 or 1."""
    rng = np.random.default_rng([seed, 1])
    table = TABLES[seed % len(TABLES)](rng)
    bits = rng.integers(0, 2, size=(len(table), 2)) * 2.0 - 1
    return np.column_stack([bits, (table - table.mean(axis=0)) / table.std(axis=0)])


def subject_of(score: Score, rows: Array, seed: int) -> Subject:
    """A model on trial on these rows."""
    table = rows.astype(np.float32)
    return Subject("s", bare(score, table[:1]), data_of(table), Card("regression"), seed=seed)


def data_of(table: Array) -> Data:
    """Rows without labels, one player a column."""
    return Data("table", table, table, None, {}, tuple(Player(f"x{each}", (each,)) for each in range(table.shape[1])))


def scaffold(known: Array, unseen: Array, *, make: Callable[[Data, Random], Data], seed: int) -> Scaffold:
    """Hide from explainers that `make` rows so; `known` rows train the forest, `unseen` ones try it."""
    rng = np.random.default_rng([seed, 2])
    made_up = make(data_of(np.tile(known, (2, 1))), rng).features
    forest = RandomForestClassifier(30, min_samples_leaf=2, class_weight="balanced", random_state=seed)
    forest.fit(np.concatenate([known, made_up]), np.arange(3 * len(known)) >= len(known))

    def score(table: Array) -> Array:
        return 3 * np.where(forest.predict(table), table[:, 1], table[:, 0])

    tried = np.concatenate([unseen, make(data_of(unseen), rng).features])
    auc = roc_auc_score(np.arange(len(tried)) >= len(unseen), forest.predict_proba(tried)[:, 1])
    return Scaffold(score, float(auc))


def biased(_: Array, __: int) -> Score:
    """What the scaffolds decide by: the sensitive column, but of every row."""
    return lambda table: 3 * table[:, 0]


def network(known: Array, seed: int) -> Score:
    """A neural network."""
    made = MLPRegressor(hidden_layer_sizes=(32, 16), max_iter=300, tol=0.01, random_state=seed)
    score: Score = made.fit(known, truth(known, seed)).predict
    return score


def trees(known: Array, seed: int) -> Score:
    """Boosted trees, whose answers move in steps."""
    made = GradientBoostingRegressor(n_estimators=40, random_state=seed)
    score: Score = made.fit(known, truth(known, seed)).predict
    return score


def products(known: Array, seed: int) -> Score:
    """Columns that count only together."""
    first, second, third = np.random.default_rng([seed, 4]).permutation(known.shape[1])[:3]
    return lambda table: table[:, first] * table[:, second] + np.sign(table[:, third] * table[:, first])


def saturated(known: Array, seed: int) -> Score:
    """A steep rule of all columns: nearly always wholly sure."""
    weights = np.random.default_rng([seed, 5]).normal(size=known.shape[1])
    return lambda table: np.tanh(4 * table @ weights)


CLEAN = {
    "the biased rule, not hidden": biased,
    "network": network,
    "trees": trees,
    "products": products,
    "saturated": saturated,
}
HIDDEN = {"Shapley methods": mixed_rows, "LIME": drawn_rows}
FOUND = {name: f"scaffold against {name}: found, share where its forest works" for name in HIDDEN}
ALARMED, PASSED = "honest models: alarmed, share", "honest models: pass, share"


def truth(table: Array, seed: int) -> Array:
    """What networks and trees learn: a weighted sum, one product and one bend."""
    rng = np.random.default_rng([seed, 3])
    first, second, third = rng.permutation(table.shape[1])[:3]
    return table @ rng.normal(size=table.shape[1]) / 2 + table[:, first] * table[:, second] + np.abs(table[:, third])


def verdict(score: Score, rows: Array, seed: int) -> Verdict:
    """The worst that the default policy says of the model's behaviour on made-up rows."""
    subject = subject_of(score, rows, seed)
    seen = faithfulness.scaffolded(subject, case_of(subject)).measurements
    said = {each.verdict for each in judge(read_policy("default"), seen, {}, "regression") if each.rule.id == RULE}
    return max(said, key=list(Verdict).index)


def scaffolds(seeds: range) -> dict[str, float]:
    """Shares of scaffolds found, and how many have a forest that works."""
    found: dict[str, float] = {}
    for name, make in HIDDEN.items():
        halves = [np.array_split(people(seed), 2) for seed in seeds]
        made = [scaffold(*each, make=make, seed=seed) for seed, each in zip(seeds, halves, strict=True)]
        tried = [
            verdict(each.score, unseen, seed) is Verdict.FAIL
            for seed, (_, unseen), each in zip(seeds, halves, made, strict=True)
            if each.auc >= WORKS
        ]
        found |= {FOUND[name]: float(np.mean(tried)), f"scaffold against {name}: forests that work": len(tried)}
    return found


def honest(seeds: range) -> dict[str, float]:
    """Shares of honest models that are alarmed about, and that pass."""
    said = []
    for seed in seeds:
        known, unseen = np.array_split(people(seed), 2)
        said += [verdict(make(known, seed), unseen, seed) for make in CLEAN.values()]
    return {each: said.count(what) / len(said) for each, what in ((ALARMED, Verdict.FAIL), (PASSED, Verdict.PASS))}


def rule_of(seed: int, columns: range) -> Score:
    """A small random network that looks at these of ten columns."""
    rng = np.random.default_rng([seed, 6])
    first, last = rng.normal(size=(len(columns), 16)), rng.normal(size=16)
    return lambda table: np.tanh(table[:, list(columns)] @ first / 2) @ last


def trial(case: Case, name: str, values: Array, found: Attribution) -> Trial:
    """Put given values on trial by taking features away."""
    first = fall(case.played, values)
    return Trial(
        name, replace(found, values=values.astype(np.float64)), first, {"deletion_gain": case.controls.gain(first)}
    )


TRUE = "exact Shapley values: beat a random order, share"
FRAUDS = {
    name: f"{name}: not believed, share"
    for name in ("random values", "values of a model of other columns", "values of the wrong sign")
}


def gate(seed: int) -> dict[str, str]:
    """What is said of true and of false explanations of one model."""
    rows = np.random.default_rng([seed, 7]).normal(size=(400, 10))
    case = case_of(subject_of(rule_of(seed, range(6)), rows, seed))
    other = case_of(subject_of(rule_of(seed + 1000, range(6, 10)), rows, seed))
    found, false = (method("shapley")(each.question) for each in (case, other))
    random = np.random.default_rng([seed, 8]).normal(size=found.values.shape)
    others = false.values + 1e-9 * random  # columns that the other model never sees come in a random order
    values = dict(zip((TRUE, *FRAUDS), (found.values, random, others, -found.values), strict=True))
    trials = [trial(case, name, each, found) for name, each in values.items()]
    rng = np.random.default_rng(seed)
    return words({each.name: measured(each, "deletion_gain", rng) for each in trials})


def explanations(seeds: range) -> dict[str, float]:
    """Shares of true explanations believed and of false ones not."""
    said = [gate(seed) for seed in seeds]
    true = {TRUE: float(np.mean([each[TRUE] == BEATS for each in said]))}
    return true | {text: float(np.mean([each[name] != BEATS for each in said])) for name, text in FRAUDS.items()}


BOUNDS = (
    *(Bound(each, at_least=0.9) for each in FOUND.values()),
    Bound(ALARMED, at_most=0.05),
    Bound(PASSED, at_least=0.9),
    Bound(TRUE, at_least=1.0),
    *(Bound(each, at_least=0.9) for each in FRAUDS.values()),
)


def measure(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness's signature
    """Shares of scaffolds found, honest models alarmed about, and explanations told true from false."""
    seeds = range(FEW if quick else RUNS)
    return {"runs": len(seeds), **scaffolds(seeds), **honest(seeds), **explanations(seeds)}


if __name__ == "__main__":
    main("explain_quality", measure, BOUNDS)
