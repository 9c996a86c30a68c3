"""A private training keeps its promise, and says all of it in the ledger."""

import dataclasses

import numpy as np
import pytest
import torch

from rai.errors import InputError
from rai.train.batches import Batch, Rows
from rai.train.losses import loss_of
from rai.train.private import fit_private
from rai.train.private.accounting import epsilon
from rai.train.private.canaries import candidates, planted, toss, with_canaries
from rai.train.private.clipped_sum import ClippedSum
from rai.train.private.gradients_loop import loop
from rai.train.private.sampling import Units
from rai.train.private.steps import Steps, by_group
from rai.train.settings import Private


def test_the_ledger_says_all_of_the_promise(network, rows, promised, sgd):
    promise = dataclasses.replace(promised, gradients="auto")
    found = fit_private(network(), rows(), private=promise, settings=sgd).ledger
    told = found.privacy
    assert told.epsilon == pytest.approx(epsilon(2.0, 0.2, steps=10, delta=1e-5).value)
    assert (told.delta, told.noise_multiplier, told.max_grad_norm) == (1e-5, 2.0, 1.0)
    assert (told.sample_rate, told.steps, told.expected_batch) == (0.2, 10, 20.0)
    assert (told.unit, told.sampler, told.relation) == ("record", "Poisson", "add or remove one unit")
    assert told.accountant.startswith("PLD (dp-accounting 0")
    assert told.alternatives["RDP"] >= told.alternatives["PRV"] >= told.epsilon
    assert told.gradients in {"book_keeping", "hooks", "ghost"}
    assert {"opacus", "dp-accounting"} <= set(found.versions)
    assert found.data.rows == 100
    assert [each.number for each in found.epochs] == [1, 2]


def test_words_one_by_one_say_the_same_as_a_promise(network, rows, promised, sgd):
    words = {
        name: value for name, value in dataclasses.asdict(promised).items() if value != getattr(Private, name, None)
    }
    found = fit_private(network(), rows(), settings=sgd, **words).ledger.privacy
    assert found == fit_private(network(), rows(), private=promised, settings=sgd).ledger.privacy


def test_a_hundred_rows_and_one_more_are_told_apart_by_no_number(network, rows, promised, sgd, listening):
    def seen(count):
        watch = listening()
        found = fit_private(network(), rows(count), private=promised, settings=sgd, watch=watch).ledger
        printed = [(m.step, m.steps, m.epoch, m.epochs, m.epsilon) for m in watch.heard]
        return found.privacy, printed, [e.number for e in found.epochs]

    assert seen(100) == seen(101)


def test_without_noise_to_speak_of_a_step_is_the_clipped_sum_over_the_public_size(network, rows):
    """A slow twin: clip each row's gradient by hand, add up, divide by expected_batch, take one step."""
    X, y = rows(12)
    quiet = Private(1.0, 1, 1e-5, 20.0, noise_multiplier=1e-7, max_grad_norm=0.5)
    steps = Steps(Units(12), quiet, 1e-7, loss_of("multiclass"), loop)
    module = network()
    steps.gradients(module, Batch(torch.from_numpy(X), torch.from_numpy(y)))
    total = torch.zeros(3, 3)
    for x, label in zip(X, y, strict=True):
        chance = torch.softmax(module.weight @ torch.from_numpy(x) + module.bias, 0).detach()
        chance[label] -= 1
        weight, bias = torch.outer(chance, torch.from_numpy(x)), chance
        norm = (weight.square().sum() + bias.square().sum()).sqrt()
        total += weight * min(1.0, 0.5 / float(norm))
    assert torch.allclose(module.weight.grad, total / 20.0, atol=1e-6)


def test_parts_that_fit_into_memory_add_up_to_the_whole(network, rows, promised):
    X, y = rows(23)
    batch = Batch(torch.from_numpy(X), torch.from_numpy(y))
    found = []
    for most in (512, 5, 23, 1):
        promise = dataclasses.replace(promised, physical_batch=most)
        found.append(Steps(Units(23), promise, 1.0, loss_of("multiclass"), loop)._clipped_sum(network(), batch))
    for each in found[1:]:
        assert torch.allclose(each.sums["weight"], found[0].sums["weight"], atol=1e-5)
        assert torch.allclose(each.norms, found[0].norms)


def test_a_whole_group_moves_the_sum_no_further_than_the_limit(network, rows, promised):
    X, y = rows(30)
    pieces = [Batch(torch.from_numpy(X[a:b]), torch.from_numpy(y[a:b])) for a, b in ((0, 20), (20, 29), (29, 30))]
    loss, promise = loss_of("multiclass"), dataclasses.replace(promised, max_grad_norm=0.3, physical_batch=7)
    found: ClippedSum = by_group(network(), loss, pieces, promise)
    alone = [by_group(network(), loss, [each], promise) for each in pieces]
    for each in alone:
        length = torch.sqrt(sum(value.square().sum() for value in each.sums.values()))
        assert float(length) <= 0.3 * (1 + 1e-5)
    assert torch.allclose(found.sums["weight"], sum(each.sums["weight"] for each in alone), atol=1e-6)
    module = network()
    loss(module(pieces[0].inputs), pieces[0].targets).sum().backward()
    norm = torch.sqrt(module.weight.grad.square().sum() + module.bias.grad.square().sum())
    assert float(found.norms[0]) == pytest.approx(float(norm), rel=1e-5)
    assert torch.allclose(alone[0].sums["weight"], module.weight.grad * 0.3 / norm, atol=1e-6)


