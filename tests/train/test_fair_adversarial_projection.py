"""The gradient that the predictor follows has no part along the adversary's but what the strength puts in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from rai.train.batches import Batch, Rows
from rai.train.fair.adversarial import Duel, Pair, _pair
from rai.train.fair.job import Attribute, Job
from rai.train.fair.projection import opposed
from rai.train.fair.schedule import Dial
from rai.train.losses import loss_of
from rai.train.settings import Fair, Fit

SHAPES = st.lists(st.integers(1, 6), min_size=0, max_size=4).map(tuple)


def drawn(shape, seed, scale=1.0):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape) * scale)


@given(SHAPES, st.integers(0, 1000), st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_nothing_is_left_along_the_adversary(shape, seed, scale):
    gradient, adversary = drawn(shape, seed), drawn(shape, seed + 1, scale)
    along = (opposed(gradient, adversary, 0.0) * adversary).sum() / adversary.norm()
    assert abs(float(along)) <= 1e-6 * max(1.0, float(gradient.norm()))


@given(SHAPES, st.integers(0, 1000), st.floats(0.01, 10))
@settings(max_examples=40, deadline=None)
def test_number_by_number_it_is_the_formula_of_the_paper(shape, seed, strength):
    g, u = drawn(shape, seed), drawn(shape, seed + 1)
    flat_g, flat_u = g.flatten().tolist(), u.flatten().tolist()
    products = sum(a * b for a, b in zip(flat_g, flat_u, strict=True))
    share = products / sum(b * b for b in flat_u)
    slow = [a - share * b - strength * b for a, b in zip(flat_g, flat_u, strict=True)]
    assert opposed(g, u, strength).flatten().tolist() == pytest.approx(slow, abs=1e-9)


def test_an_adversary_without_a_gradient_takes_nothing_away():
    gradient = drawn((3, 2), 0)
    assert torch.equal(opposed(gradient, torch.zeros(3, 2, dtype=torch.float64), 5.0), gradient)


def test_rows_of_a_matrix_are_not_projected_pair_by_pair():
    """The sum over all pairs of rows, which is sometimes taken for the product of two matrices, is another number."""
    g, u = drawn((8, 5), 3), drawn((8, 5), 4)
    wrong = g - torch.inner(u, g).sum() / u.square().sum() * u
    assert abs(float((wrong * u).sum())) > 0.1
    assert abs(float((opposed(g, u, 0.0) * u).sum())) < 1e-9


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 3, 3), nn.Linear(3 * 4 * 4, 1)

    def forward(self, inputs):
        return self.last(torch.relu(self.conv(inputs)).flatten(1))


@pytest.mark.parametrize("criterion", ["demographic_parity", "equalized_odds"])
def test_the_step_of_a_network_with_convolutions_is_turned_tensor_by_tensor(criterion):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 6, 6, generator=generator)
    targets = (images.mean((1, 2, 3)) > 0).float()
    codes = (images[:, 0, 0, 0] > 0).long()[:, None]
    torch.manual_seed(0)
    job = Job(
        Small(), Rows(images, targets, "binary", sensitive=codes), (Attribute("a", ("0", "1")),),
        Fair(criterion=criterion), Fit(),
    )  # fmt: skip
    pair, batch = _pair(job), Batch(images, targets, codes)
    assert isinstance(pair, Pair)
    Duel(loss_of("binary"), Dial(0.7, 0, 0, now=0.7))(pair, batch)
    found = [each.grad.clone() for each in pair.predictor.parameters()]
    pair.zero_grad()
    outputs = pair.predictor(images)
    functional.binary_cross_entropy_with_logits(outputs[:, 0], targets).backward(retain_graph=True)
    own = [each.grad.clone() for each in pair.predictor.parameters()]
    pair.zero_grad()
    pair.opponent(outputs, batch).backward()
    for each, g, gradient in zip(pair.predictor.parameters(), own, found, strict=True):
        u = each.grad
        bare = gradient + 0.7 * u
        assert abs(float((bare * u).sum())) / float(u.norm()) < 1e-6
        assert torch.allclose(bare, opposed(g, u, 0.0), atol=1e-6)
