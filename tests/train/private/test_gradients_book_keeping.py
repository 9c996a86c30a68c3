"""What the book-keeping does with whole networks, and what it refuses by name rather than count wrongly."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from rai.errors import InputError
from rai.networks.cnn import cnn
from rai.networks.mlp import mlp
from rai.networks.recurrent import recurrent
from rai.networks.resnet import resnet
from rai.networks.transformer import transformer
from rai.train.batches import Batch
from rai.train.private.clipped_sum import Clipped
from rai.train.private.gradients_book_keeping import book_keeping
from rai.train.private.gradients_loop import loop
from rai.train.private.gradients_opacus import ghost, hooks

WAYS: tuple[Clipped, ...] = (book_keeping, ghost, hooks)


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def batch_of(inputs: Tensor) -> Batch:
    return Batch(inputs, torch.arange(len(inputs)) % 2)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def sequences() -> Tensor:
    found = normal(4, 5, 3)
    found[0, 2:] = torch.nan
    found[2, 4:] = torch.nan
    return found


def texts() -> Tensor:
    return torch.tensor([[1, 2, 1, 1, 0], [3, 0, 0, 0, 0], [4, 4, 2, 3, 1], [0, 0, 0, 0, 0]])


def require_same(way: Clipped, module: nn.Module, batch: Batch, limit: float) -> None:
    true, found = loop(module, losses, batch, limit), way(module, losses, batch, limit)
    assert list(found.sums) == list(true.sums)
    for name, each in true.sums.items():
        torch.testing.assert_close(found.sums[name], each, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.norms, true.norms, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.losses, true.losses, rtol=1e-6, atol=1e-8)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (lambda: mlp(inputs=4, outputs=2, hidden=(5, 3), norm="layer"), lambda: normal(4, 4)),
    "linear model": (lambda: mlp(inputs=4, outputs=2, hidden=(), bias=False), lambda: normal(4, 4)),
    "cnn": (lambda: cnn(inputs=2, outputs=2, size=(8, 8), channels=(4, 8), norm="group"), lambda: normal(4, 2, 8, 8)),
    "resnet": (
        lambda: resnet(inputs=1, outputs=2, channels=(4, 6), blocks=1, norm="group"),
        lambda: normal(4, 1, 6, 6),
    ),
    "lstm": (lambda: recurrent(inputs=3, outputs=2, hidden=4, layers=2, bidirectional=True), sequences),
    "gru": (lambda: recurrent(inputs=3, outputs=2, kind="gru", hidden=4), sequences),
    "rnn": (lambda: recurrent(inputs=3, outputs=2, kind="rnn", hidden=4, bidirectional=True), sequences),
    "texts": (lambda: transformer(outputs=2, vocabulary=5, width=4, heads=2, dropout=0.0, length=9), texts),
    "steps": (
        lambda: transformer(
            outputs=2, inputs=3, width=4, heads=2, dropout=0.0, positions="sinusoidal", pooling="first"
        ),
        sequences,
    ),
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("limit", [0.05, 1e6])
def test_our_networks_are_clipped_as_by_the_loop(name: str, limit: float) -> None:
    make, inputs = NETWORKS[name]
    torch.manual_seed(0)
    require_same(book_keeping, make().double(), batch_of(inputs()), limit)


@pytest.mark.parametrize("way", [ghost, hooks])
@pytest.mark.parametrize("name", ["mlp", "cnn", "texts"])
def test_opacus_is_clipped_as_by_the_loop(way: Clipped, name: str) -> None:
    make, inputs = NETWORKS[name]
    torch.manual_seed(0)
    require_same(way, make().double(), batch_of(inputs()), 0.3)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(1, 5), max_size=3), st.sampled_from([1e-4, 0.5, 1e6]))
def test_every_way_agrees_on_perceptrons(rows: int, hidden: list[int], limit: float) -> None:
    module = mlp(inputs=3, outputs=2, hidden=hidden, activation="tanh").double()
    for way in WAYS:
        require_same(way, module, batch_of(normal(rows, 3)), limit)


def test_a_known_answer() -> None:
    module = nn.Linear(2, 1, bias=False).double()
    found = book_keeping(
        module,
        lambda outputs, _: outputs[:, 0],
        Batch(torch.tensor([[3.0, 4.0], [0.3, 0.4]]).double(), torch.zeros(2)),
        1.0,
    )
    torch.testing.assert_close(found.sums["weight"], torch.tensor([[0.6 + 0.3, 0.8 + 0.4]]).double())
    torch.testing.assert_close(found.norms, torch.tensor([5.0, 0.5]).double())


class Twice(nn.Module):
    """One layer used twice, another by two names, a third never."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Linear(3, 3)
        self.words = nn.Embedding(4, 3)
        self.tied = nn.Linear(3, 4, bias=False)
        self.tied.weight = self.words.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.tied(self.turn(self.turn(self.words(tokens)).tanh())).sum(1)[:, :2]  # type: ignore[no-any-return]


@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_uses_of_one_parameter_add_before_their_length_is_taken(limit: float) -> None:
    require_same(book_keeping, Twice().double(), batch_of(torch.tensor([[1, 1, 2], [3, 0, 1]])), limit)


def test_no_rows_add_nothing() -> None:
    module = mlp(inputs=3, outputs=2)
    for way in (*WAYS, loop):
        found = way(module, losses, batch_of(torch.zeros(0, 3)), 1.0)
        assert {name: each.shape for name, each in found.sums.items()} == {
            name: each.shape for name, each in module.named_parameters()
        }
        assert all(not each.any() and not each.requires_grad for each in found.sums.values())
        assert found.losses.shape == found.norms.shape == (0,)


