"""Looks into a network: planted flaws are named with their layer, sound networks are not, and nothing is touched."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rai.card import Network
from rai.networks import build
from rai.train.looks import Norm, Observed, observed, warnings_of


def deep(bend: type[nn.Module], layers: int = 30, gain: float | None = None, width: int = 32) -> nn.Sequential:
    """Layers of weighted sums and bends; with `gain`, weights are normal with deviation gain / sqrt(width)."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(width, width), bend()]
    net = nn.Sequential(*parts, nn.Linear(width, 1))
    for each in net if gain else ():
        if isinstance(each, nn.Linear):
            nn.init.normal_(each.weight, std=gain / width**0.5)  # type: ignore[operator]
            nn.init.zeros_(each.bias)
    return net


def rows(count: int = 64, width: int = 32) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(7))


def warned(net: nn.Module, inputs: Tensor) -> tuple[str, ...]:
    return warnings_of([observed(net, inputs)])


def test_thirty_sigmoid_layers_are_named_as_vanishing_the_first_of_them_first() -> None:
    (line,) = warned(deep(nn.Sigmoid), rows())
    assert line.startswith("gradients vanish in '0', '2', '4' and ")
    assert line.endswith("first seen in epoch 0")


def test_thirty_relu_layers_with_weights_of_he_raise_no_alarm() -> None:
    assert warned(deep(nn.ReLU, gain=2**0.5), rows()) == ()


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (Network("mlp", {"inputs": 32, "outputs": 3, "hidden": (64, 64), "norm": "batch", "dropout": 0.5}), rows()),
        (Network("mlp", {"inputs": 32, "outputs": 1, "activation": "sigmoid"}), rows()),
        (Network("cnn", {"inputs": 1, "outputs": 3, "size": (16, 16)}), rows(8, 256).reshape(8, 1, 16, 16)),
        (Network("resnet", {"inputs": 1, "outputs": 3}), rows(8, 256).reshape(8, 1, 16, 16)),
        (Network("recurrent", {"inputs": 4, "outputs": 1}), rows(16, 80).reshape(16, 20, 4)),
    ],
    ids=lambda each: each.kind if isinstance(each, Network) else "",
)
def test_our_networks_with_fresh_weights_raise_no_alarm(network: Network, inputs: Tensor) -> None:
    torch.manual_seed(0)
    assert warned(build(network), inputs) == ()


def test_a_network_whose_weights_are_thrice_too_large_explodes_by_name() -> None:
    lines = warned(deep(nn.ReLU, gain=3.0), rows())
    assert len(lines) == 1
    assert lines[0].startswith("gradients explode in '")


def test_gradients_that_are_no_numbers_are_named() -> None:
    lines = warned(deep(nn.ReLU, gain=1e6), rows())
    assert any(line.startswith("gradients explode in '") and "at worst inf times" in line for line in lines)


def test_a_layer_with_bias_minus_100_is_dead_and_what_lies_before_it_learns_nothing() -> None:
    net = deep(nn.ReLU, layers=3, gain=2**0.5)
    nn.init.constant_(net[2].bias, -100)
    vanish, dead = warnings_of([observed(net, rows(), lambda outputs: (outputs - 1).square())])
    assert vanish.startswith("gradients vanish in '0', '2', '4': at worst 0e+00 of")
    assert dead.startswith("units are dead in '3', '5': at worst 100% of the layer's")


@pytest.mark.parametrize(("dead", "named"), [(9, False), (10, True)])
def test_more_than_nine_in_ten_must_be_dead(dead: int, named: bool) -> None:  # noqa: FBT001 - a case
    net = nn.Sequential(nn.Linear(10, 10), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(10))
        net[0].bias.copy_(torch.tensor([-100.0] * dead + [100.0] * (10 - dead)))
    assert observed(net, rows(8, 10)).dead == {"1": dead / 10}
    assert any("dead" in line for line in warned(net, rows(8, 10))) is named


@pytest.mark.parametrize("bend", [nn.ReLU(inplace=True), nn.GELU(), nn.SiLU()])
def test_a_dead_channel_is_silent_everywhere_and_a_dead_place_is_not_a_channel(bend: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 1), bend)
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.copy_(torch.tensor([0.0, 0.0, 0.0, -1000.0]))
    images = torch.ones(2, 1, 3, 3)
    images[:, :, 0, 0] = -1000.0
    assert observed(net, images).dead == {"1": 0.25}


def test_a_unit_of_a_sequence_lies_along_the_last_axis() -> None:
    inputs = torch.ones(2, 5, 4)
    inputs[:, :, 1] = -1.0
    inputs[0, 2] = -1.0
    assert observed(nn.Sequential(nn.ReLU()), inputs).dead == {"0": 0.25}


def test_a_sigmoid_is_never_called_dead() -> None:
    assert observed(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid()), rows(4, 4)).dead == {}


def test_norms_are_those_of_backward() -> None:
    net, inputs = deep(nn.Tanh, layers=2), rows()
    look = observed(net, inputs, lambda outputs: outputs.abs()[:, 0])
    net(inputs).abs()[:, 0].mean().backward()
    for name in ("0", "2", "4"):
        weight, bias = net[int(name)].weight, net[int(name)].bias
        norm = float(torch.cat([weight.grad.flatten(), bias.grad]).norm())
        assert look.norms[name].gradient == pytest.approx(norm, rel=1e-5)
        assert look.norms[name].weights == pytest.approx(
            float(torch.cat([weight.flatten(), bias]).detach().norm()), rel=1e-5
        )


