"""A private training keeps its promise whatever happens to it, and says all of it in the ledger."""

import dataclasses
import os
import random
import signal
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from rai.audits.training.accounting import renyi_epsilon
from rai.errors import InputError
from rai.ledger import NOISY_LOSSES, Phase
from rai.subject import Data, Groups
from rai.train.batches import Batch, Rows
from rai.train.checkpoints import load
from rai.train.loop import State
from rai.train.losses import loss_of
from rai.train.private import fit_private
from rai.train.private.accounting import epsilon, spent
from rai.train.private.budget import Budget, Charge
from rai.train.private.canaries import candidates, planted, toss, with_canaries
from rai.train.private.clipped_sum import ClippedSum
from rai.train.private.gradients_loop import loop
from rai.train.private.sampling import Units
from rai.train.private.steps import Steps, by_group
from rai.train.settings import Fit, Private

SGD = Fit(optimizer="sgd", learning_rate=0.5, momentum=0.0)
PROMISE = Private(0.2, 10, 1e-5, 20.0, noise_multiplier=2.0, gradients="book_keeping")


def rows(count=100, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


def network():
    torch.manual_seed(5)
    return nn.Linear(3, 3)


def grouped(levels, codes):
    X, y = rows(len(codes))
    house = Groups("house", levels, np.asarray(codes))
    return Data("table", X, X, y, {"house": house}, ())


class Listening:
    def __init__(self, stop=None):
        self.heard = []
        self.stop = stop

    def step(self, moment):
        self.heard.append(moment)
        if moment.step == self.stop:
            raise KeyboardInterrupt


def test_the_ledger_says_all_of_the_promise():
    promise = dataclasses.replace(PROMISE, gradients="auto")
    found = fit_private(network(), rows(), private=promise, settings=SGD).ledger
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


def test_words_one_by_one_say_the_same_as_a_promise():
    words = {
        name: value for name, value in dataclasses.asdict(PROMISE).items() if value != getattr(Private, name, None)
    }
    found = fit_private(network(), rows(), settings=SGD, **words).ledger.privacy
    assert found == fit_private(network(), rows(), private=PROMISE, settings=SGD).ledger.privacy


def test_a_hundred_rows_and_one_more_are_told_apart_by_no_number():
    def seen(count):
        watch = Listening()
        found = fit_private(network(), rows(count), private=PROMISE, settings=SGD, watch=watch).ledger
        printed = [(m.step, m.steps, m.epoch, m.epochs, m.epsilon) for m in watch.heard]
        return found.privacy, printed, [e.number for e in found.epochs]

    assert seen(100) == seen(101)


def test_without_noise_to_speak_of_a_step_is_the_clipped_sum_over_the_public_size():
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


def test_parts_that_fit_into_memory_add_up_to_the_whole():
    X, y = rows(23)
    batch = Batch(torch.from_numpy(X), torch.from_numpy(y))
    found = []
    for most in (512, 5, 23, 1):
        promise = dataclasses.replace(PROMISE, physical_batch=most)
        found.append(Steps(Units(23), promise, 1.0, loss_of("multiclass"), loop)._clipped_sum(network(), batch))
    for each in found[1:]:
        assert torch.allclose(each.sums["weight"], found[0].sums["weight"], atol=1e-5)
        assert torch.allclose(each.norms, found[0].norms)


def test_a_whole_group_moves_the_sum_no_further_than_the_limit():
    X, y = rows(30)
    pieces = [Batch(torch.from_numpy(X[a:b]), torch.from_numpy(y[a:b])) for a, b in ((0, 20), (20, 29), (29, 30))]
    loss, promise = loss_of("multiclass"), dataclasses.replace(PROMISE, max_grad_norm=0.3, physical_batch=7)
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


def test_groups_are_drawn_whole():
    data = grouped(("a", "b", "c", "d"), np.repeat([0, 1, 2, 3], 10))
    steps = Steps(
        Units(4, torch.split(torch.arange(40), 10)),
        dataclasses.replace(PROMISE, sample_rate=0.5),
        1.0,
        loss_of("binary"),
        loop,
    )
    for step in range(30):
        drawn = steps.draw(step)
        assert len(drawn) == 10 * len(steps.sizes)
        assert all(int((drawn // 10 == house).sum()) in {0, 10} for house in range(4))
    promise = dataclasses.replace(PROMISE, unit="group:house", steps=3, sample_rate=0.5)
    told = fit_private(network(), data, private=promise, settings=SGD).ledger.privacy
    assert (told.unit, told.gradients) == ("group:house", "group by group")


def test_empty_batches_are_steps_like_others():
    rare = dataclasses.replace(PROMISE, sample_rate=1e-9, steps=5)
    start = network()
    found = fit_private(start, rows(), private=rare, settings=SGD)
    assert found.ledger.privacy.steps == 5
    assert not torch.equal(found.model.weight, start.weight)  # moved by noise alone


def test_the_same_seed_gives_no_known_noise():
    found = [fit_private(network(), rows(), private=PROMISE, settings=SGD).model.weight for _ in range(2)]
    assert not torch.equal(*found)


def test_the_callers_network_and_draws_are_left_alone():
    module = network()
    before = module.weight.clone()
    torch.manual_seed(1)
    fit_private(module, rows(), private=PROMISE, settings=SGD)
    drawn = torch.rand(2)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(2), drawn)
    assert torch.equal(module.weight, before)
    assert module.weight.grad is None


def test_epsilon_so_far_rises_to_the_end():
    watch = Listening()
    fit_private(network(), rows(), private=PROMISE, settings=SGD, watch=watch)
    seen = [each.epsilon for each in watch.heard]
    assert len(seen) == 10
    assert seen == sorted(seen)
    assert seen[-1] >= epsilon(2.0, 0.2, steps=10, delta=1e-5).value


def test_enough_data_is_learned_from():
    X, y = rows(4000)
    promise = dataclasses.replace(PROMISE, steps=60, expected_batch=800.0)
    found = fit_private(network(), (X, y), private=promise, settings=dataclasses.replace(SGD, learning_rate=2.0))
    with torch.no_grad():
        right = found.model(torch.from_numpy(X)).argmax(dim=1).numpy() == y
    assert right.mean() > 0.65  # the largest class holds half of the rows
    losses = [each.loss for each in found.ledger.epochs]
    assert losses[-1] < losses[0]


def test_steps_are_charged_before_they_are_taken():
    charge, written = Charge(Budget(dataclasses.replace(PROMISE, steps=1000), 1.0)), []
    charge.keeper = type(
        "Keeper", (), {"keep": lambda self, state, now: written.append((state.step, charge.charged))}
    )()
    state = State()
    charge.keep(state, now=False)
    for step in range(1, 26):
        assert step <= charge.charged
        state.step = step
        charge.keep(state, now=False)
    assert written == [(0, 10), (10, 20), (20, 30)]
    charge.keep(state, now=True)
    assert written[-1] == (25, 25)


def test_after_ctrl_c_no_step_is_lost_and_none_is_taken_twice(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit_private(network(), rows(), private=PROMISE, settings=SGD, checkpoint=path, watch=Listening(stop=4))
    watch = Listening()
    found = fit_private(network(), rows(), private=PROMISE, settings=SGD, checkpoint=path, resume=True, watch=watch)
    assert [each.step for each in watch.heard] == [5, 6, 7, 8, 9, 10]
    assert found.ledger.privacy.steps == 10
    assert found.ledger.privacy.epsilon == pytest.approx(epsilon(2.0, 0.2, steps=10, delta=1e-5).value)


def test_a_finished_run_has_nothing_left_to_spend(tmp_path):
    path = tmp_path / "run.ckpt"
    first = fit_private(network(), rows(), private=PROMISE, settings=SGD, checkpoint=path)
    watch = Listening()
    again = fit_private(network(), rows(), private=PROMISE, settings=SGD, checkpoint=path, resume=True, watch=watch)
    assert watch.heard == []
    assert torch.equal(first.model.weight, again.model.weight)
    assert first.ledger.privacy.phases == again.ledger.privacy.phases == ()
    assert first.ledger.privacy.epsilon == again.ledger.privacy.epsilon


def test_changed_data_or_another_unit_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    fit_private(network(), rows(), private=PROMISE, settings=SGD, checkpoint=path)
    X, y = rows()
    y[0] = (y[0] + 1) % 3
    with pytest.raises(InputError, match="data was"):
        fit_private(network(), (X, y), private=PROMISE, settings=SGD, checkpoint=path, resume=True)
    wider = dataclasses.replace(PROMISE, max_grad_norm=2.0)
    with pytest.raises(InputError, match="private.max_grad_norm was 1.0"):
        fit_private(network(), rows(), private=wider, settings=SGD, checkpoint=path, resume=True)


def test_more_steps_get_the_noise_that_keeps_the_whole_budget(tmp_path):
    path = tmp_path / "run.ckpt"
    full = dataclasses.replace(PROMISE, sample_rate=1.0, noise_multiplier=8.0, steps=5)
    fit_private(network(), rows(), private=full, settings=SGD, checkpoint=path)
    more = dataclasses.replace(full, noise_multiplier=None, epsilon=2.0, steps=15)
    found = fit_private(network(), rows(), private=more, settings=SGD, checkpoint=path, resume=True).ledger
    assert 1.98 < found.privacy.epsilon <= 2.0
    assert found.privacy.steps == 15
    assert any("several phases together: 5 steps at noise 8" in each for each in found.warnings)
    assert NOISY_LOSSES in found.warnings
    first, last = found.privacy.phases
    assert first == Phase(8.0, 1.0, 5)
    assert (last.noise_multiplier, last.sample_rate, last.steps) == (found.privacy.noise_multiplier, 1.0, 10)
    assert spent(found.privacy.phases, 1e-5).value == pytest.approx(found.privacy.epsilon)
    assert renyi_epsilon(found.privacy.phases, 1e-5) >= found.privacy.epsilon
    less = dataclasses.replace(more, epsilon=0.1, steps=20)
    with pytest.raises(InputError, match="the budget is spent"):
        fit_private(network(), rows(), private=less, settings=SGD, checkpoint=path, resume=True)


def test_a_run_killed_again_and_again_spends_what_an_unbroken_one_does(tmp_path):
    path, slow = tmp_path / "run.ckpt", dataclasses.replace(PROMISE, steps=400)
    chance = random.Random(7)  # noqa: S311 - moments of a test
    charged = []
    for _ in range(20):
        _killed(path, slow, chance.uniform(0.0, 0.03))
        charged.append(int(load(path)["extra"]["charged"]))
    assert charged == sorted(charged)
    assert 0 < charged[0] < charged[-1]
    found = fit_private(network(), rows(), private=slow, settings=SGD, checkpoint=path, resume=True).ledger
    assert found.privacy.steps == 400
    assert found.privacy.epsilon == pytest.approx(epsilon(2.0, 0.2, steps=400, delta=1e-5).value)


def _killed(path, promise, seconds):
    """Train in a child that is warm from its start, and kill it so long after its first step."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads; this child is killed anyway
        child = os.fork()
    if child == 0:
        _train_slowly(path, promise, writing)
    os.close(writing)
    os.read(reading, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)


def _train_slowly(path, promise, writing):
    class Slow:
        def step(self, moment):
            os.write(writing, b".")
            time.sleep(0.002)

    try:
        torch.set_num_threads(1)
        fit_private(
            network(), rows(), private=promise, settings=SGD, checkpoint=path, resume=path.exists(), watch=Slow()
        )
    finally:
        os._exit(0)


def test_canaries_are_made_again_from_the_ledger_and_stand_behind_the_rows():
    promise = dataclasses.replace(PROMISE, canaries=40)
    found = fit_private(network(), rows(), private=promise, settings=SGD).ledger
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


def test_the_price_is_told_against_a_twin_overall_and_by_group():
    data, held = grouped(("a", "b"), [0, 1] * 50), grouped(("a", "b"), [0, 1] * 20)
    promise = dataclasses.replace(PROMISE, compare=True)
    found = fit_private(network(), data, private=promise, settings=SGD, validation=held).ledger
    assert set(found.privacy.compared) == {
        "accuracy",
        "accuracy/house=a",
        "accuracy/house=b",
        "accuracy of the twin",
    }
    assert found.epochs[-1].validation_loss is not None
    assert any("twin" in each for each in found.warnings)
    with pytest.raises(InputError, match="private.compare: needs validation rows"):
        fit_private(network(), data, private=promise, settings=SGD)
