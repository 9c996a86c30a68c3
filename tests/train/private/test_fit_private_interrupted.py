"""A private training that is stopped, killed or gone on with spends no more than it promised."""

import dataclasses
import os
import random
import signal
import time
import warnings

import pytest
import torch

from rai.audits.training.accounting import renyi_epsilon
from rai.errors import InputError
from rai.ledger import NOISY_LOSSES, Phase
from rai.train.checkpoints import load
from rai.train.loop import State
from rai.train.private import fit_private
from rai.train.private.accounting import epsilon, spent
from rai.train.private.budget import Budget, Charge


def test_steps_are_charged_before_they_are_taken(promised):
    charge, written = Charge(Budget(dataclasses.replace(promised, steps=1000), 1.0)), []
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


def test_after_ctrl_c_no_step_is_lost_and_none_is_taken_twice(network, rows, promised, sgd, listening, tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit_private(network(), rows(), private=promised, settings=sgd, checkpoint=path, watch=listening(stop=4))
    watch = listening()
    found = fit_private(network(), rows(), private=promised, settings=sgd, checkpoint=path, resume=True, watch=watch)
    assert [each.step for each in watch.heard] == [5, 6, 7, 8, 9, 10]
    assert found.ledger.privacy.steps == 10
    assert found.ledger.privacy.epsilon == pytest.approx(epsilon(2.0, 0.2, steps=10, delta=1e-5).value)


def test_a_finished_run_has_nothing_left_to_spend(network, rows, promised, sgd, listening, tmp_path):
    path = tmp_path / "run.ckpt"
    first = fit_private(network(), rows(), private=promised, settings=sgd, checkpoint=path)
    watch = listening()
    again = fit_private(network(), rows(), private=promised, settings=sgd, checkpoint=path, resume=True, watch=watch)
    assert watch.heard == []
    assert torch.equal(first.model.weight, again.model.weight)
    assert first.ledger.privacy.phases == again.ledger.privacy.phases == ()
    assert first.ledger.privacy.epsilon == again.ledger.privacy.epsilon


def test_changed_data_or_another_unit_is_refused(network, rows, promised, sgd, tmp_path):
    path = tmp_path / "run.ckpt"
    fit_private(network(), rows(), private=promised, settings=sgd, checkpoint=path)
    X, y = rows()
    y[0] = (y[0] + 1) % 3
    with pytest.raises(InputError, match="data was"):
        fit_private(network(), (X, y), private=promised, settings=sgd, checkpoint=path, resume=True)
    wider = dataclasses.replace(promised, max_grad_norm=2.0)
    with pytest.raises(InputError, match="private.max_grad_norm was 1.0"):
        fit_private(network(), rows(), private=wider, settings=sgd, checkpoint=path, resume=True)


def test_more_steps_get_the_noise_that_keeps_the_whole_budget(network, rows, promised, sgd, tmp_path):
    path = tmp_path / "run.ckpt"
    full = dataclasses.replace(promised, sample_rate=1.0, noise_multiplier=8.0, steps=5)
    fit_private(network(), rows(), private=full, settings=sgd, checkpoint=path)
    more = dataclasses.replace(full, noise_multiplier=None, epsilon=2.0, steps=15)
    found = fit_private(network(), rows(), private=more, settings=sgd, checkpoint=path, resume=True).ledger
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
        fit_private(network(), rows(), private=less, settings=sgd, checkpoint=path, resume=True)


def test_a_run_killed_again_and_again_spends_what_an_unbroken_one_does(network, rows, promised, sgd, tmp_path):
    path, slow = tmp_path / "run.ckpt", dataclasses.replace(promised, steps=400)
    chance = random.Random(7)  # noqa: S311 - moments of a test
    charged = []

    def training(watch):
        resume = path.exists()
        fit_private(network(), rows(), private=slow, settings=sgd, checkpoint=path, resume=resume, watch=watch)

    for _ in range(20):
        _killed(training, chance.uniform(0.0, 0.03))
        charged.append(int(load(path)["extra"]["charged"]))
    assert charged == sorted(charged)
    assert 0 < charged[0] < charged[-1]
    found = fit_private(network(), rows(), private=slow, settings=sgd, checkpoint=path, resume=True).ledger
    assert found.privacy.steps == 400
    assert found.privacy.epsilon == pytest.approx(epsilon(2.0, 0.2, steps=400, delta=1e-5).value)


def _killed(training, seconds):
    """Train in a child that is warm from its start, and kill it so long after its first step."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads; this child is killed anyway
        child = os.fork()
    if child == 0:
        _train_slowly(training, writing)
    os.close(writing)
    os.read(reading, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)


def _train_slowly(training, writing):
    class Slow:
        def step(self, moment):
            os.write(writing, b".")
            time.sleep(0.002)

    try:
        torch.set_num_threads(1)
        training(Slow())
    finally:
        os._exit(0)
