"""Explanations of one row of each kind of data, and whether they are told to be relied on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai import intake
from rai.card import Head
from rai.evidence import Heat, Overlay, Tokens
from rai.explaining import explain_case
from rai.explanation import to_json
from rai.intake import Options
from rai.subject import Vocabulary

RNG = np.random.default_rng(4)


def case(model, X, y, **options):
    given = Options(head=Head.LOGIT, reference=(X, y), **options)
    return intake.from_objects(model, X, y, sensitive_features=None, options=given)


class Corner(torch.nn.Module):
    """Adds up what the upper right quarter of an 8 × 8 image holds."""

    def forward(self, x):
        return x[:, :, :4, 4:].sum(dim=(1, 2, 3))[:, None]


class Bag(torch.nn.Module):
    """Adds up a weight for each token."""

    def __init__(self, weights):
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(weights)[:, None])

    def forward(self, x):
        return self.embedding(x).sum(dim=1)


class Early(torch.nn.Module):
    """Adds up the second feature over the first steps."""

    def forward(self, x):
        return torch.nan_to_num(x)[:, :4, 1].sum(dim=1, keepdim=True)


def test_an_image_is_shown_under_the_values_of_its_parts():
    X = RNG.normal(size=(40, 1, 8, 8)).astype(np.float32)
    X[4, 0, 2, 5] = 9.0
    y = np.where(X[:, 0, :4, 4:].sum(axis=(1, 2)) > 0, "b", "a")
    made = explain_case(case(Corner(), X, y), row=5)
    assert isinstance(made.exhibit, Overlay)
    values, grey = np.array(made.exhibit.values), np.array(made.exhibit.picture)
    due = X[4, 0] - X[:, 0].mean(axis=0)
    np.testing.assert_allclose(values[:2, 2:], due[:4, 4:].reshape(2, 2, 2, 2).sum(axis=(1, 3)), atol=1e-4)
    np.testing.assert_allclose(values[2:], 0, atol=1e-5)
    assert grey.shape == (8, 8)
    assert grey[2, 5] == 255
    assert grey.min() == 0
    order = np.unravel_index(np.argsort(X[4, 0], axis=None), (8, 8))
    assert (np.diff(grey[order]) >= 0).all()


def test_a_large_picture_is_shown_by_the_means_of_its_blocks():
    X = RNG.normal(size=(3, 3, 128, 96)).astype(np.float32)
    X[0] = 0.0
    X[0, :, :64] = 1.0
    made = explain_case(case(Corner(), X, np.array(["a", "b", "a"])), row=1, method="shapley", budget=70)
    grey = np.array(made.exhibit.picture)
    assert grey.shape == (64, 64)
    assert (grey[:32] == 255).all()
    assert (grey[32:] == 0).all()


def test_a_text_is_shown_word_by_word_and_marks_are_nobodys():
    names = ("[PAD]", "[MASK]", "[CLS]", "good", "bad", "film")
    X = np.array([[2, 3, 5, 0], [2, 4, 5, 3], [2, 5, 0, 0]])
    model = Bag([0.0, 0.0, 7.0, 2.0, -1.0, 0.5])
    made = explain_case(
        case(model, X, np.array(["p", "q", "p"]), kind="text", vocabulary=Vocabulary(names, 0, 1, (2,))), row=1
    )
    assert isinstance(made.exhibit, Tokens)
    assert made.exhibit.tokens == ("[CLS]", "good", "film")
    assert made.exhibit.values == (None, pytest.approx(2.0, abs=1e-6), pytest.approx(0.5, abs=1e-6))
    assert [each.label for each in made.strongest] == ["token 2 = good", "token 3 = film"]
    assert made.base == pytest.approx(7.0)
    assert made.trial is None
    assert made.trial_note == "fewer than three features have no order to test"


def test_a_sequence_is_shown_by_feature_and_time_and_ends_where_it_ends():
    X = RNG.normal(size=(30, 8, 2)).astype(np.float32)
    X[2, 4:] = np.nan
    y = np.where(np.nan_to_num(X)[:, :4, 1].sum(axis=1) > 0, "up", "down")
    made = explain_case(case(Early(), X, y), row=3)
    assert isinstance(made.exhibit, Heat)
    assert made.exhibit.row_labels == ("feature 1", "feature 2")
    first, second = made.exhibit.values
    assert first == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), None, None)
    assert second[2:] == (None, None)
    known = np.where(np.isnan(X), np.nanmean(X, axis=(0, 1)), X)
    due = X[2, :4, 1] - known[:, :4, 1].mean(axis=0)
    assert second[:2] == (pytest.approx(due[:2].sum(), abs=1e-4), pytest.approx(due[2:].sum(), abs=1e-4))


def table(weights, rows=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, len(weights))).astype(np.float32)
    layer = torch.nn.Linear(len(weights), 1)
    with torch.no_grad():
        layer.weight[0] = torch.tensor(weights)
        layer.bias[:] = 0
    return case(layer, X, np.where(X @ np.array(weights) > 0, "b", "a"))


def test_the_order_of_a_linear_models_features_beats_every_random_order():
    made = explain_case(table([4.0, 2.0, 1.0, 0.5, 0.25, 0.1]), row=2)
    assert made.trial.better
    assert made.trial.beaten == 1.0
    assert made.trial.ours < made.trial.chance
    assert made.warnings == ()


def test_an_order_that_tells_nothing_is_not_to_be_relied_on(monkeypatch):
    """The values of a method turned upside down are the worst order there is."""
    from rai import explainers

    honest = explainers.method("shapley")

    def upside_down(question):
        found = honest(question)
        return replace(found, values=-found.values)

    monkeypatch.setattr("rai.explainers.shapley.explain", upside_down)
    made = explain_case(table([4.0, 2.0, 1.0, 0.5, 0.25, 0.1]), row=2)
    assert made.trial.beaten == 0.0
    assert any("did no better than chance" in each for each in made.warnings)
    assert any("do not add up" in each for each in made.warnings)


def test_a_constant_model_has_no_order_to_rely_on():
    made = explain_case(_constant(), row=1)
    assert made.trial.beaten == 0.5
    assert not made.trial.better


def _constant():
    layer = torch.nn.Linear(3, 1)
    torch.nn.init.zeros_(layer.weight)
    X = RNG.normal(size=(20, 3)).astype(np.float32)
    return case(layer, X, np.array(["a", "b"] * 10))


def test_of_several_classes_the_one_chosen_is_explained():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 3)).astype(np.float32)
    layer = torch.nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight[:] = torch.eye(3)
        layer.bias[:] = 0
    y = np.array(["a", "b", "c"])[X.argmax(axis=1)]
    given = Options(head=Head.LOGITS, reference=(X, y))
    made = explain_case(intake.from_objects(layer, X, y, sensitive_features=None, options=given), row=9)
    chosen = int(X[8].argmax())
    assert made.about.decision == "abc"[chosen]
    assert made.scale == f"logit of {'abc'[chosen]}"
    values = [each.value for each in made.contributions]
    assert values[chosen] == pytest.approx(X[8, chosen] - X[:, chosen].mean(), abs=1e-5)
    assert made.full == pytest.approx(X[8, chosen], abs=1e-5)


def test_the_json_says_that_it_holds_one_persons_data_and_no_odd_number():
    text = to_json(explain_case(table([1.0, 2.0, 3.0]), row=1))
    assert text.startswith('{\n "notice": "This page shows one person')
    assert "NaN" not in text
