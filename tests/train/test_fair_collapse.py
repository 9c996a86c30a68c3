"""What goes wrong in adversarial training is found by its name, and a run that went well raises nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rai.train.batches import Rows
from rai.train.fair.adversarial import _pair, train
from rai.train.fair.collapse import SYMPTOMS, Look, entropy_given, symptoms, warnings_of
from rai.train.fair.job import Attribute, Job
from rai.train.settings import Fair, Fit

CLEAN = {
    "score_spread": 0.25,
    "loss_to_constant": 0.6,
    "adversary_gain": 0.001,
    "decision_leak": 0.001,
    "commonest_decision": 0.8,
    "gap_seen": 0.015,
    "signed_gap": -0.015,
    "gap_noise": 0.03,
}
BEFORE = CLEAN | {"gap_seen": 0.17, "signed_gap": 0.17, "adversary_gain": 0.08, "decision_leak": 0.05}
PLANTED = {
    "one decision for all": {"commonest_decision": 1.0, "gap_seen": 0.0},
    "flat scores": {"score_spread": 0.004},
    "the adversary has not learned": {
        "gap_seen": 0.15,
        "signed_gap": 0.15,
        "decision_leak": 0.05,
        "adversary_gain": 0.0,
    },
    "worse than a constant answer": {"loss_to_constant": 1.4},
    "overshoot": {"gap_seen": 0.4, "signed_gap": -0.4, "adversary_gain": 0.1, "decision_leak": 0.1},
}
GROUPS = (Attribute("group", ("a", "b")),)
QUICK = Fit(epochs=8, batch_size=100, learning_rate=0.02, schedule="cosine", validation=0.0)


def proxied(rows=1500):
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, rows)
    x = rng.normal(size=(rows, 2))
    x[:, 1] = 2 * group - 1
    labels = (x[:, 0] + 0.75 * x[:, 1] + 0.3 * rng.normal(size=rows) > 0).astype(np.float32)
    X = torch.from_numpy(x.astype(np.float32))
    return Rows(X, torch.from_numpy(labels), "binary", sensitive=torch.from_numpy(group)[:, None])


def job(fair, **more):
    torch.manual_seed(1)
    return Job(nn.Linear(2, 1), more.pop("rows", proxied()), GROUPS, fair, replace(QUICK, **more))


def names(warnings):
    return {name for name in SYMPTOMS if any(each.startswith(name) for each in warnings)}


def test_every_symptom_is_planted_here():
    assert set(PLANTED) == set(SYMPTOMS)


@pytest.mark.parametrize("name", PLANTED)
def test_numbers_of_a_symptom_are_called_by_its_name_alone(name):
    assert set(symptoms(CLEAN | PLANTED[name], BEFORE, 0.02)) == {name}


def test_numbers_of_a_good_run_show_nothing():
    assert symptoms(CLEAN, BEFORE, 0.02) == {}
    assert symptoms(BEFORE, BEFORE, 0.02) == {}
    assert symptoms({}, {}, 0.02) == {}


def test_what_is_said_is_one_line_that_says_since_when_and_what_to_do():
    bad = CLEAN | PLANTED["overshoot"]
    (line,) = warnings_of([BEFORE, bad, CLEAN, bad, bad], bad, job(Fair(warm_start=1)))
    assert line.startswith(
        "overshoot (seen from epoch 4 on): the groups changed places, and the gap between them went from 0.170 to 0.400"
    )
    assert "lower fair.strength" in line
    assert "\n" not in line


def test_without_a_warm_start_there_is_no_gap_to_have_grown_from():
    bad = CLEAN | PLANTED["overshoot"]
    assert warnings_of([bad, bad], bad, job(Fair(warm_start=0))) == ()


@pytest.mark.parametrize(("before", "now", "found"), [(0.8, 0.99, True), (0.8, 0.95, False), (0.97, 0.98, False)])
def test_hardly_any_other_decision_counts_as_none_by_how_many_there_were_before(before, now, found):
    shown = symptoms(CLEAN | {"commonest_decision": now}, BEFORE | {"commonest_decision": before}, 0.02)
    assert ("one decision for all" in shown) is found


@pytest.mark.parametrize(("first", "last"), [(0.17, -0.04), (0.02, -0.4), (0.17, 0.4), (0.0, -0.4)])
def test_a_gap_that_turned_within_chance_is_no_overshoot(first, last):
    assert "overshoot" not in symptoms(CLEAN | {"signed_gap": last}, BEFORE | {"signed_gap": first}, 0.02)


def test_a_symptom_that_is_gone_from_the_kept_model_is_not_told():
    assert warnings_of([BEFORE, CLEAN | PLANTED["flat scores"]], CLEAN, job(Fair())) == ()


def test_a_run_that_went_well_raises_nothing():
    for strength in (0.0, 0.3, 1.0):
        found = train(job(Fair(strength=strength, adversary_rate=5.0)))
        assert names(found.ledger.warnings) == set()


def test_too_great_a_strength_is_named():
    found = train(job(Fair(strength=300.0, adversary_rate=0.01), optimizer="sgd", schedule="constant"))
    assert names(found.ledger.warnings) & {"overshoot", "worse than a constant answer", "one decision for all"}


def test_an_adversary_that_does_not_learn_is_named():
    found = train(job(Fair(strength=0.05, adversary_rate=1e-6)))
    assert names(found.ledger.warnings) == {"the adversary has not learned"}
    assert any("raise fair.adversary_rate" in each for each in found.ledger.warnings)


class Constant(nn.Module):
    def __init__(self, value, spread):
        super().__init__()
        self.value, self.spread = value, nn.Parameter(torch.tensor(spread))

    def forward(self, inputs):
        return self.value + self.spread * inputs[:, :1]


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (Constant(1.0, 0.01), {"one decision for all", "flat scores", "worse than a constant answer"}),
        (Constant(0.0, 0.01), {"flat scores"}),
        (Constant(0.0, -3.0), {"worse than a constant answer"}),
        (Constant(0.0, 2.0), set()),
    ],
)
def test_a_look_at_a_planted_network_shows_what_is_wrong_with_it(network, found):
    made = job(Fair())
    assert set(symptoms(Look.of(made)(network, _pair(made).opponent), {}, 0.02)) == found


def test_rows_held_back_are_looked_at_or_else_some_of_those_trained_on():
    rows = proxied(5000)
    whole = Look.of(job(Fair(), rows=rows)).rows
    assert len(whole) == 2500
    held = rows.take(torch.arange(10))
    assert Look.of(replace(job(Fair(), rows=rows), held=held)).rows is held


def test_rows_of_one_class_and_one_group_leave_out_what_they_cannot_say():
    rows = proxied().take(torch.arange(6))
    rows = replace(rows, targets=torch.ones(6), sensitive=torch.full((6, 1), -1))
    made = replace(job(Fair(criterion="equalized_odds")), held=rows)
    seen = Look.of(made)(Constant(0.0, 2.0), _pair(made).opponent)
    assert not {"commonest_decision", "adversary_gain", "gap_seen"} & set(seen)
    assert symptoms(seen, {}, 0.02) == {}


def test_the_numbers_of_a_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 2)).astype(np.float32)
    group = (x[:, 1] > 0).astype(np.int64)
    rows = Rows(torch.from_numpy(x), torch.from_numpy(50 + 9 * x[:, 0]), "regression")
    made = job(Fair(), rows=replace(rows, sensitive=torch.from_numpy(group)[:, None]))
    look, opponent = Look.of(made), _pair(made).opponent
    good = look(Constant(50.0, 9.0), opponent)
    assert good["loss_to_constant"] < 1e-3
    assert good["score_spread"] == pytest.approx(1.0, abs=0.01)
    assert "commonest_decision" not in good
    assert set(symptoms(look(Constant(0.0, 0.01), opponent), {}, 0.5)) == {
        "flat scores",
        "worse than a constant answer",
    }


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_doubt_that_is_left_is_the_entropy_row_by_row(pairs):
    codes, given_ = (np.array(each) for each in zip(*pairs, strict=True))
    slow = 0.0
    for code, one in pairs:
        alike = [a for a, b in pairs if b == one]
        slow -= np.log(alike.count(code) / len(alike)) / len(pairs)
    assert entropy_given(codes, given_) == pytest.approx(slow, abs=1e-12)
