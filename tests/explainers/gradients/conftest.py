"""Thirteen architectures, as models that gradients are taken from, and rows for each of them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rai.card import Head
from rai.explainers import Question, Target
from rai.subject import Data, Player, Vocabulary

WORDS = Vocabulary(tuple(map(str, range(30))), pad=0, mask=1, special=(2,))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.last(functional.relu(self.first(x)))


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.relu = nn.ModuleList([nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 2)]), nn.ReLU()

    def forward(self, x):
        return self.layers[2](self.relu(self.layers[1](self.relu(self.layers[0](x)))))


class InPlace(nn.Module):
    """Overwrites even its own input."""

    def __init__(self):
        super().__init__()
        self.relu, self.layers = nn.ReLU(inplace=True), nn.Sequential(nn.Linear(10, 32), nn.ReLU(inplace=True))
        self.middle, self.last = nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x):
        x += 1
        return self.last(functional.relu_(self.middle(self.layers(self.relu(x)))))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell, self.last = kind(4, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, x):
        there = ~x.isnan().all(dim=2)
        states = self.cell(torch.nan_to_num(x))[0]
        return self.last(states[torch.arange(len(x)), there.sum(dim=1) - 1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.place, self.token = nn.Embedding(12, 16), nn.Embedding(30, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 2)

    def forward(self, tokens):
        there = (tokens != 0)[..., None]
        seen = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))
        states = self.encoder(seen, src_key_padding_mask=~there[..., 0])
        return self.last((states * there).sum(dim=1) / there.sum(dim=1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(8 * 36, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        return self.last(self.pool(self.relu(self.second(x) + x)).flatten(1))


def mlp(act, norm=None):
    return nn.Sequential(nn.Linear(10, 32), norm or nn.Identity(), act, nn.Linear(32, 2))


def pooled():
    conv = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*conv, nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 2))


ARCHITECTURES = {
    "relu": ("table", lambda: mlp(nn.ReLU())),
    "silu": ("table", lambda: mlp(nn.SiLU())),
    "gelu": ("table", lambda: mlp(nn.GELU())),
    "layer norm": ("table", lambda: mlp(nn.ReLU(), nn.LayerNorm(32))),
    "group norm": ("table", lambda: mlp(nn.ReLU(), nn.GroupNorm(4, 32))),
    "functional relu": ("table", Functional),
    "reused relu": ("table", Reused),
    "in-place relu": ("table", InPlace),
    "lstm": ("sequence", lambda: Recurrent(nn.LSTM)),
    "gru": ("sequence", lambda: Recurrent(nn.GRU)),
    "transformer": ("text", Encoder),
    "max-pool cnn": ("image", pooled),
    "resnet": ("image", Residual),
}


class Inside:
    """A torch module as a model."""

    head = Head.LOGITS
    trust = "in memory"

    def __init__(self, module):
        self.module = module.eval()

    def scores(self, inputs):
        kind = torch.int64 if inputs.dtype.kind == "i" else torch.float32
        with torch.no_grad():
            return self.module(torch.tensor(inputs, dtype=kind)).numpy()

    def inside(self, procedure, inputs, **arguments):
        return procedure(self.module, inputs, **arguments)


def _rows(kind, count, rng):
    """Rows of each kind; sequences and texts of several lengths, texts with a special token in front."""
    shape = {"table": (10,), "image": (1, 12, 12), "sequence": (9, 4), "text": (12,)}[kind]
    if kind == "text":
        tokens = rng.integers(3, 30, size=(count, 12))
        tokens[:, 0] = 2
        return np.where(np.arange(12) < rng.integers(5, 13, size=(count, 1)), tokens, 0)
    inputs = rng.normal(size=(count, *shape)).astype(np.float32)
    if kind == "sequence":
        inputs[np.arange(9) >= rng.integers(4, 10, size=(count, 1))] = np.nan
    return inputs


def cut(kind):
    """Players: inputs one by one, or patches of 3 × 3."""
    if kind == "image":
        places = np.arange(144).reshape(4, 3, 4, 3).transpose(0, 2, 1, 3).reshape(16, 9)
        return tuple(Player(f"patch {each}", tuple(map(int, part))) for each, part in enumerate(places))
    return tuple(Player(f"x{each}", (each,)) for each in range({"table": 10, "sequence": 36, "text": 12}[kind]))


def _data(kind, inputs):
    return Data(kind, inputs, inputs.reshape(len(inputs), -1), None, {}, cut(kind), vocabulary=WORDS)


def _question(module, kind, rng, *, background=None, **said):
    compared = _rows(kind, 12, rng) if background is None else background
    return Question(Inside(module), Target(), _data(kind, _rows(kind, 5, rng)), _data(kind, compared), **said)


@pytest.fixture
def build():
    def made(name):
        torch.manual_seed(7)
        kind, make = ARCHITECTURES[name]
        module = make()
        for each in module.parameters():
            each.data *= 1.5
        return kind, module

    return made


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    """Each architecture, where a test does not choose among them."""
    return request.param


@pytest.fixture
def rows():
    """Rows of a kind, drawn anew."""
    return _rows


@pytest.fixture
def data():
    """Rows as data, with players."""
    return _data


@pytest.fixture
def question():
    """A question about a module."""
    return _question


@pytest.fixture
def inside():
    """A torch module as a model."""
    return Inside
