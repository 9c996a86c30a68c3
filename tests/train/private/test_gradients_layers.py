"""Every layer that the book-keeping knows, in many shapes: its clipped sum is that of the explicit loop."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rai.train.batches import Batch
from rai.train.private.gradients_book_keeping import book_keeping
from rai.train.private.gradients_loop import loop

LIMITS = st.sampled_from([1e-3, 0.3, 1e9])
ROWS = st.integers(1, 4)
SMALL = st.integers(1, 4)
few = settings(max_examples=25, deadline=None)


class By(nn.Module):
    """A network of one function and the layers that it uses."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs, *self.layers)


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    places = torch.arange(outputs.flatten(1).shape[1]) + targets[:, None]
    return (outputs.flatten(1) * places.cos() + outputs.flatten(1).sin()).sum(1)


def require_same(module: nn.Module, inputs: Tensor, limit: float) -> None:
    torch.manual_seed(inputs.numel())
    for each in module.parameters():
        nn.init.normal_(each)
    module.double()
    batch = Batch(inputs, torch.arange(len(inputs)))
    true, found = (way(module, losses, batch, limit) for way in (loop, book_keeping))
    assert list(found.sums) == list(true.sums)
    for name, each in true.sums.items():
        assert found.sums[name].shape == each.shape
        torch.testing.assert_close(found.sums[name], each, rtol=1e-6, atol=1e-6 * min(limit, 1.0))
    torch.testing.assert_close(found.norms, true.norms, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found.losses, true.losses, rtol=1e-6, atol=1e-9)


def freeze(module: nn.Module, frozen: str) -> nn.Module:
    for name, each in module.named_parameters():
        each.requires_grad_(frozen not in name.split("."))
    return module


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@few
@given(st.data(), ROWS, st.sampled_from(["", "weight", "bias"]), LIMITS)
def test_weighted_sums(data: st.DataObject, rows: int, frozen: str, limit: float) -> None:
    known, between = data.draw(SMALL), data.draw(st.lists(SMALL, max_size=2))
    module = freeze(nn.Linear(known, data.draw(SMALL), bias=data.draw(st.booleans())), frozen)
    require_same(module, normal(rows, *between, known), limit)


@few
@given(ROWS, st.integers(1, 40), st.integers(1, 30), st.integers(1, 30), LIMITS)
def test_weighted_sums_at_many_places_are_held_or_not(
    rows: int, places: int, known: int, answers: int, limit: float
) -> None:
    require_same(nn.Linear(known, answers), normal(rows, places, known), limit)


@few
@given(ROWS, st.integers(1, 9), SMALL, st.sampled_from([None, 0, 2]), LIMITS)
def test_tokens_that_stand_in_a_row_several_times(
    rows: int, tokens: int, width: int, pad: int | None, limit: float
) -> None:
    module = nn.Sequential(
        nn.Embedding(3, width, padding_idx=pad), nn.Tanh(), nn.Flatten(), nn.Linear(tokens * width, 2)
    )
    require_same(module, torch.randint(0, 3, (rows, tokens), generator=torch.Generator().manual_seed(rows)), limit)


def test_one_token_a_row() -> None:
    require_same(nn.Embedding(4, 3), torch.tensor([1, 3, 1]), 0.5)


@few
@given(st.data(), ROWS, st.sampled_from(["", "weight", "bias"]), LIMITS)
def test_convolutions_of_images(data: st.DataObject, rows: int, frozen: str, limit: float) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    groups, padding = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["same", "valid", (1, 0), (2, 1)]))
    layer = nn.Conv2d(
        groups * data.draw(SMALL),
        groups * data.draw(SMALL),
        (3, 1) if padding == "same" else pair(1, 3),  # torch warns of "same" with even kernels
        stride=1 if padding == "same" else pair(1, 3),
        padding=padding,
        dilation=pair(1, 2),
        groups=groups,
        bias=data.draw(st.booleans()),
        padding_mode=data.draw(st.sampled_from(["zeros", "circular"])),
    )
    require_same(freeze(layer, frozen), normal(rows, layer.in_channels, 7, 6), limit)


@few
@given(st.data(), ROWS, LIMITS)
def test_convolutions_of_sequences(data: st.DataObject, rows: int, limit: float) -> None:
    groups, padding = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["same", "valid", 0, 2]))
    layer = nn.Conv1d(
        groups * data.draw(SMALL),
        groups * data.draw(SMALL),
        data.draw(st.sampled_from([1, 3])),  # torch warns of "same" with even kernels
        stride=1 if padding == "same" else data.draw(SMALL),
        padding=padding,
        dilation=data.draw(st.integers(1, 2)),
        groups=groups,
        padding_mode=data.draw(st.sampled_from(["zeros", "replicate"])),
    )
    require_same(layer, normal(rows, layer.in_channels, 9), limit)


@few
@given(
    ROWS, st.lists(SMALL, max_size=2), st.lists(SMALL, min_size=1, max_size=2), st.sampled_from(["", "weight"]), LIMITS
)
def test_layer_norm(rows: int, before: list[int], shape: list[int], frozen: str, limit: float) -> None:
    require_same(freeze(nn.LayerNorm(shape), frozen), normal(rows, *before, *shape), limit)


