"""Networks that hold another one and move where it says yes: the rule they keep, and files of bare tensors."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rai.card import Card, Head, Network
from rai.errors import InputError
from rai.models import load
from rai.networks import build

SEEDS = st.integers(0, 2**31)
ROWS = 40


def network(classes: int = 2, outputs: int = 1, many: int = 3, **also: Any) -> Network:
    parts = {
        "base": Network("mlp", {"inputs": 4, "outputs": outputs, "hidden": (5,)}),
        "groups": Network("mlp", {"inputs": 4, "outputs": classes * many, "hidden": (6,)}),
    }
    return Network("adjusted", {"combinations": many, "classes": classes, **also}, parts)


def by_group(levels: tuple[int, ...] = (2, 3), outputs: int = 1, **also: Any) -> Network:
    parts = {"base": Network("mlp", {"inputs": 4, "outputs": outputs, "hidden": (5,)})}
    return Network("thresholded", {"levels": levels, **also}, parts)


def made(card: Network, seed: int = 0, scale: float = 0.1) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(card).double().eval()
        for name in ("weights", "costs"):
            if hasattr(module, name):
                getattr(module, name).normal_(std=scale)
    return module


def rows(seed: int = 0, width: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(ROWS, width)) * 2)


def answers(module: nn.Module, given: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = module(given)
    return found


def slow_costs(module: nn.Module, row: Tensor, chances: list[float], flattening: float) -> list[float]:
    """A twin that adds one number at a time."""
    decisions, classes, many = module.weights.shape
    logits = answers(module.groups, row[None])[0].reshape(classes, many) / flattening
    costs = [0.0] * decisions
    for y in range(classes):
        powers = [math.exp(each) for each in logits[y].tolist()]
        for k in range(many):
            for d in range(decisions):
                costs[d] += chances[y] * powers[k] / sum(powers) * float(module.weights[d, y, k])
    return costs


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([0.2, 0.5, 0.7]), st.sampled_from([1.0, 2.0]), st.sampled_from([1, 2]))
def test_yes_is_said_exactly_where_the_chance_reaches_threshold_and_cost(
    seed: int, threshold: float, flattening: float, outputs: int
) -> None:
    head = "logit" if outputs == 1 else "logits"
    module = made(network(outputs=outputs, head=head, threshold=threshold, flattening=flattening), seed)
    inputs = rows(seed)
    base, found = answers(module.base, inputs), answers(module, inputs)
    odds = found[:, 0] if outputs == 1 else found[:, 1] - found[:, 0]
    before = base[:, 0] if outputs == 1 else base[:, 1] - base[:, 0]
    for row, was, now in zip(inputs, before.tolist(), odds.tolist(), strict=True):
        chance = 1 / (1 + math.exp(-was))
        left = chance - threshold - slow_costs(module, row, [1 - chance, chance], flattening)[0]
        if abs(left) > 1e-9:
            assert (1 / (1 + math.exp(-now)) >= threshold) == (left > 0)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_of_several_classes_the_one_is_said_whose_chance_less_its_cost_is_largest(seed: int) -> None:
    module = made(network(classes=3, outputs=3, head="logits"), seed)
    inputs = rows(seed)
    base, found = answers(module.base, inputs).softmax(dim=1), answers(module, inputs)
    for row, chances, now in zip(inputs, base.tolist(), found.tolist(), strict=True):
        costs = slow_costs(module, row, chances, 1.0)
        left = [chance - cost for chance, cost in zip(chances, costs, strict=True)]
        if max(left) - sorted(left)[-2] > 1e-9:
            assert int(np.argmax(now)) == int(np.argmax(left))


@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize(("head", "outputs"), [("logit", 1), ("logits", 2)])
def test_without_weights_the_base_answers_to_the_last_bit(head: str, outputs: int, threshold: float) -> None:
    inputs = rows().float()
    wide = torch.cat([inputs, torch.eye(2)[torch.arange(ROWS) % 2], torch.eye(3)[torch.arange(ROWS) % 3]], dim=1)
    for card, handed in ((network(outputs=outputs, head=head, threshold=threshold), inputs), (by_group(), wide)):
        module = build(card).eval()
        assert torch.equal(answers(module, handed), answers(module.base, inputs))
    several = build(network(classes=3, outputs=3, head="logits")).eval()
    assert torch.equal(answers(several, inputs).argmax(1), answers(several.base, inputs).argmax(1))


@pytest.mark.parametrize(("head", "outputs"), [("probability", 1), ("probabilities", 2)])
def test_a_base_that_gives_probabilities_is_read_as_one(head: str, outputs: int) -> None:
    module = made(network(outputs=outputs, head=head))
    ending: nn.Module = nn.Sigmoid() if outputs == 1 else nn.Softmax(dim=1)
    plain = made(network(outputs=outputs, head="logit" if outputs == 1 else "logits"))
    module.base.append(ending)
    found, wanted = answers(module, rows()), answers(plain, rows())
    assert torch.allclose(found.diff(dim=1) if outputs == 2 else found, wanted.diff(dim=1) if outputs == 2 else wanted)


def test_the_answer_moves_smoothly_and_the_way_to_it_can_be_followed_back() -> None:
    module, inputs = made(network(), scale=0.2), rows().requires_grad_()
    assert torch.autograd.gradcheck(module, (inputs[:5],))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([0.3, 0.5]))
def test_each_group_has_a_threshold_of_its_own_and_who_is_unknown_the_base_s(seed: int, threshold: float) -> None:
    module, inputs = made(by_group(threshold=threshold), seed), rows(seed)
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-1, 2, ROWS), rng.integers(-1, 3, ROWS)
    told = np.concatenate([first[:, None] == np.arange(2), second[:, None] == np.arange(3)], axis=1)
    found = answers(module, torch.cat([inputs, torch.from_numpy(told * 1.0)], dim=1))[:, 0].sigmoid()
    chances = answers(module.base, inputs).sigmoid()[:, 0]
    for chance, now, a, b in zip(chances, found, first, second, strict=True):
        cost = float(module.costs[a, b]) if min(a, b) >= 0 else 0.0
        if abs(float(chance) - threshold - cost) > 1e-9:
            assert (float(now) >= threshold) == (float(chance) >= threshold + cost)


@pytest.mark.parametrize(
    ("card", "outputs", "width"),
    [
        (network(), 1, 4),
        (network(outputs=2, head="logits", threshold=0.3, flattening=2.0), 2, 4),
        (network(classes=3, outputs=3, head="logits"), 3, 4),
        (by_group(), 1, 9),
    ],
)
def test_a_file_of_bare_tensors_answers_as_the_module_in_memory(
    tmp_path: Path, card: Network, outputs: int, width: int
) -> None:
    module = made(card).float()
    torch.save(module.state_dict(), tmp_path / "model.pt")
    classes = tuple("abc"[: max(2, outputs)])
    head = Head.LOGIT if outputs == 1 else Head.LOGITS
    kind = "multiclass" if outputs == 3 else "binary"
    inputs = rows(1, width).float()
    loaded = load(tmp_path / "model.pt", Card(kind, classes=classes, head=head, network=card), inputs.numpy())
    assert loaded.model.trust == "data only"
    assert np.abs(loaded.model.scores(inputs.numpy()) - answers(module, inputs).numpy()).max() <= 1e-7


def nested(deep: int) -> Network:
    found = Network("mlp", {"inputs": 4, "outputs": 1})
    for _ in range(deep):
        parts = {"base": found, "groups": Network("mlp", {"inputs": 4, "outputs": 4})}
        found = Network("adjusted", {"combinations": 2}, parts)
    return found


INNER = {"base": Network("mlp", {"inputs": 4, "outputs": 1}), "groups": Network("mlp", {"inputs": 4, "outputs": 6})}


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (nested(4), "network.parts: are nested more than 3 deep"),
        (Network("adjusted", {"combinations": 3}, {**INNER, "other": INNER["base"]}), "network.parts.other"),
        (Network("adjusted", {"combinations": 3}, {"base": INNER["base"]}), "network.arguments.groups: is missing"),
        (Network("adjusted", {"combinations": 3, "base": "x"}, {"groups": INNER["groups"]}), "network.parts.base"),
        (Network("adjusted", {"combinations": 3, "base": "x"}, INNER), "network.parts.base"),
        (Network("adjusted", {"combinations": 3}, {**INNER, "head": INNER["base"]}), "network.arguments.head"),
        (Network("mlp", {"outputs": 1}, {"inputs": INNER["base"]}), "network.arguments.inputs"),
        (network(head="value"), "network.arguments.head"),
        (network(threshold=1.0), "network.arguments.threshold"),
        (network(flattening=math.nan), "network.arguments.flattening"),
        (network(classes=3), "network.arguments.classes"),
        (network(classes=1), "network.arguments.classes"),
        (network(many=100_000), "network.arguments.combinations"),
        (by_group(levels=()), "network.arguments.levels"),
        (by_group(levels=(1000, 1000)), "network.arguments.levels"),
    ],
)
def test_what_makes_no_sense_is_one_line(card: Network, words: str) -> None:
    with pytest.raises(InputError, match="^[^\n]*$") as caught:
        build(card)
    assert str(caught.value).startswith(words)


def test_groups_that_give_another_number_of_outputs_are_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    parts = {**INNER, "groups": Network("mlp", {"inputs": 4, "outputs": 12})}
    card = Network("adjusted", {"combinations": 3}, parts)
    torch.save(build(card).state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="^[^\n]*$"):
        load(tmp_path / "model.pt", Card("binary", classes=("a", "b"), network=card), rows().float().numpy())
