"""The noise has the deviation that is claimed, and an audit that knows the sum finds no more than is claimed."""

import math

import numpy as np
import torch
from scipy import stats
from torch import nn

from rai.train.batches import Batch
from rai.train.losses import loss_of
from rai.train.private.accounting import epsilon
from rai.train.private.gradients_loop import loop
from rai.train.private.noise import LOSS_NOISE, add_noise, gradient_multiplier, set_gradients
from rai.train.private.sampling import Units, secret
from rai.train.private.steps import LARGEST_LOSS, Steps
from rai.train.settings import Private

ALPHA = 1e-6


def promise(**given):
    usual = {"sample_rate": 0.5, "steps": 1, "delta": 1e-5, "expected_batch": 4.0, "noise_multiplier": 1.0}
    return Private(**{**usual, **given})


def test_the_noise_has_the_claimed_deviation_and_shape():
    std, zeros = 2.5, {"a": torch.zeros(200, 100), "b": torch.zeros(3000)}
    found = add_noise(zeros, std, secret())
    drawn = np.concatenate([each.flatten().numpy() for each in found.values()]).astype(float)
    total = (drawn**2).sum() / std**2
    assert ALPHA < stats.chi2.cdf(total, len(drawn)) < 1 - ALPHA
    assert stats.kstest(drawn / std, "norm").pvalue > ALPHA


def test_noise_on_one_number_says_nothing_of_another_number_or_step():
    rng = secret()
    first, second = (add_noise({"a": torch.zeros(20_000)}, 1.0, rng)["a"].double() for _ in range(2))
    for one, other in ((first, second), (first[:-1], first[1:]), (first[:10_000], first[10_000:])):
        assert stats.pearsonr(one.numpy(), other.numpy()).pvalue > ALPHA
        assert stats.pearsonr(one.numpy() ** 2, other.numpy() ** 2).pvalue > ALPHA


def test_a_seed_that_anyone_can_set_does_not_repeat_the_noise():
    def again():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the very seed that must not matter
        return add_noise({"a": torch.zeros(8)}, 1.0, secret())["a"]

    assert not torch.equal(again(), again())


def test_drawing_noise_leaves_the_reproducible_draws_alone():
    torch.manual_seed(3)
    undisturbed = torch.rand(3)
    torch.manual_seed(3)
    add_noise({"a": torch.zeros(8)}, 1.0, secret())
    assert torch.equal(torch.rand(3), undisturbed)


def test_the_noisy_sum_is_divided_by_the_public_number_alone():
    module = nn.Linear(2, 1, bias=False)
    set_gradients(module, add_noise({"weight": torch.tensor([[8.0, 4.0]])}, 0.0, secret(), expected_batch=4.0))
    assert module.weight.grad.tolist() == [[2.0, 1.0]]


def test_gradients_and_losses_together_spend_the_claimed_noise_multiplier():
    each = gradient_multiplier(1.3)
    assert math.isclose(1 / math.sqrt(1 / each**2 + 1 / (LOSS_NOISE * each) ** 2), 1.3, rel_tol=1e-12)


class Canned(nn.Module):
    """A network of one weight for each row: row i's gradient points along weight i alone."""

    def __init__(self, rows):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows))

    def forward(self, inputs):
        return inputs @ self.weight


def released(noise, repeats, *, included):
    """What steps show of a canary whose clipped gradient has length 1, along the direction that is its own."""
    inputs = 100 * torch.eye(2)[[1] if not included else [1, 0]]
    batch, module, seen = Batch(inputs, torch.ones(len(inputs))), Canned(2), []
    clipped = loop(module, loss_of("regression"), batch, 1.0)
    steps = Steps(Units(2), promise(max_grad_norm=1.0), noise, loss_of("regression"), lambda *_: clipped)
    for _ in range(repeats):
        steps.gradients(module, batch)
        seen.append(float(module.weight.grad[0]) * 4.0)
    return np.asarray(seen)


def audited(claimed_noise, true_noise, *, delta, repeats=8000):
    """A lower bound of epsilon (chance of error 1e-6) by whoever guesses a canary from one step's noisy sum.

    The threshold is fixed beforehand; Clopper-Pearson on both errors (Nasr et al. 2021).
    """
    with_it, without = (released(true_noise, repeats, included=each) for each in (True, False))
    threshold = -claimed_noise  # a canary pulls its weight: the gradient is -1 more where it is in
    hits, alarms = int((with_it < threshold).sum()), int((without < threshold).sum())
    power = stats.beta.ppf(ALPHA / 2, hits, repeats - hits + 1)
    false = stats.beta.ppf(1 - ALPHA / 2, alarms + 1, repeats - alarms)
    return math.log(max(power - delta, 1e-12) / false)


def test_a_canary_audit_stays_below_the_claim_and_catches_noise_that_is_halved():
    claimed = epsilon(2.0, 1.0, steps=1, delta=0.05).value
    assert 0 < audited(2.0, 2.0, delta=0.05) <= claimed
    assert audited(2.0, 1.0, delta=0.05) > claimed


def test_the_curve_of_losses_is_noisy_and_clipped():
    batch, module, seen = Batch(torch.ones(3, 2), torch.tensor([0.0, 1000.0, 0.0])), Canned(2), []
    clipped = loop(module, loss_of("regression"), batch, 1.0)
    steps = Steps(Units(3), promise(), 1.0, loss_of("regression"), lambda *_: clipped)
    for _ in range(3000):
        steps.gradients(module, batch)
        seen.append(steps.curve.read(1.0))
    std = gradient_multiplier(1.0) * LOSS_NOISE * LARGEST_LOSS
    assert abs(np.mean(seen) - LARGEST_LOSS) < 5 * std / math.sqrt(3000)
    assert ALPHA < stats.chi2.cdf(((np.asarray(seen) - LARGEST_LOSS) ** 2).sum() / std**2, 3000) < 1 - ALPHA