def test_frozen_layers_are_left_out_and_passed_through() -> None:
    module = mlp(inputs=3, outputs=2, hidden=(4, 4)).double()
    module[2].requires_grad_(requires_grad=False)
    assert "2.weight" not in book_keeping(module, losses, batch_of(normal(3, 3)), 1.0).sums
    for way in (book_keeping, hooks):
        require_same(way, module, batch_of(normal(3, 3)), 0.2)


def test_nothing_to_learn_gives_no_sums() -> None:
    module = mlp(inputs=3, outputs=2).requires_grad_(requires_grad=False)
    for way in (book_keeping, loop):
        found = way(module, losses, batch_of(torch.ones(2, 3)), 1.0)
        assert not found.sums
        assert found.norms.tolist() == [0.0, 0.0]


def inside(module: nn.Module) -> list[str]:
    return [f"{path}.{key} = {each}" for path, part in module.named_modules() for key, each in vars(part).items()]


@pytest.mark.parametrize("way", [*WAYS, loop])
def test_the_module_leaves_as_it_came(way: Clipped) -> None:
    module = mlp(inputs=3, outputs=2)
    kept = torch.full_like(module[0].weight, 7.0)
    module[0].weight.grad = kept
    before = inside(module)
    found = way(module, losses, batch_of(torch.ones(2, 3)), 1.0)
    assert inside(module) == before
    assert module[0].weight.grad is kept
    assert module[2].weight.grad is None
    assert all(not vars(each) for each in module.parameters())
    assert not any(each.requires_grad for each in (*found.sums.values(), found.losses, found.norms))


def test_a_pass_that_fails_leaves_no_trace() -> None:
    module = mlp(inputs=3, outputs=2)
    for way in WAYS:
        with pytest.raises(RuntimeError):
            way(module, losses, batch_of(torch.ones(2, 4)), 1.0)
        assert all("forward" not in each.__dict__ and not each._forward_hooks for each in module.modules())
        assert not any(vars(each) for each in module.parameters())


def test_layers_that_work_in_place_are_counted_right() -> None:
    module = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)
    )
    require_same(book_keeping, module.double(), batch_of(normal(4, 3)), 0.3)


class Odd(nn.Linear):
    """Computes something else than the layer that it is made from."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * self.weight.sum()


class Past(nn.Module):
    """Uses a weight past the layer that holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs) + self.layer.weight.sum()  # type: ignore[no-any-return]


class InPlace(nn.Module):
    """Changes what its first or its last layer has read."""

    def __init__(self, which: int) -> None:
        super().__init__()
        self.which = which
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 2)])

    def forward(self, inputs: Tensor) -> Tensor:
        first = inputs.clone()
        found = self.layers[0](first)
        answers: Tensor = self.layers[1](found)
        (first, found)[self.which].add_(1.0)
        return answers


class Mixed(nn.Module):
    """Lays the steps of all rows in one line, so that no rule can tell rows apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs.reshape(-1, 1)).reshape(len(inputs), -1, 2).sum(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Bilinear(3, 3, 2)), r"layer '1' \(Bilinear\)"),
        (nn.Sequential(Odd(3, 2)), r"layer '0' \(Odd\)"),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), r"layer '1' \(BatchNorm1d\)"),
        (Past(), "parameter 'layer.weight'"),
        (InPlace(0), "changed in place"),
        (InPlace(1), "changed in place"),
        (Mixed(), r"layer 'layer' \(Linear\).*batch of 2 rows"),
        (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))), "layer '0"),
    ],
)
def test_what_no_rule_follows_is_refused_by_name(module: nn.Module, named: str) -> None:
    with pytest.raises(InputError, match=named):
        book_keeping(module, losses, batch_of(torch.ones(2, 3)), 1.0)


@pytest.mark.parametrize("table", [nn.Embedding(4, 2, max_norm=1.0), nn.Embedding(4, 2, scale_grad_by_freq=True)])
def test_tables_that_let_rows_act_on_each_other_are_refused(table: nn.Embedding) -> None:
    with pytest.raises(InputError, match="rows act on each other"):
        book_keeping(table, losses, batch_of(torch.tensor([1, 2])), 1.0)


@pytest.mark.parametrize(
    "layer", [nn.MultiheadAttention(4, 2, add_bias_kv=True), nn.MultiheadAttention(4, 2, add_zero_attn=True)]
)
def test_attention_with_keys_of_its_own_is_refused(layer: nn.MultiheadAttention) -> None:
    with pytest.raises(InputError, match="keys of its own"):
        book_keeping(By(layer), losses, batch_of(torch.ones(2, 3, 4)), 1.0)


class By(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs, inputs, inputs)[0].sum(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", [*WAYS, loop])
def test_gradients_that_are_no_numbers_and_losses_that_are_one_number_are_refused(way: Clipped) -> None:
    module, inputs = mlp(inputs=3, outputs=2), torch.ones(2, 3)
    with pytest.raises(InputError, match="one number a row"):
        way(module, functional.cross_entropy, batch_of(inputs), 1.0)
    inputs[1, 1] = torch.nan
    with pytest.raises(InputError, match="of 1 of 2 rows is not a finite number"):
        way(module, losses, batch_of(inputs), 1.0)


def test_no_row_adds_more_than_the_limit() -> None:
    module, limit = mlp(inputs=3, outputs=2), 0.01
    for row in normal(6, 1, 3).float() * 100:
        found = book_keeping(module, losses, batch_of(row), limit)
        length = torch.stack([each.double().norm() for each in found.sums.values()]).norm()
        assert length <= limit * (1 + 1e-5)
