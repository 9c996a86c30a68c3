"""Attacks on a whole federation, through Flower: what checking updates before they are joined is worth, and what not.

The figures to expect are those of an attack table measured with Flower's own classes: two of ten sites that flip signs
five times as far take an average apart, and Krum's and MultiKrum's choice of updates withstands them.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rai.card import Card, Network, parse
from rai.errors import InputError
from rai.ledger import Federation, StressTest, read_ledger, write_ledger
from rai.networks.mlp import mlp
from rai.train.batches import Rows
from rai.train.federated import fit_federated
from rai.train.federated.at_sites import fit_at_sites
from rai.train.federated.attacks import dishonest
from rai.train.federated.flower import quiet, switched_off
from rai.train.federated.job import Job, require_federated
from rai.train.federated.local import Run, run_local
from rai.train.federated.site import arrays_of, evaluated, learned, load
from rai.train.federated.sites import sites_of
from rai.train.federated.strategies import arguments_of
from rai.train.federated.stress import attackers_of
from rai.train.federated.superlink import Link
from rai.train.settings import ClientPrivacy, Federated, Fit, Private, Stress
from rai.train.trained import Trained

SITES, LIARS, EACH = 10, (0, 1), 60
FIT = Fit(optimizer="sgd", learning_rate=0.1, momentum=0.9, batch_size=20, validation=0.0, seed=0)
FEDERATED = Federated(clients=SITES, rounds=5, most_examples=EACH, contributions=False, alone=False)
HALF = replace(FIT, validation=0.5)
PLAIN = replace(FEDERATED, most_examples=None)


def rows(seed: int, many: int) -> Rows:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(many, 8)).astype(np.float32)
    labels = (inputs[:, :4].sum(axis=1) + 0.5 * inputs[:, 4] * inputs[:, 5] > 0).astype(np.float32)
    return Rows(torch.from_numpy(inputs), torch.from_numpy(labels), "binary")


def network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mlp(inputs=8, outputs=1, hidden=[16])


@pytest.fixture(scope="module")
def job() -> Job:
    switched_off()
    module = network()
    sites = sites_of(rows(0, SITES * EACH), module, "binary", FEDERATED, FIT)
    return Job(module, sites, FEDERATED, FIT, None, {}, arrays_of(module))


def ran(job: Job, attack: str | None, strategy: str, **federated) -> Run:
    chosen = replace(job.federated, strategy=strategy, **federated)
    own = replace(job, federated=chosen, arguments=arguments_of(chosen, job.fit, SITES))
    liars = {} if attack is None else {site: dishonest(learned, attack) for site in LIARS}
    with quiet():
        return run_local(own, lambda _: None, liars)


def accuracy(job: Job, run: Run) -> float:
    load(job.module, run.state)
    return float(evaluated(job.module, rows(1, 2_000), {}).accuracy or 0.0)


def made(stress: Stress | None, *, each: int = 60, **federated) -> Trained:
    chosen = replace(PLAIN, stress=stress, **federated)
    return fit_federated(network(), rows(0, chosen.clients * each), federated=chosen, settings=HALF)


def told(trained: Trained) -> Federation:
    assert trained.ledger.federation is not None
    return trained.ledger.federation


def stress_of(trained: Trained) -> StressTest:
    found = told(trained).stress_test
    assert found is not None
    return found


@pytest.fixture(scope="module")
def table() -> Trained:
    """The attack table: three strategies, ten sites of 300 rows, of which half are held back."""
    return made(Stress(strategies=("fedavg", "krum", "multikrum")), each=300, rounds=4)


def test_checked_averages_shrug_off_nan_and_inflated_counts(table):
    found = told(table).stress["fedavg"]
    assert found["none"] > 0.85
    assert {name for name in ("nan", "inflated") if found[name] < found["none"] - 0.01} == set()


def test_flipped_signs_cost_an_average_much_and_krum_and_multikrum_little(table):
    found = told(table).stress
    assert found["fedavg"]["sign_flip"] < found["fedavg"]["none"] - 0.2
    for strategy in ("krum", "multikrum"):
        assert found[strategy]["none"] > 0.85
        assert found[strategy]["sign_flip"] > found[strategy]["none"] - 0.02


def test_who_is_left_out_is_who_attacked_in_every_round_and_nobody_else(table):
    test = stress_of(table)
    assert len(test.attackers) == 2
    assert [(each.strategy, each.attack) for each in test.runs] == [
        (strategy, attack)
        for strategy in ("fedavg", "krum", "multikrum")
        for attack in ("none", "sign_flip", "nan", "inflated")
    ]
    for each in test.runs:
        noticed = each.attack in ("nan", "inflated")
        assert each.excluded == (dict.fromkeys(test.attackers, 4) if noticed else {})
        assert (each.rows, each.reason) == (8 * 150, "")


def test_worth_is_that_of_honest_sites_each_row_counting_once():
    """Without attack the federation's own strategy learns what the real training learned."""
    trained = made(Stress(attacks=("nan",)), partition="quantity", alpha=1.0)
    told_of, test = told(trained), stress_of(trained)
    right, held = 0.0, 0
    for name, reply in told_of.rounds[-1].replies.items():
        if name not in test.attackers:
            right, held = right + (reply.accuracy or 0.0) * reply.held_out, held + reply.held_out
    assert told_of.stress["fedavg"]["none"] == pytest.approx(right / held, abs=1e-12)
    assert test.runs[0].rows == held
    assert len({reply.held_out for reply in told_of.rounds[-1].replies.values()}) > 1


