import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rai.errors import InputError
from rai.networks.layers import ended
from rai.networks.recurrent import recurrent
from rai.networks.transformer import transformer

KINDS = ("rnn", "lstm", "gru")
NAN = math.nan


def seeded(maker, seed: int = 0, **words) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = maker(**words).eval()
        for each in network.parameters():
            nn.init.normal_(each, std=0.5)
    return network


def padded(rows: list[torch.Tensor], steps: int) -> torch.Tensor:
    found = torch.full((len(rows), steps, rows[0].shape[1]), NAN)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def drawn_rows(seed: int, lengths: list[int], features: int = 3) -> list[torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return [torch.randn(length, features, generator=stream) for length in lengths]


def test_the_end_is_after_the_last_step_that_holds_a_number() -> None:
    rows = torch.tensor([[[1.0, 2], [NAN, NAN], [3, NAN], [NAN, NAN]], [[NAN, NAN]] * 4])
    assert ended(rows).tolist() == [[False, False, False, True], [True] * 4]


def slow_step(core: nn.RNNBase, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One step as the definitions of RNN, LSTM and GRU have it."""
    given, kept = core.weight_ih_l0 @ x + core.bias_ih_l0, core.weight_hh_l0 @ h + core.bias_hh_l0
    if isinstance(core, nn.LSTM):
        i, f, g, o = (given + kept).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if isinstance(core, nn.GRU):
        (r, z, n), (rk, zk, nk) = given.chunk(3), kept.chunk(3)
        update = (z + zk).sigmoid()
        return (1 - update) * (n + (r + rk).sigmoid() * nk).tanh() + update * h, c
    return (given + kept).tanh(), c


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(KINDS), st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 2**31))
def test_a_recurrent_network_answers_from_its_state_at_the_last_real_step(kind: str, lengths: list, seed: int) -> None:
    network = seeded(recurrent, seed, inputs=3, outputs=2, kind=kind, hidden=4)
    rows = drawn_rows(seed, lengths)
    with torch.no_grad():
        found = network(padded(rows, max(lengths) + 2))
        for row, answer in zip(rows, found, strict=True):
            h = c = torch.zeros(4)
            for x in row:
                h, c = slow_step(network.core, x, h, c)
            assert torch.allclose(answer, network.head(h), atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_neither_answer_nor_gradient(kind: str, bidirectional: bool) -> None:  # noqa: FBT001 - drawn
    words = {"inputs": 3, "outputs": 2, "kind": kind, "hidden": 4, "layers": 2, "dropout": 0.5}
    network = seeded(recurrent, **words, bidirectional=bidirectional)
    rows = drawn_rows(1, [5, 2, 1])
    long = padded(rows, 9).requires_grad_()
    answers = network(long)
    answers.sum().backward()
    for place, row in enumerate(rows):
        alone = row.clone()[None].requires_grad_()
        answer = network(alone)
        answer.sum().backward()
        assert torch.allclose(answers[place], answer[0], atol=1e-5)
        assert torch.allclose(long.grad[place, : len(row)], alone.grad[0], atol=1e-5)
        assert (long.grad[place, len(row) :] == 0).all()


def test_both_directions_read_all_of_a_full_length_row() -> None:
    network = seeded(recurrent, inputs=3, outputs=1, bidirectional=True)
    row = torch.randn(1, 4, 3, requires_grad=True)
    network(row).sum().backward()
    assert (row.grad.abs().sum(dim=2) > 0).all()


def test_nan_within_a_sequence_is_not_hidden() -> None:
    row = torch.ones(1, 4, 3)
    row[0, 1, 0] = NAN
    for network in (seeded(recurrent, inputs=3, outputs=1), seeded(transformer, inputs=3, outputs=1)):
        assert network(row).isnan().all()
        assert network(torch.full((1, 4, 3), NAN)).isfinite().all()


def slow_attention(layer: nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention as its definition has it, one head and one place at a time."""
    width, size = x.shape[1], x.shape[1] // layer.num_heads
    q, k, v = (x @ layer.in_proj_weight.T + layer.in_proj_bias).split(width, dim=1)
    lines = []
    for here in range(len(x)):
        heads = []
        for head in range(layer.num_heads):
            part = slice(head * size, (head + 1) * size)
            shares = torch.softmax(
                torch.stack([q[here, part] @ k[there, part] for there in range(len(x))]) / size**0.5, 0
            )
            heads.append(sum(shares[there] * v[there, part] for there in range(len(x))))
        lines.append(layer.out_proj.weight @ torch.cat(heads) + layer.out_proj.bias)
    return torch.stack(lines)


def slow_transformer(network: nn.Module, row: torch.Tensor) -> torch.Tensor:
    """Answers one row without padding."""
    x = network.embedding(row) + network.positions[: len(row)]
    for layer in network.encoder.layers:
        x = layer.norm1(x + slow_attention(layer.self_attn, x))
        x = layer.norm2(x + layer.linear2(nn.functional.gelu(layer.linear1(x))))
    return network.head(x[0] if network.pooling == "first" else x.mean(dim=0))


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "first"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_a_transformer_is_what_its_definition_says_on_both_paths(text: bool, pooling: str, positions: str) -> None:  # noqa: FBT001 - drawn
    words = {"outputs": 2, "width": 6, "heads": 2, "feedforward": 5, "length": 9, "pooling": pooling}
    entry = {"vocabulary": 11, "pad": 3} if text else {"inputs": 3}
    network = seeded(transformer, **words, **entry, positions=positions)
    rows = [torch.tensor([4, 1, 9, 0]), torch.tensor([2])] if text else drawn_rows(0, [4, 1])
    full = torch.full((2, 7), 3) if text else padded(rows, 7)
    for place, row in enumerate(rows):
        full[place, : len(row)] = row
    with torch.no_grad():
        wanted = torch.stack([slow_transformer(network, row) for row in rows])
    with torch.inference_mode():
        assert torch.allclose(network(full), wanted, atol=1e-5)
    assert torch.allclose(network(full), wanted, atol=1e-5)


def test_a_padding_token_inside_a_text_is_left_out_and_places_count() -> None:
    network = seeded(transformer, vocabulary=9, outputs=2, width=8, length=8)
    text = torch.tensor([[4, 0, 5], [4, 5, 0], [5, 4, 0]])
    apart, joined, swapped = network(text)
    assert not torch.allclose(apart, joined, atol=1e-4)
    assert not torch.allclose(swapped, joined, atol=1e-4)
    with torch.no_grad():
        network.embedding.weight[0] = 100.0
        assert torch.allclose(network(text)[0], apart, atol=1e-5)
    assert network(torch.zeros(2, 3, dtype=torch.long)).isfinite().all()


def test_sinusoidal_positions_are_the_papers() -> None:
    places = transformer(inputs=1, outputs=1, width=6, heads=1, length=40, positions="sinusoidal").positions
    for place, pair in ((0, 0), (7, 1), (39, 2)):
        angle = place / 10_000 ** (2 * pair / 6)
        assert places[place, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-5)
        assert places[place, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)
    odd = transformer(inputs=1, outputs=1, width=5, heads=1, length=4, positions="sinusoidal")
    assert odd.positions.shape == (4, 5)
    assert "positions" not in odd.state_dict()


def test_a_text_transformer_has_one_embedding_and_layers_of_their_own() -> None:
    network = transformer(vocabulary=9, outputs=2, layers=3)
    assert [each for each in network.modules() if isinstance(each, nn.Embedding)] == [network.embedding]
    first, second, third = (each.linear1.weight for each in network.encoder.layers)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_a_text_that_is_too_long_is_refused_in_words() -> None:
    network = transformer(vocabulary=9, outputs=2, length=4)
    with pytest.raises(InputError, match="reads at most 4 tokens or steps, and the rows have 5"):
        network(torch.ones(1, 5, dtype=torch.long))


@pytest.mark.parametrize(
    ("maker", "words", "key"),
    [
        (recurrent, {"kind": "elman"}, "kind"),
        (recurrent, {"layers": 1001}, "layers"),
        (recurrent, {"bidirectional": 1}, "bidirectional"),
        (recurrent, {"hidden": (8,)}, "hidden"),
        (transformer, {"heads": 5}, "heads"),
        (transformer, {"pooling": "last"}, "pooling"),
        (transformer, {"positions": "none"}, "positions"),
        (transformer, {"layers": 0}, "layers"),
        (transformer, {"vocabulary": 5}, "vocabulary and inputs"),
        (transformer, {"inputs": None}, "vocabulary and inputs"),
        (transformer, {"inputs": None, "vocabulary": 5, "pad": 5}, "pad"),
        (transformer, {"inputs": None, "vocabulary": 5, "pad": -1}, "pad"),
    ],
)
def test_a_wrong_argument_is_named(maker, words: dict, key: str) -> None:
    with pytest.raises(InputError) as caught:
        maker(**{"inputs": 3, "outputs": 2, **words})
    assert str(caught.value).startswith(f"network.arguments.{key}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_network_refuses_rows_of_another_width(kind: str) -> None:
    with pytest.raises(InputError, match="reads 3 features a step, and the rows have 2"):
        recurrent(inputs=3, outputs=1, kind=kind)(torch.ones(4, 6, 2))
