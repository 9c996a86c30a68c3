"""Attention over steps of sequences, patches of images, and models of transformers."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Head
from rai.errors import InputError
from rai.explainers import Question, Target, method
from rai.explainers.attention import averaged, maps
from rai.explainers.attention_seats import seats, whole_steps
from rai.models.torch_model import TorchModel
from rai.subject import Data, Player, Vocabulary

WORDS = Vocabulary(("[PAD]", "[MASK]", "[CLS]", *(f"w{each}" for each in range(9))), pad=0, mask=1, special=(2,))


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
    """Twelve texts of two to seven tokens, in seven places, each begun with [CLS]."""
    found = rng.integers(3, len(WORDS.names), size=(12, 7))
    found[:, 0] = 2
    return np.where(np.arange(7) < rng.integers(2, 8, size=12)[:, None], found, WORDS.pad)


class Steps(nn.Module):
    """A transformer over the steps of a sequence of two features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.look = nn.Linear(2, 8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        over = rows.isnan().all(dim=2)
        given = self.first(rows.nan_to_num())
        return self.look(given, given, given, key_padding_mask=over)[0][:, 0, :1]


def test_sequences_are_shared_out_over_whole_steps(rng) -> None:
    inputs = rng.normal(size=(5, 6, 2)).astype(np.float32)
    inputs[0, 4:] = np.nan
    cells = [
        Player(f"{name}, {half}", (a, a + 2, a + 4)) for half in (0, 6) for a, name in ((half, "x"), (half + 1, "y"))
    ]
    data = Data("sequence", inputs, inputs.reshape(5, -1), None, {}, tuple(cells))
    module = Steps().eval()
    with pytest.raises(InputError, match="whole steps.*shapley"):
        seats(data)
    whole = whole_steps(data)
    assert [each.name for each in whole.players] == ["steps 1 to 3", "steps 4 to 6"]
    assert whole.players[1].inputs == (6, 7, 8, 9, 10, 11)
    where, weights = seats(whole), maps(module, inputs)[0].mean(axis=1)
    alive = np.arange(6) < np.array([4, 6, 6, 6, 6])[:, None]
    slow = np.stack([weights[row, alive[row]].mean(axis=0) for row in range(5)])
    expected = np.stack([slow[:, :3].sum(axis=1), slow[:, 3:].sum(axis=1)], axis=1)
    np.testing.assert_allclose(where.read(averaged([maps(module, inputs)[0]])), expected, atol=1e-6)


class Patches(nn.Module):
    """One head over 4 × 4 patches of one pixel each and a summary in front, which looks at bright patches."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.MultiheadAttention(1, 1, batch_first=True)
        with torch.no_grad():
            self.look.in_proj_weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
            self.look.in_proj_bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        given = nn.functional.pad(images.flatten(1), (1, 0))[:, :, None]
        return self.look(given, given, given)[0][:, 0]


def pictures(inputs: np.ndarray, side: int) -> Data:
    """Images cut into side × side players, in order from top left."""
    height = inputs.shape[2]
    flat = np.arange(height**2).reshape(side, height // side, side, height // side).transpose(0, 2, 1, 3)
    players = tuple(Player(str(each), tuple(cells)) for each, cells in enumerate(flat.reshape(side**2, -1).tolist()))
    return Data("image", inputs, inputs.reshape(len(inputs), -1), None, {}, players)


def test_images_are_shared_out_over_whole_patches(rng) -> None:
    inputs = rng.normal(size=(5, 1, 4, 4)).astype(np.float32)
    found = method("attention")(question(Patches().eval(), pictures(inputs, 2))).values
    weights = np.exp(inputs[:, 0]) / (1 + np.exp(inputs).sum(axis=(1, 2, 3)))[:, None, None]
    expected = weights.reshape(5, 2, 2, 2, 2).sum(axis=(2, 4)).reshape(5, 4)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_patches_across_players_are_refused(rng) -> None:
    nine = pictures(rng.normal(size=(2, 1, 12, 12)).astype(np.float32), 3)
    with pytest.raises(InputError, match="4 × 4 patches lie across"):
        seats(nine).read(np.ones((2, 17, 17)))
    with pytest.raises(InputError, match="do not divide"):
        seats(nine).read(np.ones((2, 25, 25)))


def bert():
    """A small classifier of transformers with random weights, wrapped as a model of the user's would be."""
    transformers = pytest.importorskip("transformers")
    wrapped = importlib.import_module("rai.models.hugging_face_modules")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS.names),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
        attn_implementation="eager",
    )
    return wrapped.TextClassifier(transformers.BertForSequenceClassification(config)).eval()


def test_a_transformers_model_is_read_alike(ids) -> None:
    module = bert()
    layers, asked = maps(module, ids), question(module, texts(ids), outputs=3)
    assert [each.shape for each in layers] == [(12, 2, 7, 7)] * 2
    assert all((each * (ids == 0)[:, None, None] == 0).all() for each in layers)
    told = method("attention.gradient")(asked).values
    assert (told[(ids == 0) | (ids == 2)] == 0).all()
    assert (told >= 0).all()
    assert (told[:, 1:2] > 0).any(axis=2).all()
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


def test_gradients_of_a_transformers_model_are_the_slow_loops(ids) -> None:
    """The relevance of one layer is the positive part of map times slope, read from the first position."""
    module, tokens = bert(), ids[:3, :4]
    module.model.bert.encoder.layer = module.model.bert.encoder.layer[:1]
    found = method("attention.gradient")(question(module, texts(tokens), outputs=3)).values
    answer = module.model(
        input_ids=torch.from_numpy(tokens), attention_mask=torch.from_numpy(tokens != 0).long(), output_attentions=True
    )
    for output in range(3):
        slope = torch.autograd.grad(answer.logits[:, output].sum(), answer.attentions[0], retain_graph=True)[0]
        push = (slope * answer.attentions[0]).clamp(min=0).mean(dim=1)[:, 0].detach().numpy()
        np.testing.assert_allclose(found[..., output], push * (tokens > 2), atol=1e-7)
