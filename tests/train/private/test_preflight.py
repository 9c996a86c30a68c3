"""Each hole that training with a promise must not have, planted and called by its name."""

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.networks import build
from rai.train import settings
from rai.train.batches import Batch
from rai.train.losses import loss_of
from rai.train.private import fit_private
from rai.train.private.preflight import holes, require_tight

LOSS = loss_of("multiclass")
ROWS = (np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4), np.arange(12) % 3)
PROMISE = {
    "noise_multiplier": 1.0,
    "delta": 1e-5,
    "sample_rate": 0.25,
    "steps": 2,
    "expected_batch": 3.0,
}


class Standardised(nn.BatchNorm1d):
    """A subclass, which a check of exact types would pass by."""


class Frozen(nn.BatchNorm1d):
    def __init__(self, features):
        super().__init__(features)
        self.requires_grad_(requires_grad=False)


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, inputs):
        if self.training:
            self.seen += inputs.mean(dim=0)
        return inputs


class Centred(nn.Module):
    """Batch normalisation in all but name."""

    def forward(self, inputs):
        return inputs - inputs.mean(dim=0)


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 4)

    def forward(self, inputs):
        return inputs


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.second(torch.tanh(self.first(inputs)))


class Stepwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = nn.RNN(4, 4, batch_first=True)

    def forward(self, inputs):
        return self.core(inputs[:, None])[1][-1]


PLANTED = {
    "batch_norm": (nn.BatchNorm1d(4), "1: BatchNorm1d mixes the rows of a batch"),
    "affine-free batch_norm": (nn.BatchNorm1d(4, affine=False), "1: BatchNorm1d mixes"),
    "frozen batch_norm": (Frozen(4), "1: Frozen mixes"),
    "subclassed batch_norm": (Standardised(4), "1: Standardised mixes"),
    "buffer": (Remembering(), "1.seen: a buffer of Remembering that changes in training"),
    "mixing": (Centred(), "1: what it answers for a row hangs on the other rows"),
    "in_place": (nn.ReLU(inplace=True), "1: ReLU overwrites"),
    "unused": (Idle(), "1.spare.weight: a parameter that the loss does not reach"),
    "tied": (Twice(), "1.first.weight = 1.second.weight: tied weights"),
    "rnn": (Stepwise(), "1.core: Opacus, which is or may be chosen, cannot tell the gradients of a plain RNN"),
}


def network(middle):
    return nn.Sequential(nn.Linear(4, 4), middle, nn.Tanh(), nn.Linear(4, 3))


@pytest.mark.parametrize("hole", PLANTED)
def test_a_planted_hole_is_refused_by_name_before_anything_is_trained(hole):
    middle, named = PLANTED[hole]
    planted = network(middle)
    before = {name: each.clone() for name, each in planted.state_dict().items()}
    with pytest.raises(InputError) as refused:
        fit_private(planted, ROWS, **PROMISE)
    assert named in str(refused.value)
    assert f"({hole.split()[-1]})" in str(refused.value)
    assert all(torch.equal(before[name], each) for name, each in planted.state_dict().items())


@pytest.mark.parametrize("middle", [nn.Linear(4, 4), nn.LayerNorm(4), nn.Dropout(0.5), nn.GroupNorm(2, 4)])
def test_clean_layers_have_no_holes(middle):
    batch = Batch(torch.from_numpy(ROWS[0]), torch.from_numpy(ROWS[1]))
    assert holes(network(middle).train(), LOSS, batch, gradients="auto") == ()


@pytest.mark.parametrize(
    ("kind", "arguments", "shape"),
    [
        ("mlp", {"inputs": 4, "dropout": 0.2, "norm": "layer"}, (4,)),
        ("cnn", {"inputs": 1, "size": (8, 8), "norm": "group"}, (1, 8, 8)),
        ("resnet", {"inputs": 1, "norm": "group"}, (1, 8, 8)),
        ("recurrent", {"inputs": 2, "dropout": 0.2}, (5, 2)),
        ("transformer", {"inputs": 2, "width": 8, "heads": 2}, (5, 2)),
    ],
)
def test_our_own_networks_have_no_holes(kind, arguments, shape):
    module = build(Network(kind, {"outputs": 3, **arguments})).train()
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32))
    assert holes(module, LOSS, Batch(inputs, torch.tensor([0, 1, 2])), gradients="auto") == ()


