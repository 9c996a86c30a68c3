"""Gradients of thirteen architectures add up, and the model they were taken from is left as it was."""

import copy

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation
from torch import nn
from torch.nn import functional

from rai.card import Head
from rai.errors import InputError
from rai.explainers import Question, Target, method
from rai.subject import Data, Player, Vocabulary

WORDS = Vocabulary(tuple(map(str, range(30))), pad=0, mask=1, special=(2,))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.last(functional.relu(self.first(x)))


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.relu = nn.ModuleList([nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 2)]), nn.ReLU()

    def forward(self, x):
        return self.layers[2](self.relu(self.layers[1](self.relu(self.layers[0](x)))))


class InPlace(nn.Module):
    """Overwrites even its own input."""

    def __init__(self):
        super().__init__()
        self.relu, self.layers = nn.ReLU(inplace=True), nn.Sequential(nn.Linear(10, 32), nn.ReLU(inplace=True))
        self.middle, self.last = nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x):
        x += 1
        return self.last(functional.relu_(self.middle(self.layers(self.relu(x)))))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell, self.last = kind(4, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, x):
        there = ~x.isnan().all(dim=2)
        states = self.cell(torch.nan_to_num(x))[0]
        return self.last(states[torch.arange(len(x)), there.sum(dim=1) - 1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.place, self.token = nn.Embedding(12, 16), nn.Embedding(30, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 2)

    def forward(self, tokens):
        there = (tokens != 0)[..., None]
        seen = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))
        states = self.encoder(seen, src_key_padding_mask=~there[..., 0])
        return self.last((states * there).sum(dim=1) / there.sum(dim=1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(8 * 36, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        return self.last(self.pool(self.relu(self.second(x) + x)).flatten(1))


def mlp(act, norm=None):
    return nn.Sequential(nn.Linear(10, 32), norm or nn.Identity(), act, nn.Linear(32, 2))


def pooled():
    conv = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*conv, nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 2))


ARCHITECTURES = {
    "relu": ("table", lambda: mlp(nn.ReLU())),
    "silu": ("table", lambda: mlp(nn.SiLU())),
    "gelu": ("table", lambda: mlp(nn.GELU())),
    "layer norm": ("table", lambda: mlp(nn.ReLU(), nn.LayerNorm(32))),
    "group norm": ("table", lambda: mlp(nn.ReLU(), nn.GroupNorm(4, 32))),
    "functional relu": ("table", Functional),
    "reused relu": ("table", Reused),
    "in-place relu": ("table", InPlace),
    "lstm": ("sequence", lambda: Recurrent(nn.LSTM)),
    "gru": ("sequence", lambda: Recurrent(nn.GRU)),
    "transformer": ("text", Encoder),
    "max-pool cnn": ("image", pooled),
    "resnet": ("image", Residual),
}


class Inside:
    """A torch module as a model."""

    head = Head.LOGITS
    trust = "in memory"

    def __init__(self, module):
        self.module = module.eval()

    def scores(self, inputs):
        kind = torch.int64 if inputs.dtype.kind == "i" else torch.float32
        with torch.no_grad():
            return self.module(torch.tensor(inputs, dtype=kind)).numpy()

    def inside(self, procedure, inputs, **arguments):
        return procedure(self.module, inputs, **arguments)


def rows(kind, count, rng):
    """Rows of each kind; sequences and texts of several lengths, texts with a special token in front."""
    shape = {"table": (10,), "image": (1, 12, 12), "sequence": (9, 4), "text": (12,)}[kind]
    if kind == "text":
        tokens = rng.integers(3, 30, size=(count, 12))
        tokens[:, 0] = 2
        return np.where(np.arange(12) < rng.integers(5, 13, size=(count, 1)), tokens, 0)
    inputs = rng.normal(size=(count, *shape)).astype(np.float32)
    if kind == "sequence":
        inputs[np.arange(9) >= rng.integers(4, 10, size=(count, 1))] = np.nan
    return inputs


def cut(kind):
    """Players: inputs one by one, or patches of 3 × 3."""
    if kind == "image":
        places = np.arange(144).reshape(4, 3, 4, 3).transpose(0, 2, 1, 3).reshape(16, 9)
        return tuple(Player(f"patch {each}", tuple(map(int, part))) for each, part in enumerate(places))
    return tuple(Player(f"x{each}", (each,)) for each in range({"table": 10, "sequence": 36, "text": 12}[kind]))


def data(kind, inputs):
    return Data(kind, inputs, inputs.reshape(len(inputs), -1), None, {}, cut(kind), vocabulary=WORDS)


def question(module, kind, rng, *, background=None, **said):
    compared = rows(kind, 12, rng) if background is None else background
    return Question(Inside(module), Target(), data(kind, rows(kind, 5, rng)), data(kind, compared), **said)


@pytest.fixture
def build():
    def made(name):
        torch.manual_seed(7)
        kind, make = ARCHITECTURES[name]
        module = make()
        for each in module.parameters():
            each.data *= 1.5
        return kind, module

    return made


def hooks(module):
    kept = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [len(getattr(each, name)) for each in module.modules() for name in kept]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_integrated_gradients_are_complete_and_leave_the_model_alone(name, build, rng):
    kind, module = build(name)
    asked = question(module, kind, rng)
    twin, before = copy.deepcopy(module), torch.get_rng_state()
    found = method("integrated_gradients")(asked)
    cancelled = np.abs(found.full - found.base) < 0.01 * np.abs(found.values).sum(axis=1)
    assert (found.gap[~cancelled] <= 0.01).all()
    assert cancelled.mean() < 0.3
    apart = found.gap > 0.01
    assert bool(found.note) == bool(apart.any())
    if apart.any():
        missed = np.abs(found.values.sum(axis=1) - (found.full - found.base))[apart].max()
        assert f"for {apart.any(axis=1).sum()} of 5 rows" in found.note
        assert found.note.endswith(f"at most by {missed:.2g}")
    assert found.values.shape == (5, len(asked.data.players), 2)
    for mine, theirs in zip(twin.state_dict().values(), module.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    assert hooks(module) == [0] * len(hooks(module))
    assert all(each.requires_grad and each.grad is None for each in module.parameters())
    assert [repr(each) for each in module.modules()] == [repr(each) for each in twin.modules()]
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["silu", "lstm", "transformer", "resnet"])
def test_integrated_gradients_equal_a_slow_walk(name, build, rng):
    """The mean gradient at 400 places on the way, times the way; tokens by way of their embedding."""
    kind, module = build(name)
    asked = question(module, kind, rng, background=rows(kind, 1, rng) if kind != "sequence" else None)
    found = method("integrated_gradients")(asked).values[2, :, 1]
    row, known = asked.data.inputs[2:3], asked.background.inputs
    if kind == "text":
        masked = np.where(np.isin(row, [0, 2]), row, 1)
        end, start = (module.token(torch.tensor(each)).detach() for each in (row, masked))
        module.token.register_forward_hook(lambda *_: held["now"])
    else:
        filled = np.where(np.isnan(known), np.nanmean(known, axis=(0, 1)), known) if kind == "sequence" else known
        end, start = torch.tensor(row), torch.tensor(filled.mean(axis=0, keepdims=True))
    held, total = {}, torch.zeros_like(end)
    for place in (torch.arange(400) + 0.5) / 400:
        held["now"] = (start + place * (end - start)).requires_grad_()
        score = module(torch.tensor(row) if kind == "text" else held["now"])[0, 1]
        total += torch.autograd.grad(score, held["now"])[0] / 400
    flat = torch.nan_to_num(total * (end - start))
    flat = flat.sum(dim=2) if kind == "text" else flat
    expected = [float(flat.flatten()[list(each.inputs)].sum()) for each in asked.data.players]
    np.testing.assert_allclose(found, expected, atol=2e-2 * np.abs(expected).max())


def test_a_linear_model_has_its_weights_times_the_change(rng):
    linear = nn.Linear(10, 2)
    asked = question(linear, "table", rng)
    change = asked.data.inputs - asked.background.inputs.mean(axis=0)
    expected = change[:, :, None] * linear.weight.detach().numpy().T
    for name in ("integrated_gradients", "occlusion"):
        np.testing.assert_allclose(method(name)(asked).values, expected, atol=1e-5)
    drawn = method("gradient_shap")(asked)
    assert (np.abs(drawn.values - expected) < 5 * drawn.error + 1e-5).all()
    assert (drawn.error > 0).all()


def test_padding_and_special_tokens_have_no_part(build, rng):
    for name in ("lstm", "transformer"):
        kind, module = build(name)
        asked = question(module, kind, rng)
        inputs = asked.data.inputs
        nobody = np.isnan(inputs).reshape(5, -1) if kind == "sequence" else np.isin(inputs, [0, 2])
        for each in ("integrated_gradients", "gradient_shap", "occlusion"):
            found = method(each)(asked).values
            assert (found[nobody] == 0).all()
            assert (np.abs(found[~nobody]) > 0).mean() > 0.9


def test_the_target_is_what_is_explained(build, rng):
    """Two logits: the positive class' log-odds, which are their difference."""
    kind, module = build("gelu")
    asked = question(module, kind, rng)
    both = method("integrated_gradients")(asked).values
    odds = Question(asked.model, Target(Head.LOGITS, 0), asked.data, asked.background)
    found = method("integrated_gradients")(odds)
    np.testing.assert_allclose(found.values, both[:, :, 0] - both[:, :, 1], atol=1e-4)
    assert found.gap.max() < 1e-3


def test_a_budget_that_is_too_small_is_said(build, rng):
    kind, module = build("layer norm")
    found = method("integrated_gradients")(question(module, kind, rng, budget=2))
    assert "rows the values miss the change of the score by more than 1 % of it, at most by" in found.note


@pytest.mark.parametrize("name", ["relu", "lstm", "transformer", "resnet"])
def test_gradient_shap_adds_up_within_its_errors_and_repeats(name, build, rng):
    kind, module = build(name)
    asked = question(module, kind, rng, budget=1000)
    np.random.seed(5)  # noqa: NPY002 - the global generator is what must stay
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    kept = torch.get_rng_state()
    found, again = method("gradient_shap")(asked), method("gradient_shap")(asked)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002 - as above
    assert torch.equal(kept, torch.get_rng_state())
    assert (found.values == again.values).all()
    missed = np.abs(found.values.sum(axis=1) - (found.full - found.base))
    assert (missed < 5 * found.error.sum(axis=1) + 1e-4).all()


def test_errors_of_gradient_shap_are_what_seeds_differ_by(build, rng):
    kind, module = build("relu")
    asked = question(module, kind, rng)
    found = [
        method("gradient_shap")(Question(asked.model, Target(), asked.data, asked.background, seed=seed, budget=100))
        for seed in range(40)
    ]
    spread = np.std([each.values for each in found], axis=0, ddof=1)
    stated = np.sqrt(np.mean([each.error**2 for each in found], axis=0))
    np.testing.assert_allclose(np.median(stated / spread), 1, atol=0.1)


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


def test_grad_cam_lights_up_what_speaks_for_the_class(rng):
    image = np.zeros((1, 1, 12, 12), dtype=np.float32)
    image[0, 0, 7:10, 7:10] = 1
    asked = Question(Inside(Bright()), Target(), data("image", image), data("image", rows("image", 3, rng)))
    other = Question(asked.model, Target(), asked.data, asked.background, options={"layer": "early"})
    for each in (asked, other):
        found = method("grad_cam")(each)
        assert (found.values >= 0).all()
        lit = found.values[0].reshape(4, 4)
        assert lit[2:, 2:].sum() > 0.6 * lit.sum() > 0
        assert "do not add up" in found.note
    assert (method("grad_cam")(asked).values != method("grad_cam")(other).values).any()


@pytest.mark.parametrize("name", ["gelu", "transformer", "max-pool cnn"])
def test_occlusion_equals_captums_feature_ablation(name, build, rng):
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


def test_conductance_of_a_linear_layer_is_known_and_of_a_cut_complete(build, rng):
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


def test_what_cannot_be_done_names_what_can(build, rng):
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
def test_a_model_of_which_only_answers_can_be_seen_is_refused(name, rng):
    class Answers(Inside):
        def inside(self, procedure, inputs, **arguments):
            raise InputError("only its answers can be seen")

    table = data("table", rows("table", 3, rng))
    options = {"layer": "0"} if name == "layer_conductance" else {}
    asked = Question(Answers(nn.Linear(10, 1)), Target(), table, table, options=options)
    with pytest.raises(InputError, match="a PyTorch module; use shapley, shap, lime, lime_fast or occlusion"):
        method(name)(asked)
    left = Question(asked.model, Target(), table, table)
    assert method("occlusion")(left).values.shape == (3, 10)


def test_a_model_without_gradients_is_refused_in_one_line(rng):
    class Hard(nn.Module):
        def forward(self, x):
            return torch.tensor(x.detach().numpy().sum(axis=1, keepdims=True))

    with pytest.raises(InputError, match="gradients cannot be taken through the model"):
        method("integrated_gradients")(question(Hard(), "table", rng))
    with pytest.raises(InputError, match="no nn.Embedding takes the tokens"):
        method("integrated_gradients")(question(nn.Sequential(Hard()), "text", rng))
