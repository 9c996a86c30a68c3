"""What a training came to, beside its promise: runs, curves, the account of it, and quality against what it cost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai.audits import training
from rai.audits.training.gap import welch
from rai.audits.training.tradeoffs import Point, front
from rai.evidence import Curve, Evidence, Line, Measurement
from rai.ledger import Epoch, Ledger, Run
from rai.policy import Verdict
from rai.render.charts import draw
from rai.subject import Source, Subject

Make = Callable[..., Any]


WIDE = st.floats(0, 1e308)


def test_tuning_adds_up(examined: Make, one: Make, private_ledger: Ledger, runs: Make) -> None:
    assert one(examined(private_ledger), "tuned_epsilon").value == 2.382
    assert one(examined(replace(private_ledger, runs=runs(1.0, 2.0))), "tuned_epsilon").value == pytest.approx(5.382)


def test_the_run_that_was_kept_counts_once(examined: Make, one: Make, private_ledger: Ledger, runs: Make) -> None:
    found = examined(replace(private_ledger, runs=runs(1.0, 2.382, kept=1)))
    assert one(found, "tuned_epsilon").value == pytest.approx(3.382)
    assert "this run and 1 other" in one(found, "tuned_epsilon").method


def test_a_run_without_privacy_leaves_no_epsilon(examined: Make, one: Make, private_ledger: Ledger, runs: Make) -> None:
    found = examined(replace(private_ledger, runs=runs(1.0, None)))
    assert one(found, "tuned_epsilon").value is None
    assert "1 of 2 runs on the same rows were made without privacy" in one(found, "tuned_epsilon").reason


def test_runs_are_listed_the_kept_and_the_best_first(
    examined: Make, private_ledger: Ledger, table: Make, runs: Make
) -> None:
    tried = list(runs(*([0.5] * 40), kept=20))
    tried[33] = replace(tried[33], front=True)
    found = table(examined(replace(private_ledger, runs=tuple(tried))), "Runs on the same rows")
    assert found.title == "Runs on the same rows: 40, 1 of them on the Pareto front; the first 30 are listed"
    assert found.columns == ("run", "role", "settings", "accuracy", "epsilon")
    assert [line[:2] for line in found.rows[:3]] == [(21, "this model"), (34, "on the front"), (1, "tried")]
    assert len(found.rows) == 30


def test_twenty_runs_fail_where_one_passes(examined: Make, private_ledger: Ledger, verdicts: Make, runs: Make) -> None:
    found = verdicts(examined(replace(private_ledger, runs=runs(*([0.83] * 20)))))
    assert (found["TRAIN-01"], found["TRAIN-02"]) == (Verdict.PASS, Verdict.FAIL)


# Curves


def test_curves_say_where_the_loss_is_lowest(examined: Make, plain_ledger: Ledger) -> None:
    curve = next(each for each in examined(plain_ledger).exhibits if each.kind == "curve")
    assert curve.title == "Mean loss by epoch: training 1 to 0.333, validation 0.9 to 0.4"
    assert "validation loss is lowest at epoch 3, 0.4" in curve.alt
    assert [each.name for each in curve.lines] == ["training", "validation"]


def test_long_trainings_keep_a_hundred_points_with_both_ends(examined: Make, private_ledger: Ledger) -> None:
    epochs = tuple(Epoch(place, 1 / place, epsilon=place / 100) for place in range(1, 351))
    loss, budget = (each for each in examined(replace(private_ledger, epochs=epochs)).exhibits if each.kind == "curve")
    assert [len(loss.lines[0].x), loss.lines[0].x[0], loss.lines[0].x[-1]] == [100, 1, 350]
    assert budget.title == "Epsilon spent by epoch: 3.5 in the end"


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_epoch_has_no_curve(examined: Make, count: int, plain_ledger: Ledger) -> None:
    assert not any(
        each.kind == "curve" for each in examined(replace(plain_ledger, epochs=plain_ledger.epochs[:count])).exhibits
    )


def test_warnings_are_told(examined: Make, plain_ledger: Ledger, text: Make) -> None:
    found = examined(
        replace(plain_ledger, warnings=("gradients vanish in layers.0", "12 % of units in layers.2 are dead."))
    )
    assert text(found, "Warnings while training: 2").count(".") == 4


# The account


def test_the_account_names_model_seal_and_recipe(examined: Make, plain_ledger: Ledger, table: Make) -> None:
    found = examined(plain_ledger)
    account = dict(table(found, "How the model was trained, 2026-01-02 03:04 UTC").rows)
    assert account["SHA-256 of the model file"] == "5e5e5e5e5e5e5e5e…"
    assert account["rows"] == "60,000 from train.csv"
    assert account["made with"] == "rai 1.0, torch 2.13"
    assert ("fit.learning_rate", "0.25") in table(found, "The recipe, 3 keys").rows


@pytest.fixture
def placed(make_subject: Make, make_data: Make, plain_ledger: Ledger) -> Make:
    def build(*, test: str = "", reference: str = "", file: str = "aa") -> Subject:
        """A model that is right on every reference row and at a loss on the test rows."""
        rng = np.random.default_rng(0)
        label = rng.integers(0, 2, 200)
        given_ = replace(make_data(rng.integers(0, 2, 200)), source=Source("train.csv", reference))
        subject = make_subject(np.clip(0.5 + rng.normal(0, 0.2, 200), 0, 1), label, reference=given_)
        data = replace(subject.data, source=Source("test.csv", test))
        ledger = replace(plain_ledger, data=replace(plain_ledger.data, file=file))
        return replace(subject, data=data, ledger=ledger)

    return build


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
def test_rows_are_held_against_the_ledger(placed: Make, files: Any, said: str) -> None:
    found = training.measure(placed(**files))
    assert any(said in each for each in found.caveats)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"reference": "bb"}, "another file"),
        ({"reference": ""}, "does not name the file"),
        ({"test": "aa", "reference": "aa"}, "very file"),
    ],
)
def test_a_gap_against_other_rows_is_not_measured(placed: Make, one: Make, files: Any, reason: str) -> None:
    found = one(training.measure(placed(**files)), "generalisation_gap")
    assert found.value is None
    assert reason in found.reason


def test_a_memorised_training_file_shows(make_subject: Make, make_data: Make, one: Make, plain_ledger: Ledger) -> None:
    """Answers of .95 and .05 that are all right on the training rows, and right half the time on others."""
    rng = np.random.default_rng(1)
    label, seen = rng.integers(0, 2, 300), rng.integers(0, 2, 400)
    sure = np.where(seen, 0.95, 0.05) + rng.normal(0, 0.01, 400)
    reference = replace(make_data(seen), source=Source("train.csv", "aa"))
    subject = make_subject(sure, seen)
    test = replace(make_data(label), source=Source("test.csv", "bb"))
    ledger = replace(plain_ledger, data=replace(plain_ledger.data, file="aa"))
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


def test_quality_is_drawn_against_epsilon(examined: Make, private_ledger: Ledger) -> None:
    found = examined(replace(private_ledger, runs=tried((3, 0.93), (1, 0.74), (8, 0.94), name="accuracy")))
    drawn = against(found)
    assert drawn.title == "Accuracy against epsilon: 0.74 at 1, 0.93 at 3, 0.94 at 8"
    assert (drawn.x_label, drawn.y_label) == ("epsilon", "accuracy")
    assert drawn.lines == (Line("Pareto front", (1, 3, 8), (0.74, 0.93, 0.94)),)
    told = "run 2 0.74 at epsilon 1; run 1 0.93 at epsilon 3; run 3 0.94 at epsilon 8. Every run is on it."
    assert drawn.alt == f"Pareto front, the runs that no other matches for less epsilon: {told}"
    assert any("without intervals" in each for each in found.caveats)


def test_runs_off_the_front_are_points_of_their_own(examined: Make, private_ledger: Ledger) -> None:
    several = list(tried((1, 0.7), (2, 0.6), (2, 0.8), (3, 0.8)))
    several[2] = replace(several[2], kept=True)
    drawn = against(examined(replace(private_ledger, runs=tuple(several))))
    assert drawn.title == "Quality against epsilon: 0.7 at 1, 0.8 at 2"
    assert drawn.lines == (
        Line("Pareto front", (1, 2), (0.7, 0.8)),
        Line("run 4", (3,), (0.8,)),
        Line("run 2", (2,), (0.6,)),
    )
    assert "run 3 (this model) 0.8 at epsilon 2" in drawn.alt
    assert drawn.alt.endswith("Off it: run 4 0.8 at epsilon 3; run 2 0.6 at epsilon 2.")


def test_every_run_is_one_point_and_those_left_out_are_counted(examined: Make, private_ledger: Ledger) -> None:
    rng = np.random.default_rng(0)
    pairs = [(float(cost), float(quality)) for cost, quality in rng.random((20, 2))]
    drawn = against(examined(replace(private_ledger, runs=tried(*pairs))))
    points = [point for each in drawn.lines for point in zip(each.x, each.y, strict=True)]
    assert sorted(points) == sorted(pairs)
    assert "not drawn" not in drawn.alt
    falling = tried(*((place + 1, 1 - place / 100) for place in range(50)))
    assert "19 more runs off it are not drawn" in against(examined(replace(private_ledger, runs=falling))).alt


def test_a_long_front_is_told_by_its_ends(examined: Make, private_ledger: Ledger) -> None:
    rising = tried(*((place + 1, place / 1000) for place in range(300)))
    drawn = against(examined(replace(private_ledger, runs=rising)))
    assert drawn.title == "Quality against epsilon: 0 at 1 to 0.299 at 300, 300 runs on the Pareto front"
    assert (len(drawn.lines[0].x), drawn.lines[0].x[0], drawn.lines[0].x[-1]) == (100, 1, 300)


@pytest.mark.parametrize(
    "pairs",
    [[], [(1, 0.7)], [(1, 0.7), (None, 0.8)], [(1, 0.7), (2, None)], [(1, 0.7), (1, 0.8)]],
    ids=["no run", "one run", "one epsilon", "one quality", "one and the same epsilon"],
)
def test_without_two_epsilons_nothing_is_drawn(examined: Make, pairs: Any, private_ledger: Ledger) -> None:
    found = examined(replace(private_ledger, runs=tried(*pairs)))
    assert against(found) is None
    assert not any("without intervals" in each for each in found.caveats)


@pytest.mark.parametrize("cost", ["group_gap", "energy"])
def test_other_costs_are_drawn_where_they_were_sought(examined: Make, cost: str, plain_ledger: Ledger) -> None:
    several = tried((0.1, 0.7), (0.2, 0.9), cost=cost)
    plain = replace(plain_ledger, runs=several)
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
def test_no_run_crashes_the_audit(
    examined: Make, table: Any, results: Any, epsilon: float, private_ledger: Ledger
) -> None:
    several = tuple(Run({}, each, epsilon / (place + 1)) for place, each in enumerate(results))
    for exhibit in examined(replace(private_ledger, runs=several, recipe={"search": table})).exhibits:
        draw(exhibit)