def test_several_holes_are_all_named():
    both = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    with pytest.raises(InputError, match=r"1: BatchNorm1d .* \(and 1 more: 2 \(in_place\)"):
        fit_private(both, ROWS, **PROMISE)


def test_a_frozen_batch_norm_that_stays_in_evaluation_mode_is_no_hole():
    module = network(nn.BatchNorm1d(4))
    batch = Batch(torch.from_numpy(ROWS[0]), torch.from_numpy(ROWS[1]))
    module.train()
    module[1].eval().requires_grad_(requires_grad=False)
    assert holes(module, LOSS, batch, gradients="auto") == ()


@pytest.mark.parametrize("hole", ["tied", "rnn"])
def test_our_own_engine_by_name_takes_what_opacus_cannot(hole):
    trained = fit_private(network(PLANTED[hole][0]), ROWS, **PROMISE, gradients="book_keeping")
    assert trained.ledger.privacy.gradients == "book_keeping"
    assert trained.ledger.privacy.replaced == ()


@pytest.mark.parametrize("word", ["unused", "unused:1.spare.weight"])
def test_what_somebody_answers_for_is_written_down(word):
    module = network(Idle())
    module[1].spare.bias.requires_grad_(requires_grad=False)
    trained = fit_private(module, ROWS, **PROMISE, waive=(word,))
    assert trained.ledger.privacy.waived == ("1.spare.weight: a parameter that the loss does not reach (unused)",)


def test_a_waiver_for_one_path_is_none_for_another():
    batch = Batch(torch.from_numpy(ROWS[0]), torch.from_numpy(ROWS[1]))
    with pytest.raises(InputError, match="1.spare.weight"):
        require_tight(network(Idle()).train(), LOSS, batch, gradients="auto", waive=("unused:1.spare.bias",))


@pytest.mark.parametrize("word", ["batch_norm", "mixing", "poisson", "tied"])
def test_what_breaks_the_promise_cannot_be_waived(word):
    with pytest.raises(InputError, match=f"'{word}' cannot be waived"):
        fit_private(network(nn.BatchNorm1d(4)), ROWS, **PROMISE, waive=(word,))


@pytest.mark.parametrize(
    ("word", "value", "reason"),
    [
        ("poisson_sampling", False, "shuffled batches keep less than is promised"),
        ("accountant", "gdp", "GDP says less than is spent"),
        ("generator", torch.default_generator, "noise from a generator that can be repeated hides nothing"),
        ("noise_seed", 0, "noise from a generator that can be repeated hides nothing"),
        ("data_loader", [], "follow from how many rows there are"),
        ("batch_size", 4, "follow from how many rows there are"),
    ],
)
def test_a_word_that_would_break_the_promise_is_refused_by_name(word, value, reason):
    with pytest.raises(InputError, match=f"private.{word}.*{reason}"):
        fit_private(network(nn.Tanh()), ROWS, **PROMISE, **{word: value})


@pytest.mark.parametrize("word", ["sample_rate", "steps", "expected_batch", "delta"])
def test_a_public_number_that_is_not_given_is_not_made_up(word):
    given = {name: value for name, value in PROMISE.items() if name != word}
    with pytest.raises(InputError, match=f"private.{word}: is missing.*never taken from how many rows"):
        fit_private(network(nn.Tanh()), ROWS, **given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"epsilon": 1.0}, "both given"),
        ({"noise_multiplier": None}, "both missing"),
        ({"noise_multiplier": 0.0}, "private.noise_multiplier: is 0.0"),
        ({"sample_rate": 1.5}, "private.sample_rate: is 1.5"),
        ({"delta": 1.0}, "private.delta: is 1.0"),
        ({"steps": 0}, "private.steps: is 0"),
        ({"clip": 1.0}, "private.clip: is no word of a promise"),
    ],
)
def test_a_number_that_makes_no_promise_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        fit_private(network(nn.Tanh()), ROWS, **{**PROMISE, **given})


@pytest.mark.parametrize("given", [{"early_stopping": 3}, {"class_weight": "balanced"}])
def test_settings_that_look_at_rows_past_the_noise_are_refused(given):
    with pytest.raises(InputError, match=f"fit.{next(iter(given))}"):
        fit_private(network(nn.Tanh()), ROWS, **PROMISE, settings=settings.Fit(**given))
