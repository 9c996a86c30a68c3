"""Attention maps, rollout and gradient x attention, held against known weights and slow loops."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Head
from rai.errors import InputError
from rai.explainers import Question, Target, method
from rai.explainers.attention import averaged, maps, rolled
from rai.explainers.attention_heads import heads
from rai.explainers.attention_maps import recorded
from rai.explainers.attention_seats import seats
from rai.models.torch_model import TorchModel
from rai.subject import Data, Player, Vocabulary

METHODS = ("attention", "attention.rollout", "attention.gradient")
WORDS = Vocabulary(("[PAD]", "[MASK]", "[CLS]", *(f"w{each}" for each in range(9))), pad=0, mask=1, special=(2,))
PLANTED = 5


class Encoder(nn.Module):
    """A transformer over tokens; `front` puts a learned position before each row."""

    def __init__(self, *, layers: int = 4, outputs: int = 3, front: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.table, self.batch_first = nn.Embedding(len(WORDS.names), 16), batch_first
        block = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.summary = nn.Parameter(torch.randn(1, 1, 16)) if front else None
        self.last = nn.Linear(16, outputs)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = ids.long()
        given, unread = self.table(ids), ids.eq(0)
        if self.summary is not None:
            given = torch.cat([self.summary.expand(len(ids), 1, -1), given], dim=1)
            unread = nn.functional.pad(unread, (1, 0))
        turned = given if self.batch_first else given.transpose(0, 1)
        found = self.encoder(turned, src_key_padding_mask=unread)
        found = found if self.batch_first else found.transpose(0, 1)
        return self.last(found[:, 0])


class Reader(nn.Module):
    """One head that looks at every token alike, and whose values are 1 for the planted token and 0 for others."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(len(WORDS.names), 2)
        self.look = nn.MultiheadAttention(2, 1, batch_first=True)
        with torch.no_grad():
            self.table.weight.copy_(torch.eye(len(WORDS.names))[:, [PLANTED, 0]])
            self.look.in_proj_weight.zero_()
            self.look.in_proj_bias.zero_()
            self.look.in_proj_weight[4:] = torch.eye(2)
            self.look.out_proj.weight.copy_(torch.eye(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        given = self.table(ids.long())
        return self.look(given, given, given, key_padding_mask=ids.eq(0))[0].mean(dim=1)[:, :1] * 5


class Chooser(nn.Module):
    """One head whose logits are 2 for the planted token and 0 for others, so its map is known."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.MultiheadAttention(1, 1, batch_first=True)
        with torch.no_grad():
            self.look.in_proj_weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
            self.look.in_proj_bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        given = ids.eq(PLANTED).float()[:, :, None] * 2
        return self.look(given, given, given, key_padding_mask=ids.eq(0))[0][:, 0]


def texts(ids: np.ndarray) -> Data:
    players = tuple(Player(f"token {each + 1}", (each,)) for each in range(ids.shape[1]))
    return Data("text", ids, ids.astype(float), None, {}, players, vocabulary=WORDS)


def question(module: nn.Module, data: Data, *, outputs: int = 1) -> Question:
    names = tuple("abc"[:outputs]) if outputs > 1 else ()
    target = Target(Head.LOGITS if outputs > 1 else Head.LOGIT, names=names)
    model = TorchModel(module.eval(), "planted", "in memory", tokens=data.kind == "text")
    return Question(model, target, data, data)


@pytest.fixture
def ids(rng):
    """Twelve texts of two to seven tokens, in seven places."""
    found = rng.integers(3, len(WORDS.names), size=(12, 7))
    return np.where(np.arange(7) < rng.integers(2, 8, size=12)[:, None], found, WORDS.pad)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder().eval()


def test_a_known_map_is_read() -> None:
    found = maps(Chooser().eval(), np.array([[3, PLANTED, 4, 0], [PLANTED, 3, 0, 0]]))
    high = np.exp(2) / (np.exp(2) + 2)
    assert len(found) == 1
    np.testing.assert_allclose(found[0][0, 0, 1], [(1 - high) / 2, high, (1 - high) / 2, 0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1, 0, 0, :2], [np.exp(2) / (np.exp(2) + 1), 1 / (np.exp(2) + 1)], rtol=1e-6)


def test_maps_are_the_layers_own_weights(encoder, ids) -> None:
    """The first layer's map, computed from its projections by hand."""
    given, layer = encoder.table(torch.from_numpy(ids)), encoder.encoder.layers[0].self_attn
    query, key, _ = nn.functional.linear(given, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=-1)
    query, key = (each.unflatten(-1, (4, 4)).transpose(1, 2) for each in (query, key))
    logits = (query @ key.transpose(2, 3) / 2).masked_fill(torch.from_numpy(ids == 0)[:, None, None], -torch.inf)
    np.testing.assert_allclose(maps(encoder, ids)[0], logits.softmax(dim=-1).detach(), atol=1e-6)


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_nothing_goes_to_padding_and_lines_add_up(ids, front, batch_first) -> None:
    torch.manual_seed(1)
    found = maps(Encoder(front=front, batch_first=batch_first).eval(), ids)
    assert [each.shape for each in found] == [(12, 4, 7 + front, 7 + front)] * 4
    unread = np.pad(ids == 0, ((0, 0), (int(front), 0)))
    for each in found:
        assert (each * unread[:, None, None, :] == 0).all()
        np.testing.assert_allclose(each.sum(axis=-1), 1, atol=1e-6)


def test_the_output_is_the_plain_paths_to_the_bit(encoder, ids) -> None:
    given = torch.from_numpy(ids)
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with torch.inference_mode():
            plain = encoder(given)
            with recorded(encoder) as found:
                watched = encoder(given)
    finally:
        torch.backends.mha.set_fastpath_enabled(value=True)
    assert len(found) == 4
    assert torch.equal(plain, watched)


def test_mixing_by_hand_gives_the_layers_output(encoder, ids) -> None:
    with torch.inference_mode():
        plain = encoder(torch.from_numpy(ids))
        with recorded(encoder, graded=True):
            mixed = encoder(torch.from_numpy(ids))
    torch.testing.assert_close(plain, mixed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_module_is_left_as_it_was(encoder, ids, name) -> None:
    before = copy.deepcopy(encoder.state_dict())
    with torch.inference_mode():
        answer = encoder(torch.from_numpy(ids))
    method(name)(question(encoder, texts(ids), outputs=3))
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in encoder.modules())
    assert all(each.grad is None and each.requires_grad for each in encoder.parameters())
    assert torch.backends.mha.get_fastpath_enabled()
    with torch.inference_mode():
        assert torch.equal(answer, encoder(torch.from_numpy(ids)))


def test_hooks_go_when_the_module_fails(encoder, ids) -> None:
    with pytest.raises(IndexError):
        maps(encoder, ids + 100)
    assert not any(each._forward_hooks for each in encoder.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_rollout_is_the_slow_loop(encoder, ids) -> None:
    found = method("attention.rollout")(question(encoder, texts(ids), outputs=3))
    layers = maps(encoder, ids)
    for row, tokens in enumerate(ids):
        flow = np.eye(7)
        for layer in layers:
            step = np.zeros((7, 7))
            for i in range(7):
                for j in range(7):
                    step[i, j] = 0.5 * np.mean([layer[row, head, i, j] for head in range(4)]) + 0.5 * (i == j)
            flow = step @ flow
        read = np.mean([flow[i] for i in range(7) if tokens[i] != 0], axis=0) * (tokens != 0)
        for output in range(3):
            np.testing.assert_allclose(found.values[row, :, output], read, atol=1e-6)
    np.testing.assert_allclose(found.values.sum(axis=1), 1, atol=1e-6)


def test_gradient_is_the_slow_loop(encoder, ids) -> None:
    """Central differences of the score in each cell of each map, in double precision."""
    twin, tokens = copy.deepcopy(encoder).double(), ids[:1, :3]
    twin.encoder.layers = twin.encoder.layers[:2]
    found = method("attention.gradient")(question(twin, texts(tokens), outputs=3))

    def score(layer, head, i, j, step):
        def nudge(module, _args, _kwargs, output):
            value = nn.functional.linear(_args[0], module.in_proj_weight[32:], module.in_proj_bias[32:])
            moved = torch.zeros(1, 3, 16, dtype=torch.float64)
            own = slice(4 * head, 4 * head + 4)
            moved[0, i, own] = step * value[0, j, own]
            return output[0] + module.out_proj(moved) - module.out_proj.bias, output[1]

        hook = twin.encoder.layers[layer].self_attn.register_forward_hook(nudge, with_kwargs=True)
        with torch.no_grad():
            answer = twin(torch.from_numpy(tokens))
        hook.remove()
        return answer[0].numpy()

    layers, relevance = maps(twin, tokens), np.stack([np.eye(3)] * 3)
    for place, weights in enumerate(layers):
        push = np.zeros((3, 3, 3))
        for head, i, j in np.ndindex(4, 3, 3):
            slope = (score(place, head, i, j, 1e-5) - score(place, head, i, j, -1e-5)) / 2e-5
            push[:, i, j] += np.maximum(slope * weights[0, head, i, j], 0) / 4
        relevance = relevance + push @ relevance
    expected = (relevance - np.eye(3)).mean(axis=1)
    np.testing.assert_allclose(found.values[0].T, expected, atol=1e-5)


def test_gradient_names_the_planted_token_where_attention_is_uniform() -> None:
    tokens = np.array([[3, PLANTED, 4, 6], [7, 8, PLANTED, 0], [PLANTED, 9, 0, 0]])
    asked = question(Reader().eval(), texts(tokens))
    spread, told = method("attention")(asked).values, method("attention.gradient")(asked).values
    there = tokens != 0
    np.testing.assert_allclose(spread, there / there.sum(axis=1, keepdims=True), atol=1e-6)
    assert ((told > 0) == (tokens == PLANTED)).all()
    # The score is 5/n from each token's own look at the planted one: its map times its slope, over all that look.
    np.testing.assert_allclose(told[0], [0, 5 / 16, 0, 0], atol=1e-6)


def test_special_tokens_and_padding_are_nobodys(encoder, ids) -> None:
    led = ids.copy()
    led[:, 0] = 2
    for name in METHODS:
        found = method(name)(question(encoder, texts(led), outputs=3))
        assert (found.values[(led == 0) | (led == 2)] == 0).all(), name
        assert (found.values[:, 1] > 0).any(), name


def test_a_row_is_read_from_its_leading_special_token(encoder, ids) -> None:
    led = ids.copy()
    led[:, 0] = 2
    found = method("attention")(question(encoder, texts(led), outputs=3)).values[..., 0]
    expected = averaged(maps(encoder, led))[:, 0] * (led != 2)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_position_in_front_is_read_and_not_shown(ids) -> None:
    module = Encoder(front=True).eval()
    found = method("attention.rollout")(question(module, texts(ids), outputs=3)).values[..., 0]
    np.testing.assert_allclose(found, rolled(maps(module, ids))[:, 0, 1:], atol=1e-7)


def test_a_module_says_where_it_pools(encoder, ids) -> None:
    encoder.pooling = "first"
    found = method("attention")(question(encoder, texts(ids), outputs=3)).values[..., 0]
    np.testing.assert_allclose(found, averaged(maps(encoder, ids))[:, 0], atol=1e-7)


def test_a_text_is_read_the_same_however_it_is_padded(encoder, ids) -> None:
    wider = np.pad(ids, ((0, 0), (0, 3)))
    for name in METHODS:
        near = method(name)(question(encoder, texts(ids), outputs=3)).values
        far = method(name)(question(encoder, texts(wider), outputs=3)).values
        np.testing.assert_allclose(near, far[:, :7], atol=1e-5, err_msg=name)


def test_an_empty_text_has_no_values() -> None:
    found = method("attention")(question(Chooser().eval(), texts(np.array([[3, PLANTED], [0, 0]]))))
    assert (found.values[1] == 0).all()


def test_a_module_may_offer_its_own_maps(ids) -> None:
    given = np.random.default_rng(0).dirichlet(np.ones(7), size=(2, 12, 3, 7))

    class Own(nn.Module):
        def forward(self, tokens):
            return tokens.float().mean(dim=1, keepdim=True)

        def maps(self, tokens):
            assert tokens.dtype == torch.int64
            return [torch.from_numpy(each) for each in given]

    asked = question(Own(), texts(np.where(ids == 0, 3, ids)))
    np.testing.assert_allclose(method("attention")(asked).values, given.mean(axis=(0, 2, 3)), atol=1e-6)
    with pytest.raises(InputError, match="MultiheadAttention"):
        method("attention.gradient")(asked)


def test_what_cannot_be_read_is_refused(ids, rng) -> None:
    with pytest.raises(InputError, match="no attention layers"):
        method("attention")(question(nn.Sequential(nn.Flatten(), nn.Linear(7, 1)), texts(ids.astype(np.float32))))
    for name in METHODS:
        with pytest.raises(InputError, match="layer"):
            method(name)(replace(question(Chooser(), texts(ids)), options={"layer": 1}))
    table = rng.normal(size=(4, 3))
    with pytest.raises(InputError, match="table"):
        seats(Data("table", table, table, None, {}, ()))
    with pytest.raises(InputError, match="9 positions and the rows have 7"):
        seats(texts(ids)).read(np.ones((12, 9, 9)))


def test_what_heads_do_is_the_slow_loop(encoder, ids) -> None:
    led = ids.copy()
    led[:, 0] = 2
    found, layers = heads(encoder, led, where=seats(texts(led))), maps(encoder, led)
    for row, layer, head in np.ndindex(12, 4, 4):
        count = int((led[row] != 0).sum())
        lines = layers[layer][row, head, :count, :count]
        entropy = np.mean([-sum(p * np.log(p) for p in line) for line in lines]) / np.log(count)
        assert found.spread[row, layer, head] == pytest.approx(entropy, abs=1e-5)
        assert found.special[row, layer, head] == pytest.approx(lines[:, 0].mean(), abs=1e-6)
    longer = (led != 0).sum(axis=1) >= 3
    assert found.rows[0, 2] == longer.sum()
    own = np.mean([each[longer, :, 0, 2] for each in layers])
    assert found.grid[0, 2] == pytest.approx(own, abs=1e-6)
    assert (found.padding == 0).all()


def test_a_model_that_looks_at_its_padding_is_told() -> None:
    class Careless(Reader):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            given = self.table(ids.long())
            return self.look(given, given, given)[0].mean(dim=1)[:, :1]

    tokens = np.array([[3, 4, 5, 0], [3, 4, 0, 0]])
    np.testing.assert_allclose(heads(Careless().eval(), tokens, where=seats(texts(tokens))).padding, [0.25, 0.5])