def test_the_model_and_its_ledger_are_the_same_but_for_the_test_itself():
    """And the caller's random numbers go on as if nobody had drawn any."""
    bare = made(None, rounds=2)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002 - the old generator is the one looked at
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    tried = made(Stress(strategies=("fedavg", "fedadam")), rounds=2)
    after = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    assert before[0] == after[0]
    assert all(np.array_equal(one, other) for one, other in zip(before[1], after[1], strict=True))
    assert torch.equal(before[2], after[2])
    state = bare.model.state_dict()
    assert [each.numpy().tobytes() for each in state.values()] == [
        each.numpy().tobytes() for each in tried.model.state_dict().values()
    ]
    assert bare.ledger.epochs == tried.ledger.epochs
    assert bare.ledger.flops == tried.ledger.flops
    assert [each.replies for each in told(bare).rounds] == [each.replies for each in told(tried).rounds]
    assert (told(bare).stress, told(bare).stress_test) == ({}, None)


def test_the_same_seed_gives_the_same_numbers_and_attackers_and_another_seed_others():
    one, other = (made(Stress(attacks=("sign_flip",)), rounds=2) for _ in range(2))
    assert told(one).stress == told(other).stress
    assert replace(stress_of(one), seconds=0.0) == replace(stress_of(other), seconds=0.0)
    assert len({attackers_of(0.2, 10, seed) for seed in range(20)}) > 10


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(2, 60), st.integers(0, 99))
def test_at_least_one_site_attacks_and_never_all(share, sites, seed):
    found = attackers_of(share, sites, seed)
    assert 1 <= len(found) <= sites - 1
    assert abs(len(found) - share * sites) <= 1
    assert sorted(set(found)) == list(found)
    assert set(found) <= set(range(sites))


def test_without_a_word_the_recipes_own_strategy_and_the_plain_average_are_tried_with_their_own_arguments():
    trained = made(Stress(attacks=("nan",), rounds=1), strategy="trimmedavg", arguments={"beta": 0.3})
    assert stress_of(trained).arguments == {"trimmedavg": {"beta": 0.3}, "fedavg": {}}
    assert stress_of(trained).rounds == 1
    assert len(told(trained).rounds) == 5
    both = made(Stress(attacks=("nan",), rounds=1, strategies=("krum", "trimmedavg")), arguments={})
    assert stress_of(both).arguments == {"krum": {"num_malicious_nodes": 2}, "trimmedavg": {"beta": 0.2}}


