"""Training finds answers that are known by other means."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, LogisticRegression, Ridge

from rai import train
from rai.data import labelled, unlabelled
from rai.networks import cnn, mlp, recurrent, transformer
from rai.train.settings import Fit

RNG = np.random.default_rng(3)
WHOLE = Fit(epochs=300, batch_size=10_000, optimizer="sgd", validation=0.0, learning_rate=0.1)


def linear(inputs=4, outputs=1, *, bias=False):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(inputs, outputs, bias=bias))


@pytest.fixture
def line():
    X = RNG.normal(size=(300, 4)).astype(np.float32)
    return X, X @ np.array([1.5, -2.0, 0.0, 0.5], dtype=np.float32)


@pytest.fixture
def points():
    X = RNG.normal(size=(400, 4)).astype(np.float32)
    chances = 1 / (1 + np.exp(-(X @ np.array([1.0, -1.0, 0.5, 0.0]))))
    return X, (RNG.random(400) < chances).astype(np.int64)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_every_optimizer_recovers_the_coefficients_of_a_line(line, optimizer):
    rate = {"sgd": 0.1, "adagrad": 0.5}.get(optimizer, 0.05)
    settings = replace(WHOLE, optimizer=optimizer, learning_rate=rate, schedule="cosine")
    found = train.fit(linear(bias=True), line, settings=settings).model[0]
    assert found.weight[0].tolist() == pytest.approx([1.5, -2.0, 0.0, 0.5], abs=2e-3)
    assert found.bias.item() == pytest.approx(0.0, abs=2e-3)


def test_weight_decay_is_ridge(line):
    X, y = line
    found = train.fit(linear(), line, settings=replace(WHOLE, weight_decay=0.4)).model[0].weight[0]
    known = Ridge(alpha=0.2 * len(X), fit_intercept=False).fit(X, y).coef_  # decay / 2 |w|² beside a mean of squares
    np.testing.assert_allclose(found.detach(), known, atol=1e-3)


def test_l1_is_lasso(line):
    settings = replace(WHOLE, l1=0.4, momentum=0.0, schedule="cosine")
    found = train.fit(linear(), line, settings=settings).model[0].weight[0]
    known = Lasso(alpha=0.2, fit_intercept=False).fit(*line).coef_  # Lasso halves the squares
    np.testing.assert_allclose(found.detach(), known, atol=5e-3)
    assert known[2] == 0.0


def test_one_logit_learns_what_logistic_regression_does(points):
    X, y = points
    settings = replace(WHOLE, learning_rate=1.0, weight_decay=0.01)
    found = train.fit(linear(), points, settings=settings).model[0].weight[0]
    known = LogisticRegression(C=1 / (0.01 * len(X)), fit_intercept=False, tol=1e-8).fit(X, y).coef_[0]
    np.testing.assert_allclose(found.detach(), known, atol=1e-4)


def test_balanced_weights_learn_what_sklearn_balanced_does(points):
    X, y = points[0], ((points[1] == 1) & (points[0][:, 3] > 0.5)).astype(np.int64)
    settings = replace(WHOLE, learning_rate=1.0, weight_decay=0.01, class_weight="balanced")
    found = train.fit(linear(), (X, y), settings=settings).model[0].weight[0]
    twin = LogisticRegression(C=1 / (0.01 * len(X)), fit_intercept=False, class_weight="balanced", tol=1e-8)
    np.testing.assert_allclose(found.detach(), twin.fit(X, y).coef_[0], atol=1e-4)


def test_two_outputs_learn_binary_labels_as_classes(points):
    one = train.fit(linear(), points, settings=replace(WHOLE, learning_rate=1.0, weight_decay=0.02)).model[0]
    two = train.fit(linear(outputs=2), points, task="binary", settings=replace(WHOLE, weight_decay=0.04)).model[0]
    np.testing.assert_allclose((two.weight[1] - two.weight[0]).detach(), one.weight[0].detach(), atol=1e-3)


def test_several_labels_are_learned_as_if_alone(points):
    X, y = points
    other = (X[:, 3] > 0).astype(np.int64)
    settings = replace(WHOLE, weight_decay=0.01)
    both = train.fit(linear(outputs=2), (X, np.stack([y, other], axis=1)), settings=settings).model[0].weight
    for place, labels in enumerate([y, other]):
        twin = replace(settings, weight_decay=0.02, learning_rate=0.05)  # the mean of two labels halves each
        alone = train.fit(linear(), (X, labels), settings=twin).model[0].weight[0]
        np.testing.assert_allclose(both[place].detach(), alone.detach(), atol=2e-3)


def test_a_perceptron_learns_what_no_line_can(squares):
    settings = Fit(epochs=60, batch_size=32, learning_rate=0.02, initialization="he", schedule="cosine", warmup=20)
    found = train.fit(mlp.mlp(inputs=2, outputs=1, hidden=(16,)), squares, settings=settings)
    X, y = squares
    assert ((found.model(torch.tensor(X))[:, 0] > 0).numpy() == y).mean() > 0.97
    assert ((train.fit(linear(2), squares).model(torch.tensor(X))[:, 0] > 0).numpy() == y).mean() < 0.7


def accuracy(model, X, y):
    return (model(torch.tensor(X)).argmax(dim=1).numpy() == y).mean()


def test_images_are_learned():
    y = RNG.integers(0, 3, size=90)
    X = RNG.normal(size=(90, 1, 8, 8)).astype(np.float32)
    X[np.arange(90), 0, y * 2, :] += 3
    network = cnn.cnn(inputs=1, outputs=3, size=(8, 8), channels=(4,))
    data = labelled(unlabelled(X), y).data
    found = train.fit(network, data, settings=Fit(epochs=15, batch_size=16, learning_rate=0.02, augment=("noise",)))
    assert accuracy(found.model, X, y) > 0.95


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_sequences_of_unequal_length_are_learned(kind):
    X = RNG.normal(size=(120, 6, 2)).astype(np.float32)
    X[::2, 4:] = np.nan
    y = (np.nansum(X[:, :, 0], axis=1) > 0).astype(np.int64)
    data = labelled(unlabelled(X), y).data
    network = recurrent.recurrent(inputs=2, outputs=2, kind=kind, hidden=12)
    found = train.fit(network, data, settings=Fit(epochs=40, batch_size=20, learning_rate=0.02))
    assert accuracy(found.model, X, y) > 0.9
    assert found.ledger.warnings == ()


def test_texts_are_learned():
    X = RNG.integers(2, 12, size=(150, 7))
    X[::3, 5:] = 0
    y = (X == 3).any(axis=1).astype(np.int64)
    network = transformer.transformer(outputs=2, vocabulary=12, width=16, heads=2, layers=1, feedforward=32)
    data = labelled(unlabelled(X, kind="text"), y).data
    settings = Fit(epochs=30, batch_size=25, learning_rate=0.01, max_grad_norm=1.0)
    for rows in (data, (X, y)):
        assert accuracy(train.fit(network, rows, settings=settings).model, X, y) > 0.95
