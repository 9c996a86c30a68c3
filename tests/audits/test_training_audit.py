"""What training promised is told as it stands in the ledger, calculated again where possible, and judged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai.audits import find, training
from rai.audits.training.accounting import renyi_epsilon
from rai.audits.training.gap import welch
from rai.audits.training.tradeoffs import Point, front
from rai.evidence import Curve, Evidence, Line, Measurement, Table, Text
from rai.ledger import Canaries, Epoch, Fingerprint, Ledger, Phase, Privacy, Run
from rai.policy import Verdict, judge, read_policy
from rai.render.charts import draw
from rai.run import examine
from rai.subject import Source, Subject

Make = Callable[..., Any]
MNIST = {"noise_multiplier": 1.1, "sample_rate": 256 / 60_000, "steps": 14_062, "delta": 1e-5}
PRIVACY = Privacy(
    unit="record",
    epsilon=2.382,
    max_grad_norm=1.5,
    expected_batch=256.0,
    accountant="PLD (dp-accounting 0.6)",
    alternatives={"RDP": 2.597, "PRV": 2.392},
    **MNIST,
)
PLAIN = Ledger(
    rai="1.0",
    made="2026-01-02 03:04 UTC",
    model="5e" * 32,
    data=Fingerprint(60_000, "ab" * 32, "train.csv", "cd" * 32),
    recipe={"fit": {"epochs": 3, "learning_rate": 0.25}, "seed": 1},
    seed=4,
    epochs=tuple(Epoch(place, 1 / place, 0.9 / place + 0.1 * (place > 2)) for place in (1, 2, 3)),
    seconds=1.5,
    cpu_seconds=1.25,
    versions={"torch": "2.13"},
    parameters=120_000,
    split={"train": 60_000},
)
PRIVATE = replace(PLAIN, privacy=PRIVACY)


@pytest.fixture(scope="module")
def examined(make_subject: Make) -> Callable[[Ledger], Evidence]:
    bare = make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50))
    return lambda ledger: training.measure(replace(bare, ledger=ledger))


def promised(**changes: Any) -> Ledger:
    return replace(PLAIN, privacy=replace(PRIVACY, **changes))


def text(found: Evidence, title: str) -> str:
    return next(each.text for each in found.exhibits if isinstance(each, Text) and title in each.title)


def table(found: Evidence, title: str) -> Table:
    return next(each for each in found.exhibits if isinstance(each, Table) and title in each.title)


def verdicts(found: Evidence) -> dict[str, Verdict]:
    findings = judge(read_policy("default"), found.measurements, {}, "binary")
    return {each.rule.id: each.verdict for each in findings if each.rule.id.startswith("TRAIN")}


# The promise


def test_the_claim_is_measured_as_it_is_stated(examined: Make, one: Make) -> None:
    found = examined(PRIVATE)
    epsilon, delta = one(found, "epsilon"), one(found, "delta")
    assert (epsilon.value, epsilon.low, epsilon.high, epsilon.rows) == (2.382, 2.382, 2.382, 60_000)
    assert "claimed by the accountant PLD" in epsilon.method
    assert delta.value == 1e-5
    assert one(found, "delta_times_rows").value == pytest.approx(0.6)
    assert one(found, "parameters_per_row").value == 2.0


def test_the_statement_says_what_is_promised_to_whom(examined: Make) -> None:
    said = text(examined(PRIVATE), "Privacy promised to each training row: ε 2.38, δ 1e-05")
    assert "no more than" not in said
    assert "No result of this training is more than 10.8 times (e^2.38) as likely from one as from the other" in said
    assert "at most 91.5 % sure" in said
    assert "14,062 steps with a chance of 0.00427 to be drawn and noise of 1.1" in said
    assert "drawn by Poisson sampling" in said
    assert "cannot prove" in said


def test_a_group_is_named_as_the_unit(examined: Make) -> None:
    found = examined(promised(unit="group:patient"))
    assert "each group of rows with one value of patient" in text(found, "Privacy promised")
    assert "k rows of one person" not in text(found, "does not cover")


@pytest.mark.parametrize("epsilon", [0.0, 20.0, 1e4])
def test_no_epsilon_overflows(examined: Make, epsilon: float) -> None:
    said = text(examined(promised(epsilon=epsilon)), "Privacy promised")
    assert ("at most 50.0 % sure" in said) == (epsilon == 0)
    assert ("more than 99.9 %" in said) == (epsilon > 0)


def test_what_the_promise_leaves_out_is_said(examined: Make) -> None:
    plain = text(examined(PRIVATE), "does not cover")
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


def test_the_terms_and_the_accountants_are_listed(examined: Make) -> None:
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


def test_without_privacy_nothing_fails_and_it_is_said(examined: Make, one: Make) -> None:
    found = examined(PLAIN)
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


def test_every_figure_that_is_declared_is_told(make_subject: Make) -> None:
    subject = replace(make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50)), ledger=PRIVATE)
    section = examine(find(["training"])[0], subject)
    assert not section.problem
    assert {each.name for each in section.evidence.measurements} == set(training.MEASURES)


# The claim calculated again


def bound(*, delta: float, **phase: Any) -> float | None:
    return renyi_epsilon([Phase(**phase)], delta)


def test_the_second_calculation_meets_the_known_value() -> None:
    assert bound(**MNIST) == pytest.approx(2.597, abs=0.001)


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "delta"),
    [(1.1, 256 / 60_000, 14_062, 1e-5), (0.6, 0.01, 1000, 1e-5), (2.0, 0.1, 500, 1e-6), (4.0, 1.0, 20, 1e-4)],
)
def test_the_second_calculation_agrees_with_a_wellkept_one(noise: float, rate: float, steps: int, delta: float) -> None:
    """Not below PLD, and what the same orders give in dp-accounting."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    event = SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    mine = renyi_epsilon([Phase(noise, rate, steps)], delta)
    whole = RdpAccountant(orders=list(range(2, 129)))
    assert mine == pytest.approx(whole.compose(event).get_epsilon(delta), rel=1e-6)
    tight = PLDAccountant().compose(event).get_epsilon(delta)
    assert 0.25 * mine < tight <= mine


