"""Rows, and ways to train on them: rai's methods under a criterion of group fairness, and fairlearn's."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from examples.income import __main__ as income
from rai.networks.mlp import mlp
from rai.train import Fit, fit
from rai.train.fair.fitting import fit_fair

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
HIDDEN = 64
DP, EODD = "demographic_parity", "equalized_odds"
USUAL = Fit(epochs=10, batch_size=256, learning_rate=3e-3, schedule="cosine", weight_decay=1e-4)
LARGE = Fit(epochs=20, batch_size=1024, learning_rate=2e-3, schedule="cosine", weight_decay=1e-4, validation=0.0)
PLAIN = Fit(epochs=16, batch_size=256, optimizer="sgd", learning_rate=0.05, schedule="cosine", validation=0.0)
SETTINGS: Mapping[str, Fit] = {"adversarial": PLAIN, "gap_penalty": LARGE}
"""How a method trains; all others as USUAL."""


@dataclass(frozen=True)
class People:
    """Rows: inputs (rows, columns), whether the income is high, and sex (1 for men), which is no input."""

    inputs: NDArray[np.float32]
    labels: Ints
    sex: Ints

    def take(self, rows: Any) -> "People":
        """Some of the rows."""
        return People(self.inputs[rows], self.labels[rows], self.sex[rows])


@dataclass(frozen=True)
class Census:
    """Training and test rows."""

    training: People
    test: People


Decide = Callable[[People], Floats]
"""The chance of a yes for each row. Handed all of them, sex too; ours never looks at it."""
Train = Callable[[People, int], Decide]
"""From training rows and a seed to what decides."""


def adult(raw: Path) -> Census:
    """The census as the archive ships it; numbers standardised by training rows, every category a column."""
    split = income.from_folder(raw)
    whole = pd.concat([split.training, split.test])
    columns = whole.drop(columns=["income", "sex", "fnlwgt", "education"])
    inputs = pd.get_dummies(columns, dtype=float)
    for name in columns.select_dtypes("number"):
        known = inputs[name].iloc[: len(split.training)]
        inputs[name] = (inputs[name] - known.mean()) / known.std()
    labels, sex = (
        np.asarray(whole[name] == yes, dtype=np.int64) for name, yes in (("income", ">50K"), ("sex", "Male"))
    )
    return _halves(People(inputs.to_numpy(np.float32), labels, sex), len(split.training))


def generated() -> Census:
    """A table of the census' shape: two thirds are men, who have more often what a high income goes with."""
    rng = np.random.default_rng(0)
    sex = (rng.random(48_842) < 0.67).astype(np.int64)
    hidden = rng.normal(size=(len(sex), 6)) + 0.35 * sex[:, None]
    numbers = hidden[:, :4] + rng.normal(size=(len(sex), 4))
    kinds = [np.digitize(hidden[:, place] + rng.normal(size=len(sex)), np.linspace(-2, 2, 11)) for place in range(6)]
    inputs = np.concatenate([numbers, *(np.eye(12)[each] for each in kinds)], axis=1)
    chance = 1 / (1 + np.exp(3.65 - hidden.sum(axis=1)))
    return _halves(People(inputs.astype(np.float32), (rng.random(len(sex)) < chance).astype(np.int64), sex), 32_561)


def _halves(people: People, training: int) -> Census:
    return Census(people.take(slice(training)), people.take(slice(training, None)))


def network(people: People, seed: int) -> nn.Module:
    """A fresh perceptron."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mlp(inputs=people.inputs.shape[1], outputs=1, hidden=(HIDDEN,))


def decides(model: nn.Module) -> Decide:
    """Yes where the one logit is positive; sex is not looked at."""

    def decide(people: People) -> Floats:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(people.inputs))[:, 0].numpy() >= 0, dtype=np.float64)

    return decide


def baseline(people: People, seed: int) -> nn.Module:
    """The network without a criterion."""
    given = people.inputs, people.labels
    return fit(network(people, seed), given, settings=replace(USUAL, seed=seed)).model


def without(people: People, seed: int) -> Decide:
    """No criterion."""
    return decides(baseline(people, seed))


def ours(method: str, criterion: str, strength: float) -> Train:
    """One of rai's methods."""

    def train(people: People, seed: int) -> Decide:
        found = fit_fair(
            network(people, seed),
            (people.inputs, people.labels),
            sensitive={"sex": people.sex},
            criterion=criterion,
            method=method,
            strength=strength,
            settings=replace(SETTINGS.get(method, USUAL), seed=seed),
        )
        return decides(found.model)

    return train


