"""What a site has spent is never under-counted, over rounds, runs and kills, and the noise is that which is claimed."""

import importlib.util
import json
import signal
import subprocess
import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from opacus.accountants import RDPAccountant
from scipy import stats
from torch import nn

from rai.errors import InputError
from rai.subject import Groups
from rai.train.batches import Rows
from rai.train.federated import site_private
from rai.train.federated.site import Task, arrays_of
from rai.train.federated.site_account import (
    BudgetSpentError,
    account_of,
    charge,
    largest,
    phases_so_far,
    privacy_of,
)
from rai.train.federated.site_private import learned_privately, public_examples, steps_before, with_noise
from rai.train.private import steps as private_steps
from rai.train.private.accounting import Phase, epsilon
from rai.train.private.noise import gradient_multiplier
from rai.train.private.steps import Steps
from rai.train.settings import Fit, Private

ALPHA = 1e-6
WORKER = Path(__file__).with_name("site_account_worker.py")
ROUND = Phase(1.0, 1 / 16, 16)
FIT = Fit(optimizer="sgd", momentum=0.0, learning_rate=1.0)


def promise(**given):
    usual = {"sample_rate": 1 / 16, "steps": 48, "delta": 1e-5, "expected_batch": 4.0, "noise_multiplier": 1.0}
    return Private(**{**usual, **given})


def rows(seed=0, count=64, width=3):
    X = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return Rows(torch.from_numpy(X), torch.from_numpy((X[:, 0] > 0).astype(np.int64)), "multiclass")


def asked(module, number=1, rounds=3, **given):
    return Task(arrays_of(module), number, 0, given.pop("fit", FIT), 1, rounds=rounds, **given)


def network():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


@pytest.mark.parametrize(("rounds", "known"), [(3, 3.80), (10, 6.09), (20, 8.44)])
def test_rounds_add_up_to_the_known_epsilon_not_to_that_of_one_round(tmp_path, rounds, known):
    account = account_of(tmp_path, rows(), promise())
    for _ in range(rounds):
        charge(account, ROUND)
    accountant = RDPAccountant()
    accountant.history = [(e.noise_multiplier, e.sample_rate, e.steps) for e in phases_so_far(account)]
    assert accountant.get_epsilon(1e-5) == pytest.approx(known, abs=0.01)
    found = privacy_of(account, promise())
    assert known <= found.alternatives["RDP"] < 1.03 * known  # fewer orders are tried here
    assert found.epsilon < known  # PLD is tighter
    assert found.epsilon == epsilon(1.0, 1 / 16, steps=16 * rounds, delta=1e-5).value


def test_each_round_makes_its_share_of_the_steps_and_enters_them(tmp_path):
    module, given = network(), promise(steps=50)
    account = account_of(tmp_path, rows(), given)
    assert phases_so_far(account) == ()
    for number, steps in [(1, 16), (2, 33), (3, 50), (4, 66)]:
        learned_privately(module, rows(), asked(module, number), given, account)
        assert phases_so_far(account) == (Phase(1.0, 1 / 16, steps),)
    assert steps_before(given, 3, 4) == 50


def test_another_run_and_a_restart_go_on_with_the_same_account(tmp_path):
    charge(account_of(tmp_path, rows(), promise()), ROUND)
    again = account_of(tmp_path, rows(), promise(steps=7, noise_multiplier=2.0))
    charge(again, replace(ROUND, noise_multiplier=2.0))
    charge(again, replace(ROUND, noise_multiplier=2.0))
    assert phases_so_far(again) == (ROUND, Phase(2.0, 1 / 16, 32))


@pytest.mark.parametrize(
    ("other", "given"),
    [(rows(1), promise()), (rows().take(torch.arange(63)), promise()), (rows(), promise(delta=1e-6))],
)
def test_other_rows_or_another_delta_are_another_account(tmp_path, other, given):
    charge(account_of(tmp_path, rows(), promise()), ROUND)
    assert phases_so_far(account_of(tmp_path, other, given)) == ()
    assert phases_so_far(account_of(tmp_path, rows(), promise())) == (ROUND,)