@settings(max_examples=25)
@given(noise=st.floats(0.3, 50), rate=st.floats(1e-4, 1), steps=st.integers(1, 50_000), delta=st.floats(1e-12, 0.5))
def test_more_noise_never_costs_more_and_more_steps_never_less(
    noise: float, rate: float, steps: int, delta: float
) -> None:
    given_ = {"noise_multiplier": noise, "sample_rate": rate, "steps": steps, "delta": delta}
    base = bound(**given_)
    assert base >= 0
    assert bound(**{**given_, "noise_multiplier": noise * 1.5}) <= base + 1e-9
    assert bound(**{**given_, "steps": steps + 1}) >= base - 1e-9
    assert bound(**{**given_, "delta": delta / 2}) >= base - 1e-9


@pytest.mark.parametrize("wrong", [{"noise_multiplier": 0.0}, {"sample_rate": 0.0}, {"steps": 0}, {"delta": 0.0}])
def test_parameters_that_bound_nothing_are_said(examined: Make, one: Make, wrong: dict[str, float]) -> None:
    assert bound(**{**MNIST, **wrong}) is None
    found = examined(promised(**wrong))
    assert "bound nothing" in one(found, "epsilon_recalculated").reason
    assert verdicts(found)["TRAIN-04"] is Verdict.UNMEASURED


def test_a_claim_that_does_not_follow_is_caught(examined: Make, one: Make) -> None:
    """A forger who seals an epsilon a tenth of the true one still leaves noise, rate and steps."""
    assert one(examined(PRIVATE), "epsilon_claimed_share").value == pytest.approx(2.382 / 2.597, abs=0.001)
    assert verdicts(examined(PRIVATE))["TRAIN-04"] is Verdict.PASS
    assert verdicts(examined(promised(epsilon=0.24)))["TRAIN-04"] is Verdict.FAIL


def test_phases_add_up(examined: Make, one: Make) -> None:
    """Half the steps twice is the whole; a second phase of stronger noise costs less than the first again."""
    half = Phase(1.1, 256 / 60_000, 7031)
    assert renyi_epsilon([half, half], 1e-5) == pytest.approx(bound(**MNIST))
    weaker = replace(half, noise_multiplier=2.0)
    found = examined(promised(phases=(half, weaker), noise_multiplier=2.0))
    again = one(found, "epsilon_recalculated").value
    assert renyi_epsilon([half], 1e-5) < again < bound(**MNIST)
    assert "and 7,031 steps with a chance of 0.00427 to be drawn and noise of 2" in text(found, "Privacy promised")


