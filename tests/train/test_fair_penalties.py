"""Gap penalties, against slow and obvious loops, and by what they do to a planted gap."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.train.fair.penalties import Penalty, hsic, mean_difference, softened
from rai.train.fair.schedule import Dial, share_of_strength

seeds = st.integers(0, 2**31)
few = settings(max_examples=25, deadline=None)


def drawn(seed, rows=40, outputs=1, levels=(2, 3)):
    rng = torch.Generator().manual_seed(seed)
    codes = torch.stack([torch.randint(-1, many, (rows,), generator=rng) for many in levels], dim=1)
    targets = torch.randint(0, max(2, outputs), (rows,), generator=rng)
    return torch.randn(rows, outputs, generator=rng, dtype=torch.float64), targets, codes


def slow_mean_difference(soft, codes):
    """Level by level and column by column, over rows whose group is known."""
    known = [i for i in range(len(codes)) if codes[i] >= 0]
    present = sorted({int(codes[i]) for i in known})
    if len(present) < 2:
        return 0.0
    found = 0.0
    for column in range(soft.shape[1]):
        everyone = np.mean([soft[i, column] for i in known])
        away = [abs(np.mean([soft[i, column] for i in known if codes[i] == level]) - everyone) for level in present]
        found += float(np.mean(away)) / (1 if soft.shape[1] == 1 else 2)
    return found


def slow_hsic(soft, codes):
    """The traces of products of centred kernels, with every kernel value computed by itself."""
    rows = len(soft)
    width = soft.std(axis=0)
    first = [[np.exp(-(((soft[i] - soft[j]) / width) ** 2).sum() / 2) for j in range(rows)] for i in range(rows)]
    second = [[float(codes[i] == codes[j]) for j in range(rows)] for i in range(rows)]
    centre = np.eye(rows) - 1 / rows
    first, second = centre @ np.array(first) @ centre, centre @ np.array(second) @ centre
    return np.trace(first @ second) / np.sqrt(np.trace(first @ first) * np.trace(second @ second))


def slow_penalty(criterion, soft, targets, codes):
    outputs = soft.shape[1]
    if criterion == "demographic_parity":
        parts = [(np.ones(len(soft), bool), slice(None))]
    elif criterion == "equalized_odds":
        parts = [(targets == k, slice(None)) for k in range(max(2, outputs))]
    elif outputs == 1:
        parts = [(targets == 1, slice(None))]
    else:
        parts = [(targets == k, slice(k, k + 1)) for k in range(outputs)]
    return sum(
        np.mean([slow_mean_difference(soft[rows][:, column], codes[rows, place]) for rows, column in parts])
        for place in range(codes.shape[1])
    )


@few
@given(seeds, st.sampled_from(["demographic_parity", "equalized_odds", "equal_opportunity"]), st.sampled_from([1, 3]))
def test_the_penalty_is_that_of_an_obvious_loop(seed, criterion, outputs):
    given_outputs, targets, codes = drawn(seed, outputs=outputs)
    task = "binary" if outputs == 1 else "multiclass"
    found = Penalty(task, criterion, (2, 3))(given_outputs, targets, codes)
    soft = torch.sigmoid(given_outputs) if outputs == 1 else torch.softmax(4 * given_outputs, dim=1)
    assert float(found) == pytest.approx(slow_penalty(criterion, soft.numpy(), targets.numpy(), codes.numpy()))


@few
@given(seeds)
def test_hsic_is_that_of_an_obvious_loop(seed):
    outputs, _, codes = drawn(seed, rows=12, outputs=3)
    whole = codes[:, 1].clamp_min(0)
    if len(whole.unique()) > 1:
        assert float(hsic(outputs, whole, 3)) == pytest.approx(slow_hsic(outputs.numpy(), whole.numpy()))


@few
@given(seeds, st.sampled_from(["demographic_parity", "equalized_odds", "equal_opportunity"]))
def test_the_gradient_is_that_of_finite_differences(seed, criterion):
    outputs, targets, codes = drawn(seed, rows=15)
    penalty = Penalty("binary", criterion, (2, 3))
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda each: penalty(each, targets, codes), outputs, atol=1e-4)


def test_the_gradient_of_hsic_is_that_of_finite_differences_at_a_fixed_width():
    soft, codes = (
        torch.randn(10, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        torch.arange(10) % 2,
    )
    width = soft.std(dim=0, correction=0)
    soft.requires_grad_()
    (found,) = torch.autograd.grad(hsic(soft, codes, 2), soft)
    for place in range(3):
        step = torch.zeros_like(soft)
        step[place] = 1e-5
        both = [hsic_of_scaled((soft.detach() + sign * step) / width, codes) for sign in (1, -1)]
        assert float(found[place]) == pytest.approx((both[0] - both[1]) / 2e-5, rel=1e-4)


def hsic_of_scaled(scaled, codes):
    kernel = torch.exp(-(scaled - scaled.T).square() / 2)
    alike = (codes[:, None] == codes[None]).double()
    centre = torch.eye(len(codes), dtype=torch.float64) - 1 / len(codes)
    first, second = centre @ kernel @ centre, centre @ alike @ centre
    return float((first * second).sum() / (first.square().sum() * second.square().sum()).sqrt())


def test_equal_decisions_and_absent_groups_cost_nothing():
    outputs, targets, codes = drawn(0)
    for kind in ("mean_difference", "hsic"):
        for criterion in ("demographic_parity", "equalized_odds", "equal_opportunity"):
            penalty = Penalty("binary", criterion, (2, 3), kind)
            same = torch.full_like(outputs, 0.3, requires_grad=True)
            found = penalty(same, targets, codes)
            found.backward()
            assert float(found.detach()) == pytest.approx(0, abs=1e-12)
            assert same.grad.isfinite().all()
            assert float(penalty(outputs, targets, torch.full_like(codes, -1))) == 0
            assert float(penalty(outputs, targets, torch.zeros_like(codes))) == 0
            assert float(penalty(outputs[:0], targets[:0], codes[:0])) == 0


def test_hsic_is_one_where_the_decision_is_the_group_and_sees_what_means_do_not():
    codes = torch.arange(40) % 2
    apart = hsic(codes.double()[:, None], codes, 2)
    spread = torch.where(codes == 0, 0.1, 1.0).double()[:, None] * torch.tensor([1.0, 1.0, -1.0, -1.0] * 10)[:, None]
    assert float(apart) == pytest.approx(1)
    assert float(mean_difference(spread, codes, 2)) == pytest.approx(0)
    assert float(hsic(spread, codes, 2)) > 0.1


def test_regression_is_measured_in_standard_deviations_of_the_targets():
    targets = torch.tensor([0.0, 2.0, 4.0, 6.0])
    found = Penalty("regression", "demographic_parity", (2,))(
        targets[:, None], targets, torch.tensor([[0], [0], [1], [1]])
    )
    assert float(found) == pytest.approx(2 / float(targets.std(correction=0)))
    assert softened("regression", torch.ones(3, 1), torch.ones(3)).tolist() == [[1], [1], [1]]


def test_the_strength_rises_after_the_warm_start_and_hangs_on_the_epoch_alone():
    assert [share_of_strength(epoch, 1, 2) for epoch in range(5)] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert [share_of_strength(epoch, 0, 0) for epoch in range(2)] == [1, 1]
    dial = Dial(3.0, 1, 2)
    dial.turn(2)
    again = Dial(3.0, 1, 2)
    for epoch in (4, 0, 2):
        again.turn(epoch)
    assert dial.now == again.now == pytest.approx(2.0)
