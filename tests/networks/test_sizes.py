"""What holds for every architecture: it is counted before it is built, and built alike on a device without memory."""

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.card import Network
from rai.errors import InputError
from rai.networks import KINDS, build

WIDTH = st.integers(1, 9)
STAGES = st.lists(WIDTH, min_size=1, max_size=3)
ARGUMENTS = {
    "mlp": {"inputs": WIDTH, "outputs": WIDTH, "hidden": st.lists(WIDTH, max_size=2)},
    "cnn": {
        "inputs": WIDTH,
        "outputs": WIDTH,
        "size": st.tuples(st.integers(8, 20), st.integers(8, 20)),
        "channels": STAGES,
        "kernel": st.sampled_from([1, 3, 5]),
        "norm": st.sampled_from(["none", "batch", "group"]),
        "hidden": st.lists(WIDTH, max_size=2),
        "global_average": st.booleans(),
    },
    "resnet": {
        "inputs": WIDTH,
        "outputs": WIDTH,
        "channels": STAGES,
        "blocks": st.integers(1, 3),
        "norm": st.sampled_from(["batch", "group"]),
    },
    "recurrent": {
        "inputs": WIDTH,
        "outputs": WIDTH,
        "kind": st.sampled_from(["rnn", "lstm", "gru"]),
        "hidden": WIDTH,
        "layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
    },
    "transformer": {
        "vocabulary": WIDTH,
        "outputs": WIDTH,
        "width": st.sampled_from([4, 8, 12]),
        "heads": st.sampled_from([1, 2, 4]),
        "layers": st.integers(1, 3),
        "feedforward": WIDTH,
        "length": WIDTH,
        "positions": st.sampled_from(["learned", "sinusoidal"]),
    },
}
NETWORKS = st.one_of(*(st.builds(Network, st.just(kind), st.fixed_dictionaries(ARGUMENTS[kind])) for kind in ARGUMENTS))


def test_every_architecture_is_tried_here() -> None:
    made_of_parts = {"mixture", "adjusted", "thresholded"}
    assert set(ARGUMENTS) == set(KINDS) - made_of_parts


@settings(max_examples=200, deadline=None)
@given(NETWORKS)
def test_the_count_made_before_building_is_an_upper_bound_and_a_close_one(network: Network) -> None:
    counted: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module(f"rai.networks.{network.kind}"), "require_total", counted.append)
        built = build(network)
    held = sum(each.numel() for each in built.parameters())
    assert held <= counted[0] <= 3 * held + 100


@settings(max_examples=40, deadline=None)
@given(NETWORKS)
def test_names_and_shapes_are_the_same_without_memory_and_the_tensors_load(network: Network) -> None:
    with torch.device("meta"):
        wanted = {name: each.shape for name, each in build(network).state_dict().items()}
    built, other = build(network).eval(), build(network).eval()
    state = built.state_dict()
    assert {name: each.shape for name, each in state.items()} == wanted
    other.load_state_dict(state, strict=True)
    with torch.no_grad():
        given_rows = rows_for(network)
        assert torch.equal(built(given_rows), other(given_rows))
        assert torch.equal(built(given_rows), built(given_rows))


def rows_for(network: Network) -> torch.Tensor:
    known = network.arguments
    match network.kind:
        case "cnn" | "resnet":
            return torch.randn(3, known["inputs"], *known.get("size", (9, 8)))
        case "recurrent":
            return torch.randn(3, 5, known["inputs"])
        case "transformer":
            return torch.randint(0, known["vocabulary"], (3, known["length"]))
    return torch.randn(3, known["inputs"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cnn", {"inputs": 1, "outputs": 1, "size": (2**20, 2**20), "channels": (4,)}),
        ("cnn", {"inputs": 1, "outputs": 1, "size": (8, 8), "channels": (2**15, 2**15)}),
        ("resnet", {"inputs": 1, "outputs": 1, "channels": (2**12,), "blocks": 100}),
        ("recurrent", {"inputs": 1, "outputs": 1, "hidden": 2**15}),
        ("recurrent", {"inputs": 1, "outputs": 1, "hidden": 2**10, "layers": 1000}),
        ("transformer", {"vocabulary": 2**25, "outputs": 1, "width": 64}),
        ("transformer", {"inputs": 1, "outputs": 1, "width": 2**15}),
        ("transformer", {"inputs": 1, "outputs": 1, "length": 2**30, "positions": "sinusoidal"}),
    ],
)
def test_a_giant_is_refused_before_it_is_allocated(kind: str, words: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Linear", "Conv2d", "Embedding", "LSTM", "TransformerEncoderLayer"):
        monkeypatch.setattr(torch.nn, name, lambda *_, **__: pytest.fail("allocated"))
    with pytest.raises(InputError, match="parameters"):
        build(Network(kind, words))
