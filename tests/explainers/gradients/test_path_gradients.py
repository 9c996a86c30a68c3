"""Integrated gradients and gradient SHAP of thirteen architectures add up, and the model is left as it was."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Head
from rai.explainers import Question, Target, method


def hooks(module):
    kept = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [len(getattr(each, name)) for each in module.modules() for name in kept]


def test_integrated_gradients_are_complete_and_leave_the_model_alone(name, build, rng, question):
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
def test_integrated_gradients_equal_a_slow_walk(name, build, rng, rows, question):
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


def test_a_linear_model_has_its_weights_times_the_change(rng, question):
    linear = nn.Linear(10, 2)
    asked = question(linear, "table", rng)
    change = asked.data.inputs - asked.background.inputs.mean(axis=0)
    expected = change[:, :, None] * linear.weight.detach().numpy().T
    for name in ("integrated_gradients", "occlusion"):
        np.testing.assert_allclose(method(name)(asked).values, expected, atol=1e-5)
    drawn = method("gradient_shap")(asked)
    assert (np.abs(drawn.values - expected) < 5 * drawn.error + 1e-5).all()
    assert (drawn.error > 0).all()


def test_padding_and_special_tokens_have_no_part(build, rng, question):
    for name in ("lstm", "transformer"):
        kind, module = build(name)
        asked = question(module, kind, rng)
        inputs = asked.data.inputs
        nobody = np.isnan(inputs).reshape(5, -1) if kind == "sequence" else np.isin(inputs, [0, 2])
        for each in ("integrated_gradients", "gradient_shap", "occlusion"):
            found = method(each)(asked).values
            assert (found[nobody] == 0).all()
            assert (np.abs(found[~nobody]) > 0).mean() > 0.9


def test_the_target_is_what_is_explained(build, rng, question):
    """Two logits: the positive class' log-odds, which are their difference."""
    kind, module = build("gelu")
    asked = question(module, kind, rng)
    both = method("integrated_gradients")(asked).values
    odds = Question(asked.model, Target(Head.LOGITS, 0), asked.data, asked.background)
    found = method("integrated_gradients")(odds)
    np.testing.assert_allclose(found.values, both[:, :, 0] - both[:, :, 1], atol=1e-4)
    assert found.gap.max() < 1e-3


def test_a_budget_that_is_too_small_is_said(build, rng, question):
    kind, module = build("layer norm")
    found = method("integrated_gradients")(question(module, kind, rng, budget=2))
    assert "rows the values miss the change of the score by more than 1 % of it, at most by" in found.note


@pytest.mark.parametrize("name", ["relu", "lstm", "transformer", "resnet"])
def test_gradient_shap_adds_up_within_its_errors_and_repeats(name, build, rng, question):
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


def test_errors_of_gradient_shap_are_what_seeds_differ_by(build, rng, question):
    kind, module = build("relu")
    asked = question(module, kind, rng)
    found = [
        method("gradient_shap")(Question(asked.model, Target(), asked.data, asked.background, seed=seed, budget=100))
        for seed in range(40)
    ]
    spread = np.std([each.values for each in found], axis=0, ddof=1)
    stated = np.sqrt(np.mean([each.error**2 for each in found], axis=0))
    np.testing.assert_allclose(np.median(stated / spread), 1, atol=0.1)