def test_where_nothing_could_be_joined_there_is_a_reason_and_no_number():
    """Bulyan joins nothing where fewer than three updates are left."""
    found = made(Stress(strategies=("bulyan",), attacks=("nan", "sign_flip")), clients=3, rounds=2)
    assert set(told(found).stress["bulyan"]) == {"none", "sign_flip"}
    run = stress_of(found).runs[1]
    assert (run.attack, run.rows) == ("nan", 0)
    assert run.reason.startswith("no reply could be joined in any round")
    assert run.excluded == dict.fromkeys(stress_of(found).attackers, 2)


def test_a_regression_is_measured_by_r2():
    drawn = rows(0, 400)
    targets = drawn.inputs[:, :3].sum(dim=1)
    settings = replace(HALF, learning_rate=0.03)
    chosen = replace(PLAIN, clients=4, stress=Stress(share=0.25))
    trained = fit_federated(network(), Rows(drawn.inputs, targets, "regression"), federated=chosen, settings=settings)
    found = told(trained).stress["fedavg"]
    assert found["none"] > 0.8
    assert found["nan"] > 0.7
    assert found["sign_flip"] < 0.3


def test_whoever_watches_hears_of_every_round_of_every_training():
    heard = []

    class Watching:
        def step(self, moment):
            heard.append((moment.part, moment.step, moment.steps, moment.epoch, moment.epochs))

    stress = Stress(attacks=("nan",), rounds=2)
    chosen = replace(PLAIN, rounds=3, clients=4, stress=stress)
    fit_federated(network(), rows(0, 240), federated=chosen, settings=HALF, watch=Watching())
    assert heard == [
        *(("round", number, 3, number, 3) for number in (1, 2, 3)),
        *(("stress run", place * 2 + number, 4, place + 1, 2) for place in (0, 1) for number in (1, 2)),
    ]


def test_the_ledgers_file_holds_it_and_ledgers_of_before_are_read(table, tmp_path: Path):
    write_ledger(table.ledger, tmp_path / "ledger.json")
    assert read_ledger(tmp_path / "ledger.json").federation == told(table)
    old = {"runtime": "local", "strategy": "fedavg", "arguments": {}, "partition": "iid", "sites": [], "rounds": []}
    assert parse(Federation, old, "ledger").stress_test is None
    assert parse(Federation, {**old, "stress": {"fedavg": {"nan": 0.5}}}, "ledger").stress == {"fedavg": {"nan": 0.5}}


@pytest.mark.parametrize(
    ("stress", "words"),
    [
        ({"attacks": ()}, "federated.stress.attacks: is (); expected some of sign_flip, nan, inflated, both, each"),
        ({"attacks": ("bribe",)}, "federated.stress.attacks: is ('bribe',)"),
        ({"attacks": "nan"}, "federated.stress.attacks: is 'nan'"),
        ({"strategies": ("krum", "krum")}, "federated.stress.strategies: is ('krum', 'krum')"),
        ({"strategies": ("mean",)}, "federated.stress.strategies: is ('mean',)"),
        ({"share": 0.0}, "federated.stress.share: is 0.0; expected a share above 0 and below 1"),
        ({"share": 1.0}, "federated.stress.share: is 1.0; expected a share above 0 and below 1"),
        ({"scale": 0.0}, "federated.stress.scale: is 0.0; expected a number above 0"),
        ({"rounds": 0}, "federated.stress.rounds: is 0; expected a whole number from 1"),
    ],
)
def test_settings_without_sense_are_refused_before_anything_is_trained(stress, words):
    with pytest.raises(InputError) as refused:
        made(Stress(**stress))
    assert str(refused.value).startswith(words)


PRIVATE = Private(sample_rate=0.1, steps=10, delta=1e-3, expected_batch=5, noise_multiplier=1.0)