@few
@given(ROWS, SMALL, SMALL, st.lists(SMALL, max_size=2), st.sampled_from(["", "bias"]), LIMITS)
def test_group_norm(rows: int, groups: int, each: int, places: list[int], frozen: str, limit: float) -> None:
    module = freeze(nn.GroupNorm(groups, groups * each), frozen)
    require_same(module, normal(rows, groups * each, *places, 2), limit)


CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@few
@given(st.data(), ROWS, st.sampled_from(sorted(CELLS)), LIMITS)
def test_recurrent_layers(data: st.DataObject, rows: int, kind: str, limit: float) -> None:
    known, steps, first = data.draw(SMALL), data.draw(st.integers(1, 5)), data.draw(st.booleans())
    more: dict[str, Any] = {"nonlinearity": "relu"} if kind == "rnn" and data.draw(st.booleans()) else {}
    core = CELLS[kind](
        known,
        data.draw(SMALL),
        data.draw(st.integers(1, 2)),
        bias=data.draw(st.booleans()),
        batch_first=first,
        bidirectional=data.draw(st.booleans()),
        **more,
    )

    def read(inputs: Tensor, layer: nn.Module) -> Tensor:
        outputs, last = layer(inputs if first else inputs.transpose(0, 1))
        ends = torch.cat([each.transpose(0, 1).flatten(1) for each in (last if kind == "lstm" else (last,))], 1)
        return torch.cat([(outputs if first else outputs.transpose(0, 1)).flatten(1), ends], 1)

    require_same(By(read, core), normal(rows, steps, known), limit)


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_recurrent_layers_that_start_from_a_given_state(kind: str) -> None:
    def read(inputs: Tensor, first: nn.Linear, core: nn.RNNBase) -> Tensor:
        start = first(inputs[:, 0])[None]
        return core(inputs, (start, start.sin()) if kind == "lstm" else start)[0]  # type: ignore[no-any-return]

    require_same(By(read, nn.Linear(2, 3), CELLS[kind](2, 3, batch_first=True)), normal(3, 4, 2), 0.7)


@few
@given(st.data(), ROWS, LIMITS)
def test_attention(data: st.DataObject, rows: int, limit: float) -> None:
    heads, places, others = data.draw(st.integers(1, 2)), data.draw(SMALL), data.draw(SMALL)
    width, first, bias = heads * data.draw(SMALL), data.draw(st.booleans()), data.draw(st.booleans())
    kind, weighted = data.draw(st.sampled_from(["self", "cross", "apart"])), data.draw(st.booleans())
    sizes: dict[str, int] = {"kdim": 3, "vdim": 2} if kind == "apart" else {}
    layer = nn.MultiheadAttention(width, heads, bias=bias, batch_first=first, **sizes)
    wide = {"self": width, "cross": width, "apart": 3}[kind]

    def attend(inputs: Tensor, attention: nn.MultiheadAttention, entry: nn.Linear) -> Tensor:
        query, key = entry(inputs[:, :places]), inputs[:, places:, :wide]
        value = key[..., :2] if kind == "apart" else key
        three = [each if first else each.transpose(0, 1) for each in (query, key, value)]
        three = three[:1] * 3 if kind == "self" else three
        outputs, weights = attention(*three, need_weights=weighted)
        outputs = (outputs if first else outputs.transpose(0, 1)).flatten(1)
        return outputs if weights is None else torch.cat([outputs, weights.flatten(1)], 1)

    features = max(wide, width)
    module = By(attend, layer, nn.Linear(features, width))
    require_same(module, normal(rows, places + others, features), limit)


def masked(key_mask: Tensor | None, among: Tensor | None) -> Callable[..., Tensor]:
    def attend(inputs: Tensor, layer: nn.MultiheadAttention) -> Tensor:
        unread = None if key_mask is None else key_mask.expand(len(inputs), -1)
        there = among if among is None or among.dim() == 2 else among.repeat(len(inputs), 1, 1)
        return layer(inputs, inputs, inputs, key_padding_mask=unread, attn_mask=there)[0]  # type: ignore[no-any-return]

    return attend


@pytest.mark.parametrize(
    ("unread", "among"),
    [
        (torch.tensor([False, False, True]), None),
        (None, torch.ones(3, 3).triu(1).bool()),
        (torch.tensor([0.0, -1.0, 0.5]).double(), torch.randn(3, 3).double()),
        (None, torch.randn(2, 3, 3).double()),
        (torch.tensor([False, True, False]), torch.ones(2, 3, 3).triu(1).bool()),
    ],
)
def test_attention_reads_no_more_than_its_masks_let_it(unread: Tensor | None, among: Tensor | None) -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    require_same(By(masked(unread, among), layer), normal(2, 3, 4), 0.4)


@pytest.mark.parametrize("norm", ["first", "last"])
def test_encoder_layers_of_torch(norm: str) -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 5, 0.0, "gelu", batch_first=True, norm_first=norm == "first")
    require_same(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), normal(3, 4, 6), 0.6)


def test_decoder_layers_of_torch_read_two_sequences() -> None:
    def decode(inputs: Tensor, layer: nn.TransformerDecoderLayer) -> Tensor:
        return layer(inputs[:, :2], inputs[:, 2:])  # type: ignore[no-any-return]

    require_same(By(decode, nn.TransformerDecoderLayer(4, 2, 5, 0.0, batch_first=True)), normal(2, 5, 4), 0.6)