def test_few_draws_are_not_held_against_a_loose_bound(examined: Make, one: Make) -> None:
    """One step at q = .001: a tight accountant claims .009 where whole orders give .6; nobody is accused."""
    found = examined(promised(epsilon=0.009, noise_multiplier=1.0, sample_rate=0.001, steps=1))
    assert one(found, "epsilon_recalculated").value == pytest.approx(0.609, abs=0.001)
    assert one(found, "epsilon_claimed_share").value is None


@pytest.mark.parametrize("other", [{"sampler": "shuffle"}, {"relation": "replace one unit"}])
def test_other_samplers_and_relations_are_not_calculated_again(examined: Make, one: Make, other: Any) -> None:
    found = examined(promised(**other))
    assert "only for Poisson sampling" in one(found, "epsilon_recalculated").reason
    assert any("drawn by shuffle" in each for each in found.caveats) == ("sampler" in other)


WIDE = st.floats(0, 1e308)
SHARE = st.floats(0, 1)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    promise=st.fixed_dictionaries(
        {
            "epsilon": WIDE,
            "delta": SHARE,
            "noise_multiplier": WIDE,
            "sample_rate": SHARE,
            "steps": st.integers(0, 10**18),
        }
    ),
    spent=WIDE,
)
def test_no_ledger_crashes_the_audit(examined: Make, promise: dict[str, Any], spent: float) -> None:
    """Whoever can seal a ledger can write any such number into it: it is told, and never ends an audit."""
    epochs = (Epoch(1, spent, spent, {}, spent), Epoch(2, -spent, -spent, {}, spent))
    found = examined(replace(promised(**promise), runs=runs(spent, spent), epochs=epochs))
    assert {each.name for each in found.measurements} == set(training.MEASURES)
    assert one_of(found, "epsilon") == min(promise["epsilon"], 1e300)
    assert one_of(found, "tuned_epsilon") >= min(spent, 1e300)


def one_of(found: Evidence, name: str) -> float | None:
    return next(each.value for each in found.measurements if each.name == name)


# Tuning


def runs(*spent: float | None, kept: int | None = None) -> tuple[Run, ...]:
    return tuple(
        Run({"fit.learning_rate": 0.1 * (place + 1)}, {"accuracy": 0.9 - 0.1 * place}, each, kept=place == kept)
        for place, each in enumerate(spent)
    )


def test_tuning_adds_up(examined: Make, one: Make) -> None:
    assert one(examined(PRIVATE), "tuned_epsilon").value == 2.382
    assert one(examined(replace(PRIVATE, runs=runs(1.0, 2.0))), "tuned_epsilon").value == pytest.approx(5.382)


def test_the_run_that_was_kept_counts_once(examined: Make, one: Make) -> None:
    found = examined(replace(PRIVATE, runs=runs(1.0, 2.382, kept=1)))
    assert one(found, "tuned_epsilon").value == pytest.approx(3.382)
    assert "this run and 1 other" in one(found, "tuned_epsilon").method


def test_a_run_without_privacy_leaves_no_epsilon(examined: Make, one: Make) -> None:
    found = examined(replace(PRIVATE, runs=runs(1.0, None)))
    assert one(found, "tuned_epsilon").value is None
    assert "1 of 2 runs on the same rows were made without privacy" in one(found, "tuned_epsilon").reason


def test_runs_are_listed_the_kept_and_the_best_first(examined: Make) -> None:
    tried = list(runs(*([0.5] * 40), kept=20))
    tried[33] = replace(tried[33], front=True)
    found = table(examined(replace(PRIVATE, runs=tuple(tried))), "Runs on the same rows")
    assert found.title == "Runs on the same rows: 40, 1 of them on the Pareto front; the first 30 are listed"
    assert found.columns == ("run", "role", "settings", "accuracy", "epsilon")
    assert [line[:2] for line in found.rows[:3]] == [(21, "this model"), (34, "on the front"), (1, "tried")]
    assert len(found.rows) == 30


# The law