@pytest.mark.parametrize(
    ("federated", "fit", "private", "words"),
    [
        ({}, {}, PRIVATE, r"federated.stress: is given beside \[private\], whose budget each of its trainings would"),
        ({"client_privacy": ClientPrivacy(1.0, 1.0)}, {}, None, r"beside \[federated.client_privacy\], whose budget"),
        ({"runtime": "deployment", "superlink": "here:9093"}, {}, None, "rows of real sites are not at hand"),
        ({}, {"validation": 0.0}, None, "fit.validation: is 0, and attacks are measured on rows that honest sites"),
    ],
)
def test_where_nothing_can_be_tried_that_is_said(federated, fit, private, words):
    with pytest.raises(InputError, match=words):
        require_federated(replace(PLAIN, stress=Stress(), **federated), replace(HALF, **fit), private)
    require_federated(replace(PLAIN, **federated), replace(HALF, **fit), private)


def test_real_sites_are_refused_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rai.train.federated.at_sites.submit", lambda *_, **__: pytest.fail("a run was submitted"))
    card = Card("c", network=Network("mlp", {"inputs": 8, "outputs": 1}))
    with pytest.raises(InputError, match="federated.stress: is given, and the rows of real sites are not at hand"):
        fit_at_sites(card, Link("127.0.0.1:9"), tmp_path, federated=replace(PLAIN, stress=Stress()), settings=HALF)


def test_one_site_and_strategies_that_need_more_replies_are_refused_before_the_training():
    def never(*_):
        raise AssertionError("a round was made")

    class Watching:
        step = never

    for clients, stress, words in ((1, Stress(), "there is one site"), (2, Stress(strategies=("krum",)), "needs 3")):
        chosen = replace(PLAIN, clients=clients, stress=stress)
        with pytest.raises(InputError, match=words):
            fit_federated(network(), rows(0, 100), federated=chosen, settings=HALF, watch=Watching())


def test_sites_promise_to_records_and_not_to_groups_that_lie_at_several_of_them():
    grouped = replace(PRIVATE, unit="group:patient")
    with pytest.raises(InputError, match="private.unit: is 'group:patient', and rows of one group may lie at several"):
        fit_federated(network(), rows(0, 200), federated=PLAIN, settings=HALF, private=grouped)


@pytest.mark.parametrize(("attack", "reason"), [("nan", "holds NaN"), ("inflated", "at most 60 are allowed")])
def test_the_ledger_names_who_was_left_out_and_why(job, attack, reason):
    for sheet in ran(job, attack, "fedavg").book:
        assert sorted(sheet.excluded) == list(LIARS)
        assert all(reason in each for each in sheet.excluded.values())
        assert sorted(sheet.updates or sheet.weights) == list(range(len(LIARS), SITES))


def test_with_too_high_a_cap_an_inflated_count_takes_the_average_over(job):
    honest = accuracy(job, ran(job, None, "fedavg"))
    assert accuracy(job, ran(job, "both", "fedavg", most_examples=10**9)) < honest - 0.2


def test_without_a_word_the_cap_is_what_the_largest_site_has(job):
    for sheet in ran(job, "both", "fedavg", most_examples=None).book:
        assert sorted(sheet.excluded) == list(LIARS)


def test_a_median_withstands_flipped_signs_that_an_average_does_not(job):
    """Measured on rows that no site has."""
    found = {
        (strategy, attack): accuracy(job, ran(job, attack, strategy))
        for strategy in ("fedavg", "fedmedian")
        for attack in (None, "sign_flip")
    }
    assert found["fedavg", "sign_flip"] < found["fedavg", None] - 0.05
    assert found["fedmedian", "sign_flip"] > found["fedmedian", None] - 0.05


def test_ctrl_c_ends_the_test_and_keeps_the_model_and_what_was_tried():
    class Impatient:
        def step(self, moment):
            if moment.part == "stress run" and moment.epoch == 3:
                raise KeyboardInterrupt

    chosen = replace(PLAIN, rounds=2, clients=4, stress=Stress(rounds=1))
    trained = fit_federated(network(), rows(0, 240), federated=chosen, settings=HALF, watch=Impatient())
    assert [each.attack for each in stress_of(trained).runs] == ["none", "sign_flip"]
    assert trained.ledger.warnings[-1] == "the stress test was interrupted after 2 of 4 trainings"
