"""Grad-CAM, occlusion and conductance show what is known of a model; what cannot be done names what can."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation
from torch import nn
from torch.nn import functional

from rai.errors import InputError
from rai.explainers import Question, Target, method


class Bright(nn.Module):
    """The score is the brightness of the lower right, minus that of the upper left."""

    def __init__(self):
        super().__init__()
        self.early, self.late = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
        for each in (self.early, self.late):
            nn.init.ones_(each.weight)
            nn.init.zeros_(each.bias)

    def forward(self, x):
        seen = functional.relu(self.late(functional.avg_pool2d(functional.relu(self.early(x)), 3)))
        return (seen[:, :, 2:, 2:].sum(dim=(1, 2, 3)) - seen[:, :, :2, :2].sum(dim=(1, 2, 3)))[:, None]


def test_grad_cam_lights_up_what_speaks_for_the_class(rng, rows, data, inside):
    image = np.zeros((1, 1, 12, 12), dtype=np.float32)
    image[0, 0, 7:10, 7:10] = 1
    asked = Question(inside(Bright()), Target(), data("image", image), data("image", rows("image", 3, rng)))
    other = Question(asked.model, Target(), asked.data, asked.background, options={"layer": "early"})
    for each in (asked, other):
        found = method("grad_cam")(each)
        assert (found.values >= 0).all()
        lit = found.values[0].reshape(4, 4)
        assert lit[2:, 2:].sum() > 0.6 * lit.sum() > 0
        assert "do not add up" in found.note
    assert (method("grad_cam")(asked).values != method("grad_cam")(other).values).any()


@pytest.mark.parametrize("name", ["gelu", "transformer", "max-pool cnn"])
def test_occlusion_equals_captums_feature_ablation(name, build, rng, rows, question):
    kind, module = build(name)
    asked = question(module, kind, rng, background=rows(kind, 1, rng))
    if kind == "text":
        own = asked.data.inputs
        start = np.where(np.isin(own, [0, 2]), own, 1)
    else:
        start = np.repeat(asked.background.inputs, 5, axis=0)
    mask = np.zeros(asked.data.inputs[0].size, dtype=int)
    for place, player in enumerate(asked.data.players):
        mask[list(player.inputs)] = place
    theirs = FeatureAblation(lambda x: module(x).detach()).attribute(
        torch.tensor(asked.data.inputs),
        torch.tensor(start),
        target=1,
        feature_mask=torch.tensor(mask.reshape(1, *asked.data.inputs.shape[1:])),
    )
    first = [player.inputs[0] for player in asked.data.players]
    expected = theirs.reshape(5, -1)[:, first].numpy()
    np.testing.assert_allclose(method("occlusion")(asked).values[:, :, 1], expected, atol=1e-5)


def test_conductance_of_a_linear_layer_is_known_and_of_a_cut_complete(build, rng, question):
    twice = nn.Sequential(nn.Linear(10, 6), nn.Linear(6, 2))
    asked = question(twice, "table", rng, options={"layer": "0"})
    found = method("layer_conductance")(asked)
    change = torch.tensor(asked.data.inputs - asked.background.inputs.mean(axis=0)) @ twice[0].weight.T
    expected = change[:, :, None] * twice[1].weight.T
    np.testing.assert_allclose(found.values, expected.detach().numpy(), atol=1e-4)
    assert found.players == tuple(f"unit {each}" for each in range(1, 7))
    for name, layer, units in (("silu", "2", 32), ("transformer", "encoder.layers.0", 16), ("max-pool cnn", "3", 8)):
        kind, module = build(name)
        found = method("layer_conductance")(question(module, kind, rng, options={"layer": layer}))
        assert len(found.players) == units
        assert np.median(found.gap) <= 0.01


def test_what_cannot_be_done_names_what_can(build, rng, question):
    kind, module = build("lstm")
    asked = question(module, kind, rng)
    answers = {"grad_cam": "explains images, this is a sequence; use integrated_gradients", "layer_conductance": "name"}
    for name, words in answers.items():
        with pytest.raises(InputError, match=words):
            method(name)(asked)
    for layer, words in {
        "cell": "more than one tensor",
        "lost": "no layer is named 'lost'; expected one of cell",
    }.items():
        with pytest.raises(InputError, match=words):
            method("layer_conductance")(question(module, kind, rng, options={"layer": layer}))
    with pytest.raises(InputError, match="no nn.Conv2d layer"):
        method("grad_cam")(question(nn.Sequential(nn.Flatten(), nn.Linear(144, 2)), "image", rng))


@pytest.mark.parametrize("name", ["integrated_gradients", "gradient_shap", "layer_conductance"])
def test_a_model_of_which_only_answers_can_be_seen_is_refused(name, rng, rows, data, inside):
    class Answers(inside):
        def inside(self, procedure, inputs, **arguments):
            raise InputError("only its answers can be seen")

    table = data("table", rows("table", 3, rng))
    options = {"layer": "0"} if name == "layer_conductance" else {}
    asked = Question(Answers(nn.Linear(10, 1)), Target(), table, table, options=options)
    with pytest.raises(InputError, match="a PyTorch module; use shapley, shap, lime, lime_fast or occlusion"):
        method(name)(asked)
    left = Question(asked.model, Target(), table, table)
    assert method("occlusion")(left).values.shape == (3, 10)


def test_a_model_without_gradients_is_refused_in_one_line(rng, question):
    class Hard(nn.Module):
        def forward(self, x):
            return torch.tensor(x.detach().numpy().sum(axis=1, keepdims=True))

    with pytest.raises(InputError, match="gradients cannot be taken through the model"):
        method("integrated_gradients")(question(Hard(), "table", rng))
    with pytest.raises(InputError, match="no nn.Embedding takes the tokens"):
        method("integrated_gradients")(question(nn.Sequential(Hard()), "text", rng))
