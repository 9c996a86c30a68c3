"""What training promised is told as it stands in the ledger, and judged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rai.audits import find, training
from rai.ledger import NOISY_LOSSES, Canaries, Epoch, Ledger, Run
from rai.policy import Verdict, read_policy
from rai.run import examine

Make = Callable[..., Any]


# The promise


def test_the_claim_is_measured_as_it_is_stated(examined: Make, one: Make, private_ledger: Ledger) -> None:
    found = examined(private_ledger)
    epsilon, delta = one(found, "epsilon"), one(found, "delta")
    assert (epsilon.value, epsilon.low, epsilon.high, epsilon.rows) == (2.382, 2.382, 2.382, 60_000)
    assert "claimed by the accountant PLD" in epsilon.method
    assert delta.value == 1e-5
    assert one(found, "delta_times_rows").value == pytest.approx(0.6)
    assert one(found, "parameters_per_row").value == 2.0


def test_the_statement_says_what_is_promised_to_whom(examined: Make, private_ledger: Ledger, text: Make) -> None:
    said = text(examined(private_ledger), "Privacy promised to each training row: ε 2.38, δ 1e-05")
    assert "no more than" not in said
    assert "No result of this training is more than 10.8 times (e^2.38) as likely from one as from the other" in said
    assert "at most 91.5 % sure" in said
    assert "14,062 steps with a chance of 0.00427 to be drawn and noise of 1.1" in said
    assert "drawn by Poisson sampling" in said
    assert "cannot prove" in said


def test_a_group_is_named_as_the_unit(examined: Make, promised: Make, text: Make) -> None:
    found = examined(promised(unit="group:patient"))
    assert "each group of rows with one value of patient" in text(found, "Privacy promised")
    assert "k rows of one person" not in text(found, "does not cover")


@pytest.mark.parametrize("epsilon", [0.0, 20.0, 1e4])
def test_no_epsilon_overflows(examined: Make, epsilon: float, promised: Make, text: Make) -> None:
    said = text(examined(promised(epsilon=epsilon)), "Privacy promised")
    assert ("at most 50.0 % sure" in said) == (epsilon == 0)
    assert ("more than 99.9 %" in said) == (epsilon > 0)


def test_what_the_promise_leaves_out_is_said(
    examined: Make, private_ledger: Ledger, promised: Make, text: Make
) -> None:
    plain = text(examined(private_ledger), "does not cover")
    assert "Validation rows: they were looked at without noise" in plain
    assert "means, scales and categories of the card" in plain
    assert "k rows of one person are promised k times" in plain
    assert "Holes" not in plain
    assert "canaries" not in plain
    more = replace(
        promised(waived=("frozen BatchNorm in body.1",), canaries=Canaries(1, (True, False, True))),
        runs=(Run({}, {}, None),),
        epochs=(),
    )
    found = examined(more)
    assert "frozen BatchNorm in body.1" in text(found, "does not cover")
    assert "3 canaries were tossed for, and 2 of them trained on" in text(found, "does not cover")
    assert "runs on the same rows that were made without privacy" in text(found, "does not cover")
    assert "Validation rows" not in text(found, "does not cover")
    assert any("names holes in its promise" in each for each in found.caveats)


@pytest.mark.parametrize("column", ["record", "group:patient"])
def test_losses_that_the_ledger_calls_noisy_are_not_told_as_outside_the_promise(
    examined: Make, column: str, promised: Make, text: Make
) -> None:
    private = promised(unit=column)
    silent = text(examined(private), "does not cover")
    noisy = text(examined(replace(private, warnings=("another", NOISY_LOSSES))), "does not cover")
    none = text(examined(replace(private, epochs=())), "does not cover")
    for said in (silent, noisy, none):
        assert "Losses of training rows that were shown while training, or kept in its checkpoints." in said
        assert "written down" not in said
    assert "Those in the ledger too: it does not say that noise was added to them." in silent
    assert "Those in the ledger are noisy means, and their noise is counted in the promise." in noisy
    assert "Those in the ledger" not in none


def test_metrics_and_the_twin_are_outside_the_promise_where_there_are_any(
    examined: Make, private_ledger: Ledger, promised: Make, text: Make
) -> None:
    plain = text(examined(private_ledger), "does not cover")
    assert "metrics of the epochs" not in plain
    assert "twin" not in plain
    watched = (Epoch(1, 0.5, None, {"accuracy": 0.9}),)
    more = text(examined(replace(promised(compared={"accuracy": -0.01}), epochs=watched)), "does not cover")
    assert "Rows that metrics of the epochs were measured on" in more
    assert "the twin without privacy" in more


def test_the_terms_and_the_accountants_are_listed(examined: Make, promised: Make, table: Make) -> None:
    found = examined(
        promised(
            replaced=("body.norm: GroupNorm",),
            compared={"accuracy": -0.01, "accuracy/sex=Female": -0.02, "accuracy of the twin": 0.9},
        )
    )
    terms = dict(table(found, "What the promise rests on").rows)
    assert terms["noise multiplier (σ)"] == "1.1"
    assert terms["modules replaced"] == "body.norm: GroupNorm"
    assert table(found, "Epsilon by accountant").rows == (
        ("PLD (dp-accounting 0.6)", 2.382),
        ("PRV", 2.392),
        ("RDP", 2.597),
    )
    price = table(found, "The price of privacy: accuracy -0.01 against a twin")
    assert price.rows == (("accuracy", -0.01), ("accuracy, sex: Female", -0.02))
    assert "accuracy of the twin 0.9" in price.alt


def test_without_privacy_nothing_fails_and_it_is_said(
    examined: Make, one: Make, plain_ledger: Ledger, text: Make, verdicts: Make
) -> None:
    found = examined(plain_ledger)
    for name in ("epsilon", "epsilon_recalculated", "epsilon_claimed_share", "delta", "tuned_epsilon"):
        assert one(found, name).value is None
        assert one(found, name).reason == "the ledger promises no differential privacy"
    assert "nothing bounds what this model tells" in text(found, "No privacy is promised")
    assert set(verdicts(found).values()) == {Verdict.UNMEASURED}


def test_without_a_ledger_it_is_said_what_to_do(make_subject: Make) -> None:
    audit = find(["training"])[0]
    section = examine(audit, make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50)))
    assert section.problem.startswith("not measured: it needs the ledger of its training")
    assert "rai train" in section.problem
    assert "ledger.json beside the model" in section.problem
    assert not section.crashed


def test_every_figure_that_is_declared_is_told(make_subject: Make, private_ledger: Ledger) -> None:
    subject = replace(make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50)), ledger=private_ledger)
    section = examine(find(["training"])[0], subject)
    assert not section.problem
    assert {each.name for each in section.evidence.measurements} == set(training.MEASURES)


# The law


@pytest.mark.parametrize(("epsilon", "verdict"), [(0.9, "pass"), (10.0, "pass"), (10.1, "fail")])
def test_epsilon_is_judged(examined: Make, epsilon: float, verdict: str, promised: Make, verdicts: Make) -> None:
    found = verdicts(examined(promised(epsilon=epsilon)))
    assert (found["TRAIN-01"], found["TRAIN-02"]) == (verdict, verdict)


def test_a_delta_that_gives_rows_away_fails(examined: Make, promised: Make, verdicts: Make) -> None:
    assert verdicts(examined(promised(delta=1e-4)))["TRAIN-03"] is Verdict.FAIL


def test_the_rules_never_decide() -> None:
    rules = [each for each in read_policy("default").rules if each.id.startswith("TRAIN")]
    assert len(rules) == 4
    assert not any(each.blocking for each in rules)


# What ties the ledger to the model


@pytest.mark.parametrize(
    ("trust", "said", "never"),
    [
        ("data only", "names the very model file", "handed in"),
        ("carries code", "names the very model file", "handed in"),
        ("in memory", "handed in with the model in memory; the ledger is not bound to a file", "very model file"),
        ("predictions only", "handed in with the predictions; the ledger is not bound to a file", "very model file"),
    ],
)
def test_it_is_said_what_ties_the_ledger_to_the_model(
    make_subject: Make, trust: str, said: str, never: str, private_ledger: Ledger
) -> None:
    bare = make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50))
    found = training.measure(replace(bare, model=replace(bare.model, trust=trust), ledger=private_ledger))
    assert said in found.method
    assert never not in found.method
    assert "Figures of privacy are claims" in found.method
