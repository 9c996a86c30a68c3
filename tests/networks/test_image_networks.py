import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rai.errors import InputError
from rai.networks.cnn import cnn
from rai.networks.resnet import ResidualBlock, resnet


def slow_windows(layer: nn.Conv2d, image: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """A twin of a convolution that multiplies one number at a time; beyond the edge all is 0."""
    side = layer.kernel_size[0]
    edge = layer.padding[0]
    _, height, width = image.shape
    steps = [range((extent + 2 * edge - side) // stride + 1) for extent in (height, width)]
    found = torch.zeros(layer.out_channels, len(steps[0]), len(steps[1]))
    for out, y, x in itertools.product(range(layer.out_channels), *steps):
        total = 0.0 if layer.bias is None else layer.bias[out].item()
        for channel, dy, dx in itertools.product(range(layer.in_channels), range(side), range(side)):
            row, column = y * stride + dy - edge, x * stride + dx - edge
            if 0 <= row < height and 0 <= column < width:
                total += image[channel, row, column].item() * layer.weight[out, channel, dy, dx].item()
        found[out, y, x] = total
    return found


def slow_pool(maps: torch.Tensor, pool: str) -> torch.Tensor:
    depth, height, width = maps.shape
    found = torch.zeros(depth, height // 2, width // 2)
    for channel, y, x in itertools.product(range(depth), range(height // 2), range(width // 2)):
        four = [maps[channel, 2 * y + dy, 2 * x + dx].item() for dy in (0, 1) for dx in (0, 1)]
        found[channel, y, x] = max(four) if pool == "max" else sum(four) / 4
    return found


def slow_cnn(network: nn.Sequential, image: torch.Tensor, pool: str, *, average: bool) -> torch.Tensor:
    for layer in [each for each in network.features if isinstance(each, nn.Conv2d)]:
        image = slow_pool(slow_windows(layer, image).clamp(min=0), pool)
    row = image.mean(dim=(1, 2)) if average else image.reshape(-1)
    linear = [each for each in network.head if isinstance(each, nn.Linear)]
    for place, layer in enumerate(linear):
        row = layer.weight @ row + layer.bias
        row = row.clamp(min=0) if place < len(linear) - 1 else row
    return row


@settings(max_examples=12, deadline=None)
@given(
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    kernel=st.sampled_from([1, 3, 5]),
    pool=st.sampled_from(["max", "average"]),
    average=st.booleans(),
    hidden=st.lists(st.integers(1, 4), max_size=1),
    seed=st.integers(0, 2**31),
)
def test_a_cnn_is_what_its_definition_says(**drawn) -> None:
    size, kernel, pool, average, hidden, seed = drawn.values()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        words = {"size": size, "kernel": kernel, "pool": pool, "global_average": average, "hidden": hidden}
        network = cnn(inputs=2, outputs=3, channels=(2, 3), dropout=0.3, **words).eval()
        images = torch.randn(2, 2, *size)
        slow = torch.stack([slow_cnn(network, image, pool, average=average) for image in images])
        assert torch.allclose(network(images), slow, atol=1e-5)


def test_a_cnn_has_its_norm_before_the_bend_and_stable_names() -> None:
    network = cnn(inputs=1, outputs=2, size=(8, 8), channels=(12,), norm="group", activation="silu", hidden=(5,))
    assert [type(each).__name__ for each in network.features] == ["Conv2d", "GroupNorm", "SiLU", "MaxPool2d"]
    assert network.features[1].num_groups == 4
    assert {name: tuple(each.shape) for name, each in network.state_dict().items()} == {
        "features.0.weight": (12, 1, 3, 3),
        "features.0.bias": (12,),
        "features.1.weight": (12,),
        "features.1.bias": (12,),
        "head.1.weight": (5, 12 * 4 * 4),
        "head.1.bias": (5,),
        "head.3.weight": (2, 5),
        "head.3.bias": (2,),
    }
    assert isinstance(cnn(inputs=1, outputs=2, size=(8, 8), norm="batch").features[1], nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"size": (28,)}, "size"),
        ({"size": (3, 8)}, "size"),
        ({"size": 28}, "size"),
        ({"channels": ()}, "channels"),
        ({"channels": (1,) * 1001}, "channels"),
        ({"kernel": 4}, "kernel"),
        ({"kernel": 101}, "kernel"),
        ({"kernel": True}, "kernel"),
        ({"norm": "layer"}, "norm"),
        ({"pool": "min"}, "pool"),
        ({"global_average": 1}, "global_average"),
        ({"hidden": 5}, "hidden"),
        ({"dropout": 1}, "dropout"),
        ({"activation": "bend"}, "activation"),
    ],
)
def test_a_wrong_argument_of_a_cnn_is_named(words: dict, key: str) -> None:
    with pytest.raises(InputError) as caught:
        cnn(**{"inputs": 1, "outputs": 2, "size": (8, 8), **words})
    assert str(caught.value).startswith(f"network.arguments.{key}: ")


@settings(max_examples=8, deadline=None)
@given(before=st.integers(1, 3), after=st.integers(1, 3), stride=st.integers(1, 2), seed=st.integers(0, 2**31))
def test_a_residual_block_adds_what_it_finds_to_what_came_in(before: int, after: int, stride: int, seed: int) -> None:
    """With norms of scale 2 and offset 1 in place of the batch's own."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        block = ResidualBlock(before, after, stride, nn.BatchNorm2d, nn.ReLU).eval()
        for each in block.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_var.fill_(0.25 - each.eps)
                each.bias.fill_(1.0)
        image = torch.randn(before, 5, 4)

        def scaled(maps: torch.Tensor) -> torch.Tensor:
            return 2 * maps + 1

        inner = scaled(slow_windows(block.first[0], image, stride)).clamp(min=0)
        found = scaled(slow_windows(block.second[0], inner))
        plain = stride == 1 and before == after
        around = image if plain else scaled(slow_windows(block.around[0], image, stride))
        assert isinstance(block.around, nn.Identity) == plain
        assert torch.allclose(block(image[None])[0], (found + around).clamp(min=0), atol=1e-4)


def test_a_resnet_halves_after_its_first_stage_and_takes_images_of_any_size() -> None:
    network = resnet(inputs=3, outputs=5, channels=(4, 6, 8), blocks=2, norm="group").eval()
    assert len(network.stages) == 6
    assert network.stages(network.stem(torch.randn(2, 3, 16, 12))).shape == (2, 8, 4, 3)
    assert network(torch.randn(2, 3, 33, 7)).shape == (2, 5)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.modules())
    activations = [each for each in network.modules() if isinstance(each, nn.ReLU)]
    assert len(activations) == 1 + 2 * 6


def test_group_norm_keeps_rows_apart_even_in_training() -> None:
    images = torch.randn(4, 1, 8, 8)
    apart, mixed = (resnet(inputs=1, outputs=2, norm=norm).train() for norm in ("group", "batch"))
    assert torch.allclose(apart(images)[:1], apart(images[:1]), atol=1e-5)
    assert not torch.allclose(mixed(images)[:1], mixed(images[:1]), atol=1e-2)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"blocks": 0}, "blocks"),
        ({"blocks": 1001}, "blocks"),
        ({"norm": "none"}, "norm"),
        ({"channels": ()}, "channels"),
    ],
)
def test_a_wrong_argument_of_a_resnet_is_named(words: dict, key: str) -> None:
    with pytest.raises(InputError, match=f"network.arguments.{key}: "):
        resnet(inputs=1, outputs=2, **words)
