"""Weights of rows, against a table worked out by hand and the property they are made for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.errors import InputError
from rai.train import Fit
from rai.train.batches import Rows
from rai.train.fair import fit_fair
from rai.train.fair.reweighing import weights_of


def test_the_weights_are_those_of_the_table():
    """Kamiran & Calders: 10 people, 5 women of whom 2 were hired, 5 men of whom 4 were."""
    cells = torch.tensor([0] * 5 + [1] * 5)
    labels = torch.tensor([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    assert weights_of(cells, labels).tolist() == [
        pytest.approx([0.5 * 0.4 / 0.3, 0.5 * 0.6 / 0.2]),
        pytest.approx([0.5 * 0.4 / 0.1, 0.5 * 0.6 / 0.4]),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2)), min_size=1).filter(lambda x: max(x)[0] >= 0))
def test_weighted_labels_do_not_depend_on_the_group(pairs):
    cells, labels = torch.tensor(pairs).T
    weights = weights_of(cells, labels)
    counts = torch.zeros(weights.shape, dtype=torch.float64)
    for cell, label in pairs:
        if cell >= 0:
            counts[cell, label] += 1
    if bool((counts > 0).all()):
        shares = (weights * counts) / (weights * counts).sum(dim=1, keepdim=True)
        assert torch.allclose(shares, shares[:1].expand_as(shares))
        assert float((weights * counts).sum()) == pytest.approx(float(counts.sum()))


def trained(codes, targets, strength):
    """The share of yes that a network without inputs of any use ends with, group by group."""
    inputs = torch.nn.functional.one_hot(codes.clamp_min(0), 2).float()
    rows = Rows(inputs, targets, "binary")
    fit = Fit(epochs=150, batch_size=100, learning_rate=0.1, validation=0.0)
    who = torch.where(codes < 0, torch.nan, codes.double())
    found = fit_fair(
        torch.nn.Linear(2, 1, bias=False), rows, sensitive=who, method="reweighing", strength=strength, settings=fit
    )
    return torch.sigmoid(found.model(torch.eye(2))).flatten().tolist()


def test_a_model_that_sees_the_group_alone_gives_both_the_same_once_reweighed():
    codes = torch.tensor([0] * 50 + [1] * 50)
    targets = torch.tensor(([1] * 10 + [0] * 40) + ([1] * 30 + [0] * 20)).float()
    assert trained(codes, targets, 0.0) == pytest.approx([0.2, 0.6], abs=0.01)
    assert trained(codes, targets, 1.0) == pytest.approx([0.4, 0.4], abs=0.01)
    half = trained(codes, targets, 0.5)
    assert 0.2 < half[0] < 0.4 < half[1] < 0.6


def test_rows_of_an_unknown_group_weigh_one():
    codes = torch.tensor([0] * 50 + [1] * 50 + [-1] * 50)
    targets = torch.tensor(([1] * 10 + [0] * 40) + ([1] * 30 + [0] * 20) + [1] * 50).float()
    mixed = trained(codes, targets, 1.0)
    assert mixed == pytest.approx([(20 + 50) / 100, 0.4], abs=0.01)


def test_regression_is_refused():
    rows = Rows(torch.zeros(20, 2), torch.arange(20.0), "regression")
    with pytest.raises(InputError, match=r"fair\.method: is 'reweighing', and the task is regression"):
        fit_fair(torch.nn.Linear(2, 1), rows, sensitive=[0, 1] * 10, method="reweighing")
