import numpy as np
import pandas as pd
import pytest
import torch

import rai
from rai.errors import InputError


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def test_a_linear_model_owes_each_feature_its_weight_times_its_distance_from_the_background():
    layer = torch.nn.Linear(4, 1)
    X, background = rows(5), rows(7, seed=1)
    found = rai.explain(layer, X, reference=background)
    weight = layer.weight.detach().numpy()[0]
    np.testing.assert_allclose(found.values, weight * (X - background.mean(axis=0)), atol=1e-5)
    assert found.players == ("x0", "x1", "x2", "x3")


def test_two_logits_are_explained_as_the_log_odds_of_the_positive_class(network):
    X = rows(6)
    raw = rai.explain(network, X)
    named = rai.explain(network, X, head="logits", classes=("no", "yes"), positive="no")
    assert raw.values.shape == (6, 4, 2)
    assert named.scale == "log-odds of no"
    np.testing.assert_allclose(named.values, raw.values[..., 0] - raw.values[..., 1], atol=1e-6)


def test_cells_of_frames_are_mixed_whatever_they_hold():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", "z"]})
    found = rai.explain(lambda rows: rows["a"] * (rows["b"] == "x"), frame)
    np.testing.assert_allclose(found.base, np.full(4, (1 + 3) / 4))
    np.testing.assert_allclose(found.full, [1, 0, 3, 0])
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)


def test_the_callers_module_stays_as_it_is(network):
    network.train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    rai.explain(network, rows(3))
    assert network.training
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"method": "magic"}, "no method is named 'magic'"),
        ({"head": "tail"}, "head: is 'tail'"),
        ({"head": "logits", "classes": ("a", "b"), "positive": "c"}, "positive: is 'c'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(network, words, message):
    with pytest.raises(InputError) as caught:
        rai.explain(network, rows(2), **words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_joined_into_one_feature_play_as_one():
    """Of a product each factor owes half of what both owe together (with a background of zeros)."""
    X = np.array([[2.0, 3.0, 5.0]])

    def score(rows):
        return rows[:, 0] * rows[:, 1] + rows[:, 2]

    apart = rai.explain(score, X, reference=np.zeros((1, 3)))
    joined = rai.explain(score, X, reference=np.zeros((1, 3)), players={"area": ["x0", "x1"]})
    np.testing.assert_allclose(apart.values, [[3.0, 3.0, 5.0]])
    np.testing.assert_allclose(joined.values, [[6.0, 5.0]])
    assert joined.players == ("area", "x2")


@pytest.mark.parametrize(
    ("players", "message"),
    [
        ({"a": ["x9"]}, "players: 'x9' is no column"),
        ({"a": ["x0"], "b": ["x0", "x1"]}, "players: 'x0' is in two groups"),
    ],
)
def test_a_group_of_columns_that_cannot_be_is_one_line(network, players, message):
    with pytest.raises(InputError) as caught:
        rai.explain(network, rows(2), players=players)
    assert message in str(caught.value)


def test_texts_are_told_by_their_kind_and_images_by_their_shape():
    embedding = torch.nn.EmbeddingBag.from_pretrained(torch.tensor([[0.0], [2.0], [-1.0]]), mode="sum")
    found = rai.explain(embedding, np.array([[1, 2, 0], [2, 2, 1]]), kind="text", vocabulary=("[PAD]", "good", "bad"))
    np.testing.assert_allclose(found.values, [[2.0, -1.0, 0.0], [-1.0, -1.0, 2.0]], atol=1e-6)
    images = np.zeros((2, 1, 4, 4), dtype=np.float32)
    images[0, 0, 1, 2] = 5.0
    pixels = rai.explain(torch.nn.Flatten(), images, reference=np.zeros((1, 1, 4, 4), dtype=np.float32))
    assert pixels.players[6] == "row 2, column 3"
    np.testing.assert_allclose(pixels.values[0, 6, 6], 5.0, atol=1e-5)
