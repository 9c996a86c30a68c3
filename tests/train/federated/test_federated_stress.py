"""Attacks on a whole federation, through Flower: what checking updates before they are joined is worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai.networks.mlp import mlp
from rai.train.batches import Rows
from rai.train.federated.attacks import dishonest, stress
from rai.train.federated.flower import quiet, switched_off
from rai.train.federated.job import Job
from rai.train.federated.local import Run, run_local
from rai.train.federated.site import arrays_of, evaluated, learned, load
from rai.train.federated.sites import sites_of
from rai.train.federated.strategies import arguments_of
from rai.train.settings import Federated, Fit

SITES, LIARS, EACH = 10, (0, 1), 60
FIT = Fit(optimizer="sgd", learning_rate=0.1, momentum=0.9, batch_size=20, validation=0.0, seed=0)
FEDERATED = Federated(clients=SITES, rounds=5, most_examples=EACH, contributions=False, alone=False)


def rows(seed: int, many: int) -> Rows:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(many, 8)).astype(np.float32)
    labels = (inputs[:, :4].sum(axis=1) + 0.5 * inputs[:, 4] * inputs[:, 5] > 0).astype(np.float32)
    return Rows(torch.from_numpy(inputs), torch.from_numpy(labels), "binary")


@pytest.fixture(scope="module")
def job() -> Job:
    torch.manual_seed(0)
    network = mlp(inputs=8, outputs=1, hidden=[16])
    switched_off()
    sites = sites_of(rows(0, SITES * EACH), network, "binary", FEDERATED, FIT)
    return Job(network, sites, FEDERATED, FIT, None, {}, arrays_of(network))


def ran(job: Job, attack: str | None, strategy: str, **federated) -> Run:
    chosen = replace(job.federated, strategy=strategy, **federated)
    own = replace(job, federated=chosen, arguments=arguments_of(chosen, job.fit, SITES))
    liars = {} if attack is None else {site: dishonest(learned, attack) for site in LIARS}
    with quiet():
        return run_local(own, lambda _: None, liars)


def accuracy(job: Job, run: Run) -> float:
    load(job.module, run.state)
    return float(evaluated(job.module, rows(1, 2_000), {}).accuracy or 0.0)


def test_checked_averages_shrug_off_nan_and_inflated_counts(job):
    found = stress(
        lambda attack, strategy: accuracy(job, ran(job, attack, strategy)), ["nan", "inflated", "both"], ["fedavg"]
    )["fedavg"]
    assert found["none"] > 0.8
    assert {name for name, worth in found.items() if worth < found["none"] - 0.01} == set()


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
    found = stress(
        lambda attack, strategy: accuracy(job, ran(job, attack, strategy)), ["sign_flip"], ["fedavg", "fedmedian"]
    )
    assert found["fedavg"]["sign_flip"] < found["fedavg"]["none"] - 0.05
    assert found["fedmedian"]["sign_flip"] > found["fedmedian"]["none"] - 0.05