@pytest.mark.parametrize(("epsilon", "verdict"), [(0.9, "pass"), (10.0, "pass"), (10.1, "fail")])
def test_epsilon_is_judged(examined: Make, epsilon: float, verdict: str) -> None:
    found = verdicts(examined(promised(epsilon=epsilon)))
    assert (found["TRAIN-01"], found["TRAIN-02"]) == (verdict, verdict)


def test_twenty_runs_fail_where_one_passes(examined: Make) -> None:
    found = verdicts(examined(replace(PRIVATE, runs=runs(*([0.83] * 20)))))
    assert (found["TRAIN-01"], found["TRAIN-02"]) == (Verdict.PASS, Verdict.FAIL)


def test_a_delta_that_gives_rows_away_fails(examined: Make) -> None:
    assert verdicts(examined(promised(delta=1e-4)))["TRAIN-03"] is Verdict.FAIL


def test_the_rules_never_decide() -> None:
    rules = [each for each in read_policy("default").rules if each.id.startswith("TRAIN")]
    assert len(rules) == 4
    assert not any(each.blocking for each in rules)


# Curves


def test_curves_say_where_the_loss_is_lowest(examined: Make) -> None:
    curve = next(each for each in examined(PLAIN).exhibits if each.kind == "curve")
    assert curve.title == "Mean loss by epoch: training 1 to 0.333, validation 0.9 to 0.4"
    assert "validation loss is lowest at epoch 3, 0.4" in curve.alt
    assert [each.name for each in curve.lines] == ["training", "validation"]


def test_long_trainings_keep_a_hundred_points_with_both_ends(examined: Make) -> None:
    epochs = tuple(Epoch(place, 1 / place, epsilon=place / 100) for place in range(1, 351))
    loss, budget = (each for each in examined(replace(PRIVATE, epochs=epochs)).exhibits if each.kind == "curve")
    assert [len(loss.lines[0].x), loss.lines[0].x[0], loss.lines[0].x[-1]] == [100, 1, 350]
    assert budget.title == "Epsilon spent by epoch: 3.5 in the end"


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_epoch_has_no_curve(examined: Make, count: int) -> None:
    assert not any(each.kind == "curve" for each in examined(replace(PLAIN, epochs=PLAIN.epochs[:count])).exhibits)


def test_warnings_are_told(examined: Make) -> None:
    found = examined(replace(PLAIN, warnings=("gradients vanish in layers.0", "12 % of units in layers.2 are dead.")))
    assert text(found, "Warnings while training: 2").count(".") == 4


# The account


def test_the_account_names_model_seal_and_recipe(examined: Make) -> None:
    found = examined(PLAIN)
    account = dict(table(found, "How the model was trained, 2026-01-02 03:04 UTC").rows)
    assert account["SHA-256 of the model file"] == "5e5e5e5e5e5e5e5e…"
    assert account["rows"] == "60,000 from train.csv"
    assert account["made with"] == "rai 1.0, torch 2.13"
    assert ("fit.learning_rate", "0.25") in table(found, "The recipe, 3 keys").rows