def test_another_unit_is_refused_rather_than_counted_wrongly(tmp_path):
    charge(account_of(tmp_path, rows(), promise()), ROUND)
    with pytest.raises(InputError, match="unit"):
        phases_so_far(account_of(tmp_path, rows(), promise(unit="group:patient")))


@pytest.mark.parametrize(("how", "entered"), [("early", 16), ("late", 0)])
def test_a_site_that_is_killed_has_entered_what_it_may_have_shown(tmp_path, how, entered):
    """The second is the planted flaw: a site that enters steps afterwards loses them."""
    ended = subprocess.run([sys.executable, str(WORKER), str(tmp_path), how], check=False, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL
    spec = importlib.util.spec_from_file_location("worker", WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    account = account_of(tmp_path, worker.rows(), worker.PRIVATE)
    assert sum(each.steps for each in phases_so_far(account)) == entered


def test_the_entry_is_on_the_disk_before_any_noise_is_drawn(tmp_path, monkeypatch):
    module, seen, add = network(), [], private_steps.add_noise
    account = account_of(tmp_path, rows(), promise())

    def noting(*args, **words):
        seen.append(phases_so_far(account))
        return add(*args, **words)

    monkeypatch.setattr(private_steps, "add_noise", noting)
    learned_privately(module, rows(), asked(module), promise(), account)
    assert seen == [(ROUND,)] * 16


def test_a_budget_stops_a_site_before_the_step_that_would_be_too_much(tmp_path, monkeypatch):
    module = network()
    two, three = (epsilon(1.0, 1 / 16, steps=16 * n, delta=1e-5).value for n in (2, 3))
    account = account_of(tmp_path, rows(), promise(), budget=(two + three) / 2)
    for number in (1, 2):
        learned_privately(module, rows(), asked(module, number), promise(), account)
    state = arrays_of(module)
    monkeypatch.setattr(Steps, "gradients", lambda *_: pytest.fail("a step was made"))
    for _ in range(2):
        with pytest.raises(BudgetSpentError, match=r"its budget is spent: epsilon is 2\.79"):
            learned_privately(module, rows(), replace(asked(module, 3), state=state), promise(), account)
    assert phases_so_far(account) == (replace(ROUND, steps=32),)
    assert privacy_of(account, promise()).epsilon == two
    np.testing.assert_array_equal(arrays_of(module)["weight"], state["weight"])


def test_a_promised_epsilon_lasts_to_the_last_round_and_no_further(tmp_path):
    module, given = (
        network(),
        with_noise(promise(noise_multiplier=None, epsilon=1.0, delta=1e-3, sample_rate=0.5, steps=5)),
    )
    assert given.epsilon == 1.0
    account = account_of(tmp_path, rows(), given)
    for number in range(1, 6):
        learned_privately(module, rows(), asked(module, number, rounds=5), given, account)
    assert 0.995 < privacy_of(account, given).epsilon <= 1.0
    with pytest.raises(BudgetSpentError, match="its budget is spent"):
        learned_privately(module, rows(), asked(module, 6, rounds=5), given, account)
    with pytest.raises(BudgetSpentError):  # nor in another run
        learned_privately(module, rows(), asked(module, 1, rounds=5), given, account_of(tmp_path, rows(), given))


def test_a_changed_byte_stops_the_site(tmp_path):
    account = account_of(tmp_path, rows(), promise())
    charge(account, ROUND)
    written = account.path.read_text()
    assert json.loads(written)["phases"] == [{"noise_multiplier": 1.0, "sample_rate": 0.0625, "steps": 16}]
    for text in (
        written.replace("16\n", "06\n"),
        written.replace(": 16", ": 1"),
        written[:-9],
        "",
        "[]",
        '{"seal": 3}',
    ):
        account.path.write_text(text)
        with pytest.raises(InputError, match="seal does not match"):
            charge(account, ROUND)
    account.path.write_text(written)
    assert charge(account, ROUND) == (replace(ROUND, steps=32),)


def test_sites_that_enter_at_the_same_time_lose_nothing(tmp_path):
    account = account_of(tmp_path, rows(), promise())
    threads = [Thread(target=charge, args=(account, ROUND)) for _ in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert phases_so_far(account) == (replace(ROUND, steps=16 * 12),)


def test_the_largest_over_sites_is_promised_never_the_mean_or_the_sum(tmp_path):
    told = []
    for seed, steps in enumerate((16, 160, 32)):
        account = account_of(tmp_path, rows(seed), promise())
        charge(account, replace(ROUND, steps=steps))
        told.append(privacy_of(account, promise()))
    found = largest(told)
    assert found.steps == 160
    assert found.epsilon == epsilon(1.0, 1 / 16, steps=160, delta=1e-5).value == max(each.epsilon for each in told)
    assert largest([]) is None


def test_a_promise_over_runs_with_other_noise_names_its_phases(tmp_path):
    account = account_of(tmp_path, rows(), promise())
    with pytest.raises(InputError, match="no steps"):
        privacy_of(account, promise())
    charge(account, ROUND)
    charge(account, Phase(2.0, 1 / 8, 10))
    found = privacy_of(account, promise())
    assert [(e.noise_multiplier, e.sample_rate, e.steps) for e in found.phases] == [(1.0, 1 / 16, 16), (2.0, 1 / 8, 10)]
    assert found.steps == 26
    assert found.epsilon > epsilon(1.0, 1 / 16, steps=16, delta=1e-5).value


WIDE = 20_000


class Flat(nn.Module):
    """Answers 0 whatever its weights, so that its gradients are 0 and only noise moves it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(WIDE))

    def forward(self, inputs):
        return inputs[:, :1] * 0 + (self.weight * 0).sum()


def moved(folder, private, *, steps=1):
    """How far one round of so many steps at rate 1 moves weights that no row moves."""
    quiet = Rows(torch.ones(40, 2), torch.zeros(40), "regression")
    module, given = Flat(), replace(private, steps=steps)
    found = learned_privately(module, quiet, asked(module, rounds=1), given, account_of(folder, quiet, given))
    return found.arrays["weight"].astype(float)


def calibrated(drawn, std):
    """Whether the deviation of normal numbers is neither smaller nor larger than claimed."""
    return ALPHA < stats.chi2.cdf((drawn**2).sum() / std**2, len(drawn)) < 1 - ALPHA


@pytest.mark.parametrize("steps", [1, 4])
def test_noise_is_that_of_the_multiplier_and_grows_with_the_steps(tmp_path, steps, monkeypatch):
    given = promise(noise_multiplier=1.3, max_grad_norm=0.7, expected_batch=5.0)
    std = sqrt(steps) * gradient_multiplier(1.3) * 0.7 / 5.0
    assert calibrated(moved(tmp_path, given, steps=steps), std)
    add = private_steps.add_noise
    monkeypatch.setattr(private_steps, "add_noise", lambda sums, std, rng, **words: add(sums, 0.95 * std, rng, **words))
    assert not calibrated(moved(tmp_path, given, steps=steps), std)  # planted: a twentieth too little


def test_a_network_that_was_looked_at_is_not_looked_at_again(tmp_path, monkeypatch):
    module = network()
    way = site_private.looked_at(module, rows(), asked(module), promise())
    monkeypatch.setattr(site_private, "require_tight", lambda *_, **__: pytest.fail("was looked at"))
    account = account_of(tmp_path, rows(), promise())
    learned_privately(module, rows(), asked(module), promise(), account, clipped=way)
    with pytest.raises(pytest.fail.Exception, match="was looked at"):
        learned_privately(module, rows(), asked(module), promise(), account)
    assert phases_so_far(account) == (ROUND,)


def test_noise_is_not_that_of_the_federations_seed(tmp_path):
    assert not np.array_equal(moved(tmp_path, promise()), moved(tmp_path, promise()))


def test_one_row_moves_the_weights_by_no_more_than_its_clipped_share(tmp_path):
    given = promise(noise_multiplier=1e-6, sample_rate=1.0, steps=1, max_grad_norm=0.5, expected_batch=4.0)
    one = Rows(torch.full((1, 3), 1e3), torch.tensor([1]), "multiclass")
    module = network()
    found = learned_privately(module, one, asked(module, rounds=1), given, account_of(tmp_path, one, given))
    assert found.norm == pytest.approx(0.5 / 4, rel=1e-3)


def test_what_is_sent_back_does_not_tell_how_many_rows_there_are(tmp_path):
    module = network()
    for count in (20, 64):
        some = rows(count=count)
        found = learned_privately(module, some, asked(module), promise(), account_of(tmp_path, some, promise()))
        assert found.examples == public_examples(promise()) == 64


def test_a_loss_is_noisy_and_near_the_truth(tmp_path):
    given = promise(noise_multiplier=0.02, sample_rate=1.0, expected_batch=64.0, steps=1)
    module = network()
    task = asked(module, rounds=1, fit=replace(FIT, learning_rate=1e-9))
    losses = {
        learned_privately(module, rows(), task, given, account_of(tmp_path, rows(), given)).loss for _ in range(3)
    }
    with torch.no_grad():
        truth = float(nn.functional.cross_entropy(module(rows().inputs), rows().targets))
    assert len(losses) == 3
    assert all(abs(each - truth) < 6 * 0.02 * 40 / 64 for each in losses)


def test_private_sites_learn(tmp_path):
    given = promise(sample_rate=0.25, expected_batch=100.0, steps=60, noise_multiplier=0.6)
    module, some = network(), rows(count=400)
    state = arrays_of(module)
    for number in (1, 2, 3):
        task = replace(asked(module, number, proximal=0.01), state=state)
        state = learned_privately(module, some, task, given, account_of(tmp_path, some, given)).arrays
    assert float((module(some.inputs).argmax(1) == some.targets).double().mean()) > 0.9


def test_the_pull_to_the_common_weights_is_added_after_the_noise(tmp_path):
    """A pull as strong as the rate lets a weight keep nothing of an earlier step."""
    given = promise(noise_multiplier=1.3, max_grad_norm=0.7, expected_batch=5.0)
    quiet = Rows(torch.ones(40, 2), torch.zeros(40), "regression")
    module = Flat()
    task, many = asked(module, rounds=1, proximal=1.0), replace(given, steps=9)
    found = learned_privately(module, quiet, task, many, account_of(tmp_path, quiet, many))
    assert calibrated(found.arrays["weight"].astype(float), gradient_multiplier(1.3) * 0.7 / 5.0)


def test_a_group_is_a_unit_too(tmp_path):
    given = promise(noise_multiplier=1e-6, sample_rate=1.0, steps=1, max_grad_norm=0.5, unit="group:patient")
    some = replace(rows(), groups={"patient": Groups("patient", ("a",), np.zeros(64, dtype=np.int64))})
    module = network()
    found = learned_privately(module, some, asked(module, rounds=1), given, account_of(tmp_path, some, given))
    assert found.norm <= 0.5 / 4 * 1.001  # one patient, all rows


@pytest.mark.parametrize(
    ("module", "fit", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), FIT, "batch norm|BatchNorm"),
        (
            nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
            replace(FIT, freeze=("0.",), unfreeze_after=9),
            "batch norm|BatchNorm",
        ),
        (nn.Linear(3, 2), replace(FIT, class_weight="balanced"), "class_weight"),
    ],
)
def test_what_would_break_the_promise_is_refused_and_spends_nothing(tmp_path, module, fit, message):
    account = account_of(tmp_path, rows(), promise())
    with pytest.raises(InputError, match=message):
        learned_privately(module, rows(), asked(module, fit=fit), promise(), account)
    assert phases_so_far(account) == ()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"noise_multiplier": None}, "epsilon and noise_multiplier"),
        ({"noise_multiplier": 0.0}, "noise_multiplier"),
        ({"noise_multiplier": 0.0, "epsilon": 1.0}, "noise_multiplier"),
        ({"sample_rate": 0.0}, "sample_rate"),
        ({"canaries": 3}, "canaries"),
        ({"compare": True}, "compare"),
    ],
)
def test_a_promise_that_holds_nothing_is_refused(tmp_path, given, named):
    wrong = promise(**given)
    account = account_of(tmp_path, rows(), wrong)
    with pytest.raises(InputError, match=named):
        learned_privately(network(), rows(), asked(network()), wrong, account)
    assert not account.path.exists()
