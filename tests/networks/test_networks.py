from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.networks import KINDS, build
from rai.networks.mlp import ACTIVATIONS, mlp

BASE = {"inputs": 3, "outputs": 2}


def slow_mlp(network: nn.Sequential, row: list[float]) -> list[float]:
    """A twin that adds and multiplies one number at a time; ReLU between layers."""
    linear = [each for each in network if isinstance(each, nn.Linear)]
    for position, layer in enumerate(linear):
        weight, bias = layer.weight.tolist(), layer.bias.tolist()
        row = [sum(w * x for w, x in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)]
        if position < len(linear) - 1:
            row = [max(0.0, value) for value in row]
    return row


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.lists(st.integers(1, 6), max_size=3), st.integers(0, 2**31))
def test_an_mlp_is_what_its_definition_says(inputs: int, outputs: int, hidden: list[int], seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = mlp(inputs=inputs, outputs=outputs, hidden=hidden).eval()
        rows = torch.randn(4, inputs)
    with torch.no_grad():
        fast = network(rows)
    slow = torch.tensor([slow_mlp(network, row) for row in rows.tolist()])
    assert fast.shape == (4, outputs)
    assert torch.allclose(fast, slow, atol=1e-5)


def test_layers_come_in_the_order_the_docstring_says() -> None:
    network = mlp(inputs=3, outputs=1, hidden=(5, 4), activation="tanh", dropout=0.1, norm="batch")
    kinds = [type(each).__name__ for each in network]
    block = ["Linear", "BatchNorm1d", "Tanh", "Dropout"]
    assert kinds == [*block, *block, "Linear"]
    assert [(each.in_features, each.out_features) for each in network if isinstance(each, nn.Linear)] == list(
        pairwise((3, 5, 4, 1))
    )
    assert isinstance(mlp(inputs=3, outputs=1, norm="layer")[1], nn.LayerNorm)
    late = mlp(inputs=3, outputs=1, dropout=0.1, norm="batch", norm_place="after")
    assert [type(each).__name__ for each in late] == ["Linear", "ReLU", "Dropout", "BatchNorm1d", "Linear"]
    assert set(mlp(inputs=3, outputs=1, bias=False).state_dict()) == {"0.weight", "2.weight"}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_bends_as_torch_does(name: str) -> None:
    network = mlp(inputs=2, outputs=1, hidden=(3,), activation=name)
    reference = getattr(nn.functional, name if name not in {"tanh", "sigmoid"} else "relu")
    reference = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}.get(name, reference)
    rows = torch.linspace(-2, 2, 8).reshape(4, 2)
    assert torch.equal(network(rows), network[2](reference(network[0](rows))))


def test_build_makes_what_the_card_names() -> None:
    network = build(Network("mlp", {"inputs": 7, "outputs": 1, "hidden": (4,)}))
    assert {name: tuple(each.shape) for name, each in network.state_dict().items()} == {
        "0.weight": (4, 7),
        "0.bias": (4,),
        "2.weight": (1, 4),
        "2.bias": (1,),
    }


@pytest.mark.parametrize(
    ("network", "key"),
    [
        (Network("cnm", BASE), "network.kind"),
        (Network("mlp", {"inputs": 3}), "network.arguments.outputs"),
        (Network("mlp", {**BASE, "depth": 3}), "network.arguments.depth"),
        (Network("mlp", {**BASE, "inputs": 0}), "network.arguments.inputs"),
        (Network("mlp", {**BASE, "inputs": True}), "network.arguments.inputs"),
        (Network("mlp", {**BASE, "inputs": 3.0}), "network.arguments.inputs"),
        (Network("mlp", {**BASE, "outputs": -1}), "network.arguments.outputs"),
        (Network("mlp", {**BASE, "hidden": "64"}), "network.arguments.hidden"),
        (Network("mlp", {**BASE, "hidden": 64}), "network.arguments.hidden"),
        (Network("mlp", {**BASE, "hidden": (64, 0)}), "network.arguments.hidden"),
        (Network("mlp", {**BASE, "hidden": (2**40,)}), "network.arguments.hidden"),
        (Network("mlp", {**BASE, "activation": "swish"}), "network.arguments.activation"),
        (Network("mlp", {**BASE, "activation": 3}), "network.arguments.activation"),
        (Network("mlp", {**BASE, "norm": "group"}), "network.arguments.norm"),
        (Network("mlp", {**BASE, "norm_place": "between"}), "network.arguments.norm_place"),
        (Network("mlp", {**BASE, "bias": 1}), "network.arguments.bias"),
        (Network("mlp", {**BASE, "dropout": 1.0}), "network.arguments.dropout"),
        (Network("mlp", {**BASE, "dropout": float("nan")}), "network.arguments.dropout"),
        (Network("mlp", {**BASE, "dropout": "a"}), "network.arguments.dropout"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(network: Network, key: str) -> None:
    with pytest.raises(InputError) as caught:
        build(network)
    assert str(caught.value).startswith(f"{key}: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'mlp'"):
        build(Network("transformer9"))
    assert set(KINDS) == {
        *("mlp", "cnn", "resnet", "recurrent", "transformer"),
        *("mixture", "adjusted", "thresholded"),
    }


def test_a_giant_is_refused_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn, "Linear", lambda *_: pytest.fail("allocated"))
    with pytest.raises(InputError, match="parameters"):
        mlp(inputs=2**20, outputs=2**20, hidden=())
    with pytest.raises(InputError, match="parameters"):
        mlp(inputs=10, outputs=1, hidden=(2**20, 2**20))