def test_frozen_layers_are_not_accused_and_unused_ones_are() -> None:
    net = deep(nn.ReLU, layers=2, gain=2**0.5)
    net[0].requires_grad_(requires_grad=False)
    assert list(observed(net, rows()).norms) == ["2", "4"]

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 1), nn.Linear(4, 1)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.used(inputs)  # type: ignore[no-any-return]

    assert warned(Idle(), rows(4, 4))[0].startswith("gradients vanish in 'idle'")
    net.requires_grad_(requires_grad=False)
    assert observed(net, rows()).norms == {}


def test_spreads_count_every_finite_number() -> None:
    inputs = torch.tensor([[0.0, 1.0], [2.0, 3.0], [float("nan"), float("inf")]])
    look = observed(nn.Sequential(nn.Identity()), inputs).activations["0"]
    assert (look.mean, look.deviation) == (1.5, pytest.approx(1.25**0.5))
    assert (look.edges[0], look.edges[-1]) == (0.0, 3.0)
    assert sum(look.counts) == 4
    assert look.counts[0] == look.counts[-1] == look.counts[10] == look.counts[20] == 1


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_any_numbers_can_be_spread(values: list[float]) -> None:
    look = observed(nn.Sequential(nn.Identity()), torch.tensor([values])).activations
    finite = np.isfinite(values).sum()
    assert (sum(look["0"].counts) if look else 0) == finite


def test_of_very_many_numbers_whole_rows_are_spread() -> None:
    inputs = torch.arange(3.0)[:, None].expand(3, 2**17)
    assert sum(observed(nn.Sequential(nn.Identity()), inputs[:2]).activations["0"].counts) == 2**18
    look = observed(nn.Sequential(nn.Identity()), inputs).activations["0"]
    assert (sum(look.counts), look.mean, look.edges[-1]) == (2**18, 0.5, 1.0)


def test_a_layer_used_twice_has_an_entry_for_each_use() -> None:
    bend = nn.ReLU()
    look = observed(nn.Sequential(nn.Linear(4, 4), bend, nn.Linear(4, 4), bend), rows(4, 4))
    assert set(look.activations) == {"0", "1", "2", "1 (2)"}
    assert set(look.dead) == {"1", "1 (2)"}


def state(module: nn.Module) -> list[Any]:
    """All that a look might disturb."""
    return [
        [(name, each.clone()) for name, each in module.state_dict().items()],
        [(each.grad, None if each.grad is None else each.grad.clone()) for each in module.parameters()],
        [part.training for part in module.modules()],
        [[len(getattr(part, kind)) for kind in vars(part) if kind.endswith("hooks")] for part in module.modules()],
        torch.get_rng_state(),
    ]


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return bool(first == second)


class Counting(nn.Module):
    """Draws a random number and counts its calls, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        return inputs + torch.randn(())


def test_a_look_leaves_no_trace() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), Counting())
    net.append(nn.Linear(8, 1))
    net[1].eval()
    net[0].register_forward_hook(lambda *_: None)
    net(rows(16, 8)).sum().backward()
    before = state(net)
    observed(net, rows(16, 8))
    assert same(before, state(net))
    assert net[0].weight.grad is before[1][0][0]


def test_a_look_that_fails_leaves_no_trace_either() -> None:
    net = nn.Sequential(nn.Linear(8, 8), Counting(), nn.Linear(9, 1)).train()
    before = state(net)
    with pytest.raises(RuntimeError):
        observed(net, rows(16, 8))
    assert same(before, state(net))


def test_training_with_looks_gives_the_same_bits_as_without() -> None:
    def trained(*, looking: bool) -> list[Tensor]:
        net = nn.Sequential(*deep(nn.ReLU, layers=2), nn.Dropout(0.5), nn.Linear(1, 1))
        optimizer = torch.optim.Adam(net.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            net(rows()).square().mean().backward()
            if looking:
                observed(net, rows())
            optimizer.step()
        return [each.detach() for each in net.parameters()]

    assert same(trained(looking=False), trained(looking=True))


def test_warnings_join_the_looks_and_name_the_worst_first() -> None:
    def look(epoch: int, **gradients: float) -> Observed:
        return Observed({name: Norm(each, 1.0) for name, each in gradients.items()}, {}, {}, epoch)

    history = [look(1, a=1.0, b=1.0, c=1.0), look(2, a=1.0, b=1e-6, c=1.0), look(3, a=1.0, b=1.0, c=1e-7)]
    assert warnings_of(history) == (
        "gradients vanish in 'c', 'b': at worst 1e-07 of the longest layer's; first seen in epoch 2",
    )
    assert warnings_of(history[:1]) == ()
    assert warnings_of([look(1, a=0.0, b=0.0)]) == ()
    assert warnings_of([]) == ()
    (line,) = warnings_of([look(4, a=2000.0, b=5000.0)])
    assert line == "gradients explode in 'b', 'a': at worst 5e+03 times the layer's weights; first seen in epoch 4"