def test_groups_are_drawn_whole(network, grouped, promised, sgd):
    data = grouped(("a", "b", "c", "d"), np.repeat([0, 1, 2, 3], 10))
    steps = Steps(
        Units(4, torch.split(torch.arange(40), 10)),
        dataclasses.replace(promised, sample_rate=0.5),
        1.0,
        loss_of("binary"),
        loop,
    )
    for step in range(30):
        drawn = steps.draw(step)
        assert len(drawn) == 10 * len(steps.sizes)
        assert all(int((drawn // 10 == house).sum()) in {0, 10} for house in range(4))
    promise = dataclasses.replace(promised, unit="group:house", steps=3, sample_rate=0.5)
    told = fit_private(network(), data, private=promise, settings=sgd).ledger.privacy
    assert (told.unit, told.gradients) == ("group:house", "group by group")


def test_empty_batches_are_steps_like_others(network, rows, promised, sgd):
    rare = dataclasses.replace(promised, sample_rate=1e-9, steps=5)
    start = network()
    found = fit_private(start, rows(), private=rare, settings=sgd)
    assert found.ledger.privacy.steps == 5
    assert not torch.equal(found.model.weight, start.weight)  # moved by noise alone


def test_the_same_seed_gives_no_known_noise(network, rows, promised, sgd):
    found = [fit_private(network(), rows(), private=promised, settings=sgd).model.weight for _ in range(2)]
    assert not torch.equal(*found)


def test_the_callers_network_and_draws_are_left_alone(network, rows, promised, sgd):
    module = network()
    before = module.weight.clone()
    torch.manual_seed(1)
    fit_private(module, rows(), private=promised, settings=sgd)
    drawn = torch.rand(2)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(2), drawn)
    assert torch.equal(module.weight, before)
    assert module.weight.grad is None


def test_epsilon_so_far_rises_to_the_end(network, rows, promised, sgd, listening):
    watch = listening()
    fit_private(network(), rows(), private=promised, settings=sgd, watch=watch)
    seen = [each.epsilon for each in watch.heard]
    assert len(seen) == 10
    assert seen == sorted(seen)
    assert seen[-1] >= epsilon(2.0, 0.2, steps=10, delta=1e-5).value


def test_enough_data_is_learned_from(network, rows, promised, sgd):
    X, y = rows(4000)
    promise = dataclasses.replace(promised, steps=60, expected_batch=800.0)
    found = fit_private(network(), (X, y), private=promise, settings=dataclasses.replace(sgd, learning_rate=2.0))
    with torch.no_grad():
        right = found.model(torch.from_numpy(X)).argmax(dim=1).numpy() == y
    assert right.mean() > 0.65  # the largest class holds half of the rows
    losses = [each.loss for each in found.ledger.epochs]
    assert losses[-1] < losses[0]


def test_canaries_are_made_again_from_the_ledger_and_stand_behind_the_rows(network, rows, promised, sgd):
    promise = dataclasses.replace(promised, canaries=40)
    found = fit_private(network(), rows(), private=promise, settings=sgd).ledger
    told = found.privacy.canaries
    assert found.data.rows == 100
    assert len(told.included) == 40
    assert 5 < sum(told.included) < 35
    like = torch.zeros(1, 3)
    made = candidates(told, like, task="multiclass", outputs=3)
    again = candidates(told, like, task="multiclass", outputs=3)
    assert torch.equal(made.inputs, again.inputs)
    X, y = rows()
    put = planted(Rows(torch.from_numpy(X), torch.from_numpy(y), "multiclass"), made, told)
    assert len(put) == 100 + sum(told.included)
    assert torch.equal(put.inputs[100:], made.inputs[torch.tensor(told.included)])
    assert with_canaries(Units(100), 100, told).count == len(put)


def test_nobody_can_tell_the_coins_from_the_seed():
    first, second = toss(64), toss(64)
    assert first.included != second.included
    assert first.seed != second.seed
    assert toss(0) is None


def test_the_price_is_told_against_a_twin_overall_and_by_group(network, grouped, promised, sgd):
    data, held = grouped(("a", "b"), [0, 1] * 50), grouped(("a", "b"), [0, 1] * 20)
    promise = dataclasses.replace(promised, compare=True)
    found = fit_private(network(), data, private=promise, settings=sgd, validation=held).ledger
    assert set(found.privacy.compared) == {
        "accuracy",
        "accuracy/house=a",
        "accuracy/house=b",
        "accuracy of the twin",
    }
    assert found.epochs[-1].validation_loss is not None
    assert any("twin" in each for each in found.warnings)
    with pytest.raises(InputError, match="private.compare: needs validation rows"):
        fit_private(network(), data, private=promise, settings=sgd)