def shipped(epochs: int) -> Train:
    """The adversary of fairlearn on torch, alpha 1, its networks as it draws them from a list of layers."""

    def train(people: People, seed: int) -> Decide:
        from fairlearn.adversarial import AdversarialFairnessClassifier

        model = AdversarialFairnessClassifier(
            backend="torch",
            predictor_model=drawn([people.inputs.shape[1], HIDDEN, 1], seed),
            adversary_model=drawn([1, 1], seed),
            batch_size=256,
            epochs=epochs,
            alpha=1.0,
            random_state=seed,
        )
        model.fit(people.inputs, people.labels, sensitive_features=people.sex)
        return lambda test: np.asarray(model.predict(test.inputs), dtype=np.float64).ravel()

    return train


def drawn(sizes: Sequence[int], seed: int) -> nn.Module:
    """Layers of these sizes as fairlearn makes them, but drawn with the seed: its own are the same for every seed."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for inputs, outputs in itertools.pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


class Scores(BaseEstimator):  # type: ignore[misc]  # sklearn ships no types
    """A trained network as fairlearn asks for one."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.classes_ = np.array([0, 1])

    def fit(self, X: Any, y: Any) -> "Scores":  # noqa: ARG002 - sklearn's signature
        """It is trained already."""
        return self

    def predict(self, X: Any) -> Floats:
        """The chance of a yes, (rows,)."""
        with torch.no_grad():
            logits = self.model(torch.from_numpy(np.asarray(X)))[:, 0]
            return np.asarray(torch.sigmoid(logits), dtype=np.float64)


def thresholds(criterion: str) -> Train:
    """Thresholds of fairlearn for our baseline network; it is told sex when it decides."""

    def train(people: People, seed: int) -> Decide:
        from fairlearn.postprocessing import ThresholdOptimizer

        scores = Scores(baseline(people, seed))
        model = ThresholdOptimizer(estimator=scores, constraints=criterion, prefit=True, predict_method="predict")
        model.fit(people.inputs, people.labels, sensitive_features=people.sex)
        return lambda test: np.asarray(model._pmf_predict(test.inputs, sensitive_features=test.sex))[:, 1]  # noqa: SLF001 - what it draws from

    return train


def gradient(criterion: str, gap: float) -> Train:
    """Reductions of fairlearn over logistic regression, asked for a gap on the training rows."""

    def train(people: People, _seed: int) -> Decide:
        from fairlearn import reductions
        from sklearn.linear_model import LogisticRegression

        kinds = {DP: reductions.DemographicParity, EODD: reductions.EqualizedOdds}
        parity = kinds[criterion](difference_bound=gap / 2)
        model = reductions.ExponentiatedGradient(LogisticRegression(max_iter=1000), parity, eps=gap / 2)
        model.fit(people.inputs, people.labels, sensitive_features=people.sex)
        return lambda test: np.asarray(model._pmf_predict(test.inputs))[:, 1]  # noqa: SLF001 - what it draws from

    return train


def values(chances: Floats, people: People) -> dict[str, float]:
    """Accuracy and gaps of decisions, each a chance of a yes; for certain ones these are fairlearn's metrics."""
    right = np.where(people.labels == 1, chances, 1 - chances)

    def gap(within: Any) -> float:
        return float(abs(np.subtract(*(chances[within & (people.sex == each)].mean() for each in (0, 1)))))

    hits, alarms = gap(people.labels == 1), gap(people.labels == 0)
    return {"accuracy": float(right.mean()), "dp": gap(people.sex >= 0), "eodd": max(hits, alarms), "eopp": hits}