def placed(make_subject: Make, make_data: Make, *, test: str = "", reference: str = "", file: str = "aa") -> Subject:
    """A model that is right on every reference row and at a loss on the test rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    given_ = replace(make_data(rng.integers(0, 2, 200)), source=Source("train.csv", reference))
    subject = make_subject(np.clip(0.5 + rng.normal(0, 0.2, 200), 0, 1), label, reference=given_)
    data = replace(subject.data, source=Source("test.csv", test))
    ledger = replace(PLAIN, data=replace(PLAIN.data, file=file))
    return replace(subject, data=data, ledger=ledger)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"reference": "aa"}, "come from the very file that the ledger names"),
        ({"reference": "bb"}, "not those of the training"),
        ({"reference": ""}, "was not compared"),
        ({"reference": "aa", "file": ""}, "was not compared"),
        ({"test": "aa", "reference": "aa"}, "test rows come from the very file"),
    ],
)
def test_rows_are_held_against_the_ledger(make_subject: Make, make_data: Make, files: Any, said: str) -> None:
    found = training.measure(placed(make_subject, make_data, **files))
    assert any(said in each for each in found.caveats)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"reference": "bb"}, "another file"),
        ({"reference": ""}, "does not name the file"),
        ({"test": "aa", "reference": "aa"}, "very file"),
    ],
)
def test_a_gap_against_other_rows_is_not_measured(
    make_subject: Make, make_data: Make, one: Make, files: Any, reason: str
) -> None:
    found = one(training.measure(placed(make_subject, make_data, **files)), "generalisation_gap")
    assert found.value is None
    assert reason in found.reason


def test_a_memorised_training_file_shows(make_subject: Make, make_data: Make, one: Make) -> None:
    """Answers of .95 and .05 that are all right on the training rows, and right half the time on others."""
    rng = np.random.default_rng(1)
    label, seen = rng.integers(0, 2, 300), rng.integers(0, 2, 400)
    sure = np.where(seen, 0.95, 0.05) + rng.normal(0, 0.01, 400)
    reference = replace(make_data(seen), source=Source("train.csv", "aa"))
    subject = make_subject(sure, seen)
    test = replace(make_data(label), source=Source("test.csv", "bb"))
    ledger = replace(PLAIN, data=replace(PLAIN.data, file="aa"))
    found = one(training.measure(replace(subject, data=test, reference=reference, ledger=ledger)), "generalisation_gap")
    unseen = np.mean(2 * (sure[:300] - label) ** 2)
    assert found.value == pytest.approx(unseen - np.mean(2 * (sure - seen) ** 2))
    assert 0 < found.low < found.value < found.high
    assert (found.rows, found.smallest) == (700, 300)


def test_the_gap_covers_none_where_there_is_none() -> None:
    missed = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found: Measurement = welch(rng.exponential(size=80), rng.exponential(size=200))
        missed += not found.low <= 0 <= found.high
    assert 5 <= missed <= 30


# Quality against what it cost


def beaten(point: Point, by: Point) -> bool:
    no_worse = by.cost <= point.cost and by.quality >= point.quality
    return no_worse and (by.cost < point.cost or by.quality > point.quality)


COARSE = st.tuples(st.integers(0, 6), st.integers(-3, 3))


@given(st.lists(COARSE, min_size=1, max_size=40))
def test_the_front_holds_whom_nobody_beats(pairs: list[tuple[int, int]]) -> None:
    points = [Point(run, cost, quality, kept=False) for run, (cost, quality) in enumerate(pairs)]
    slow = [each for each in points if not any(beaten(each, other) for other in points)]
    found = front(points)
    assert sorted(found, key=lambda each: each.run) == slow
    assert list(found) == sorted(found, key=lambda each: each.cost)


def tried(*pairs: tuple[float | None, float | None], name: str = "quality", cost: str = "epsilon") -> tuple[Run, ...]:
    """One run for each pair of a cost and a quality; None is left out of the run."""
    made = []
    for paid, reached in pairs:
        known = {name: reached, **({} if cost == "epsilon" else {cost: paid})}
        results = {key: value for key, value in sorted(known.items()) if value is not None}
        made.append(Run({}, results, paid if cost == "epsilon" else None))
    return tuple(made)


def against(found: Evidence, cost: str = "epsilon") -> Curve | None:
    named = (each for each in found.exhibits if isinstance(each, Curve) and f"against {cost}" in each.title)
    return next(named, None)


def test_quality_is_drawn_against_epsilon(examined: Make) -> None:
    found = examined(replace(PRIVATE, runs=tried((3, 0.93), (1, 0.74), (8, 0.94), name="accuracy")))
    drawn = against(found)
    assert drawn.title == "Accuracy against epsilon: 0.74 at 1, 0.93 at 3, 0.94 at 8"
    assert (drawn.x_label, drawn.y_label) == ("epsilon", "accuracy")
    assert drawn.lines == (Line("Pareto front", (1, 3, 8), (0.74, 0.93, 0.94)),)
    told = "run 2 0.74 at epsilon 1; run 1 0.93 at epsilon 3; run 3 0.94 at epsilon 8. Every run is on it."
    assert drawn.alt == f"Pareto front, the runs that no other matches for less epsilon: {told}"
    assert any("without intervals" in each for each in found.caveats)


def test_runs_off_the_front_are_points_of_their_own(examined: Make) -> None:
    several = list(tried((1, 0.7), (2, 0.6), (2, 0.8), (3, 0.8)))
    several[2] = replace(several[2], kept=True)
    drawn = against(examined(replace(PRIVATE, runs=tuple(several))))
    assert drawn.title == "Quality against epsilon: 0.7 at 1, 0.8 at 2"
    assert drawn.lines == (
        Line("Pareto front", (1, 2), (0.7, 0.8)),
        Line("run 4", (3,), (0.8,)),
        Line("run 2", (2,), (0.6,)),
    )
    assert "run 3 (this model) 0.8 at epsilon 2" in drawn.alt
    assert drawn.alt.endswith("Off it: run 4 0.8 at epsilon 3; run 2 0.6 at epsilon 2.")


def test_every_run_is_one_point_and_those_left_out_are_counted(examined: Make) -> None:
    rng = np.random.default_rng(0)
    pairs = [(float(cost), float(quality)) for cost, quality in rng.random((20, 2))]
    drawn = against(examined(replace(PRIVATE, runs=tried(*pairs))))
    points = [point for each in drawn.lines for point in zip(each.x, each.y, strict=True)]
    assert sorted(points) == sorted(pairs)
    assert "not drawn" not in drawn.alt
    falling = tried(*((place + 1, 1 - place / 100) for place in range(50)))
    assert "19 more runs off it are not drawn" in against(examined(replace(PRIVATE, runs=falling))).alt


def test_a_long_front_is_told_by_its_ends(examined: Make) -> None:
    rising = tried(*((place + 1, place / 1000) for place in range(300)))
    drawn = against(examined(replace(PRIVATE, runs=rising)))
    assert drawn.title == "Quality against epsilon: 0 at 1 to 0.299 at 300, 300 runs on the Pareto front"
    assert (len(drawn.lines[0].x), drawn.lines[0].x[0], drawn.lines[0].x[-1]) == (100, 1, 300)


@pytest.mark.parametrize(
    "pairs",
    [[], [(1, 0.7)], [(1, 0.7), (None, 0.8)], [(1, 0.7), (2, None)], [(1, 0.7), (1, 0.8)]],
    ids=["no run", "one run", "one epsilon", "one quality", "one and the same epsilon"],
)
def test_without_two_epsilons_nothing_is_drawn(examined: Make, pairs: Any) -> None:
    found = examined(replace(PRIVATE, runs=tried(*pairs)))
    assert against(found) is None
    assert not any("without intervals" in each for each in found.caveats)


@pytest.mark.parametrize("cost", ["group_gap", "energy"])
def test_other_costs_are_drawn_where_they_were_sought(examined: Make, cost: str) -> None:
    several = tried((0.1, 0.7), (0.2, 0.9), cost=cost)
    plain = replace(PLAIN, runs=several)
    assert not [each for each in examined(plain).exhibits if isinstance(each, Curve) and "against" in each.title]
    sought = replace(plain, recipe={"search": {"objectives": ["quality", cost]}})
    drawn = against(examined(sought), cost.replace("_", " "))
    assert drawn.title == f"Quality against {cost.replace('_', ' ')}: 0.7 at 0.1, 0.9 at 0.2"


ANY_RECIPE = st.recursive(
    st.none() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["search", "objectives"]), inner),
    max_leaves=4,
)
HUGE = st.floats(-1e308, 1e308)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=ANY_RECIPE,
    results=st.lists(st.dictionaries(st.sampled_from(["quality", "energy", "x"]), HUGE), max_size=5),
    epsilon=WIDE,
)
def test_no_run_crashes_the_audit(examined: Make, table: Any, results: Any, epsilon: float) -> None:
    several = tuple(Run({}, each, epsilon / (place + 1)) for place, each in enumerate(results))
    for exhibit in examined(replace(PRIVATE, runs=several, recipe={"search": table})).exhibits:
        draw(exhibit)


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
def test_it_is_said_what_ties_the_ledger_to_the_model(make_subject: Make, trust: str, said: str, never: str) -> None:
    bare = make_subject(np.tile([0.1, 0.9], 50), np.tile([0, 1], 50))
    found = training.measure(replace(bare, model=replace(bare.model, trust=trust), ledger=PRIVATE))
    assert said in found.method
    assert never not in found.method
    assert "Figures of privacy are claims" in found.method
