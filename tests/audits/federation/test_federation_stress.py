"""What attacks cost, told from a ledger: planted losses with intervals, who was left out, and what nobody can say."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rai.audits.federation import MEASURES, measure
from rai.evidence import Evidence, Heat, Measurement, Table
from rai.ledger import Energy, Federation, Fingerprint, Ledger, Round, Site, StressRun, StressTest
from rai.render.charts import draw
from rai.subject import Subject

Audited = Callable[..., Evidence]
SITES = tuple(Site(f"site {place}", 200) for place in range(1, 11))
LIARS = ("site 3", "site 7")
ROWS, ROUNDS = 800, 6
WORTHS = {
    "fedavg": {"none": 0.95, "sign_flip": 0.575, "nan": 0.945},
    "krum": {"none": 0.93, "sign_flip": 0.93, "nan": 0.935},
}


def stress_of(worths: Mapping[str, Mapping[str, float]], **change: Any) -> Federation:
    runs = tuple(
        StressRun(strategy, attack, ROWS, dict.fromkeys(LIARS, ROUNDS) if attack == "nan" else {})
        for strategy, found in worths.items()
        for attack in found
    )
    test = StressTest(LIARS, 0.2, 5.0, ROUNDS, runs, {"fedavg": {}, "krum": {"num_malicious_nodes": 2}}, 12.0)
    told = Federation("local", "fedavg", {}, "iid", SITES, (Round(1, {}),), stress=worths, stress_test=test)
    return replace(told, **change)


def with_run(told: Federation, place: int, **change: Any) -> Federation:
    assert told.stress_test is not None
    runs = [replace(each, **change) if at == place else each for at, each in enumerate(told.stress_test.runs)]
    return replace(told, stress_test=replace(told.stress_test, runs=tuple(runs)))


def without(worths: Mapping[str, Mapping[str, float]], *gone: str) -> dict[str, dict[str, float]]:
    return {
        strategy: {name: each for name, each in found.items() if name not in gone} for strategy, found in worths.items()
    }


def ledger_with(told: Federation) -> Ledger:
    return Ledger("0", "now", "", Fingerprint(2_000, "0" * 64), {}, 0, (), 1.0, 1.0, {}, federation=told)


@pytest.fixture(scope="module")
def audited(make_subject: Callable[..., Subject]) -> Audited:
    bare = make_subject(np.tile([0.2, 0.8], 100), np.tile([0, 1], 100))

    def run(told: Federation, task: str = "binary", **change: Any) -> Evidence:
        subject = replace(bare, ledger=replace(ledger_with(told), **change), card=replace(bare.card, task=task))
        found = measure(subject)
        assert {each.name for each in found.measurements} <= set(MEASURES)
        for shape in found.exhibits:
            draw(shape)
        return found

    return run


def losses(found: Evidence, name: str = "accuracy_lost_to_attack") -> dict[tuple[str, str], Measurement]:
    return {(each.facet["strategy"], each.facet["attack"]): each for each in found.measurements if each.name == name}


def shape(found: Evidence, start: str) -> Any:
    named = [each for each in found.exhibits if each.title.startswith(start)]
    assert len(named) == 1, [each.title for each in found.exhibits]
    return named[0]


def test_a_planted_loss_is_beyond_noise_and_its_twin_without_one_is_not(audited: Audited) -> None:
    found = losses(audited(stress_of(WORTHS)))
    assert set(found) == {(strategy, attack) for strategy in WORTHS for attack in ("sign_flip", "nan")}
    for (strategy, attack), each in found.items():
        lost = WORTHS[strategy]["none"] - WORTHS[strategy][attack]
        assert each.value == pytest.approx(lost, abs=1e-12)
        assert each.low is not None
        assert each.high is not None
        assert each.low <= lost <= each.high
        assert each.rows == ROWS
        assert (each.low > 0.3) == (lost > 0.3)
        assert (each.low < 0 < each.high) == (lost < 0.3)


def test_intervals_cover_the_truth_whatever_rows_were_held_out(audited: Audited) -> None:
    """Four losses at a time, all of them covered at once in 95 of 100 draws; bounds of separate samples are wider."""
    rng = np.random.default_rng(0)
    missed, draws = 0, 200
    for _ in range(draws):
        drawn = {s: {a: rng.binomial(ROWS, p) / ROWS for a, p in each.items()} for s, each in WORTHS.items()}
        found = losses(audited(replace(stress_of(WORTHS), stress=drawn)))
        truth = {place: WORTHS[place[0]]["none"] - WORTHS[place[0]][place[1]] for place in found}
        missed += any(not (each.low or 0) <= truth[place] <= (each.high or 0) for place, each in found.items())
    assert missed <= 0.05 * draws


def test_accuracy_under_attack_has_wilsons_interval(audited: Audited) -> None:
    found = losses(audited(stress_of(WORTHS)), "accuracy_in_stress_test")["fedavg", "sign_flip"]
    assert found.value == 0.575
    assert found.low == pytest.approx(0.5404, abs=1e-3)
    assert found.high == pytest.approx(0.6088, abs=1e-3)
    assert "Wilson" in found.method


def test_the_chart_shows_points_lost_and_its_title_the_most(audited: Audited) -> None:
    heat = shape(audited(stress_of(WORTHS)), "Points of accuracy lost to attacks")
    assert isinstance(heat, Heat)
    assert heat.title == "Points of accuracy lost to attacks: at most 37.5 (fedavg under sign flip)"
    assert (heat.row_labels, heat.column_labels) == (("fedavg", "krum"), ("sign flip", "NaN"))
    assert heat.values == (pytest.approx((37.5, 0.5)), pytest.approx((0.0, -0.5)))


def test_who_attacked_and_whose_updates_were_left_out_is_named(audited: Audited) -> None:
    found = audited(stress_of(WORTHS))
    told = shape(found, "Who attacked in the stress test: site 3, site 7").text
    assert "2 of 10 sites, which hold 20.0 % of the rows, attacked in 6 rounds, drawn by the seed" in told
    assert "A flipped update goes 5 times as far the other way." in told
    assert "Sign flip, left out: nobody. NaN, left out: site 3, site 7 in every round." in told
    table = shape(found, "Trainings of the stress test: 6")
    assert isinstance(table, Table)
    places = [table.columns.index(each) for each in ("Strategy", "Attack", "Updates left out")]
    assert [tuple(row[each] for each in places) for row in table.rows[:3]] == [
        ("fedavg", "no attack", "nobody"),
        ("fedavg", "sign flip", "nobody"),
        ("fedavg", "NaN", "site 3, site 7 in every round"),
    ]


def test_where_strategies_differ_in_whom_they_left_out_each_is_named(audited: Audited) -> None:
    told = with_run(stress_of(WORTHS), 4, excluded={"site 1": 2, "site 3": 6, "site 7": 6})
    text = shape(audited(told), "Who attacked").text
    assert "Sign flip, left out: fedavg: nobody; krum: site 1 in 2 of 6 rounds; site 3, site 7 in every round." in text


def test_many_that_attacked_and_were_all_left_out_are_named_once(audited: Audited) -> None:
    many = tuple(f"site {place}" for place in range(1, 8))
    told = with_run(stress_of(WORTHS), 2, excluded=dict.fromkeys(many, 6))
    told = with_run(told, 5, excluded=dict.fromkeys(many[:-1], 6))
    assert told.stress_test is not None
    found = audited(replace(told, stress_test=replace(told.stress_test, attackers=many)))
    text = shape(found, "Who attacked").text
    assert "drawn by the seed: site 1, site 2, site 3, site 4, site 5, site 6, site 7." in text
    assert "NaN, left out: fedavg: all 7 that attacked in every round; krum: site 1, site 2" in text
    assert "site 5 and 1 more in every round." in text


def test_a_training_without_a_number_has_its_reason(audited: Audited) -> None:
    why = "no reply could be joined in any round"
    told = with_run(replace(stress_of(WORTHS), stress=without(WORTHS, "nan")), 2, reason=why, rows=0)
    found = audited(told)
    assert losses(found)["fedavg", "nan"].value is None
    assert losses(found)["fedavg", "nan"].reason == why
    assert losses(found)["fedavg", "sign_flip"].low is not None
    assert shape(found, "Points of accuracy").values[0][1] is None
    lines = shape(found, "Trainings of the stress test").rows
    assert lines[2][-1] == f"site 3, site 7 in every round. No figure: {why}"


def test_without_a_calm_training_beside_it_nothing_was_lost_that_anybody_could_say(audited: Audited) -> None:
    found = losses(audited(replace(stress_of(WORTHS), stress=without(WORTHS, "none"))))
    assert {each.value for each in found.values()} == {None}
    why = "the training without attack has no figure to hold this one against"
    assert {each.reason for each in found.values()} == {why}


def test_no_interval_where_rows_differ_or_nobody_says_how_many_there_were(audited: Audited) -> None:
    other = losses(audited(with_run(stress_of(WORTHS), 1, rows=ROWS - 80)))["fedavg", "sign_flip"]
    assert (other.value, other.low) == (pytest.approx(0.375), None)
    assert other.reason == "not the same held-out rows as without attack"
    for each in losses(audited(replace(stress_of(WORTHS), stress_test=None))).values():
        assert each.value is not None
        assert (each.low, each.reason) == (None, "the ledger does not tell on how many held-out rows")


def test_a_regression_loses_r2_and_has_no_interval(audited: Audited) -> None:
    worths = {"fedavg": {"none": 0.9, "sign_flip": -3.1}}
    found = audited(stress_of(worths), task="regression")
    each = losses(found, "r2_lost_to_attack")["fedavg", "sign_flip"]
    assert (each.value, each.low) == (pytest.approx(4.0), None)
    assert "no interval" in each.reason
    assert shape(found, "R² lost to attacks").title == "R² lost to attacks: at most 4 (fedavg under sign flip)"


def test_few_held_out_rows_are_not_shown(audited: Audited) -> None:
    told = stress_of(WORTHS)
    for place in range(6):
        told = with_run(told, place, rows=4)
    found = audited(told)
    for each in (*losses(found).values(), *losses(found, "accuracy_in_stress_test").values()):
        assert each.value is None
        assert "suppressed" in each.reason
    assert shape(found, "Points of accuracy").values == ((None, None), (None, None))


def test_a_strategy_that_reckoned_with_fewer_liars_than_there_were_is_told(audited: Audited) -> None:
    told = stress_of(WORTHS)
    assert told.stress_test is not None
    fewer = replace(told, stress_test=replace(told.stress_test, arguments={"krum": {"num_malicious_nodes": 1}}))
    assert "krum reckoned with 1 malicious sites, and 2 attacked." in audited(fewer).caveats
    assert not any("reckoned" in each for each in audited(told).caveats)


def test_energy_that_the_test_used_is_told_where_energy_is(audited: Audited) -> None:
    energy = Energy(1.0, 0.5, 2.0, "m", {}, 1.0, 0.5, 2.0, 0.0, 400.0, "here", "s", 20.0, 20.0)
    told = stress_of(WORTHS)
    words = "6 trainings of the stress test took 12 seconds"
    assert any(words in each for each in audited(told, energy=energy).caveats)
    assert not any("12 seconds" in each for each in audited(told).caveats)


def test_without_a_stress_test_it_says_how_to_ask_for_one(audited: Audited) -> None:
    found = audited(replace(stress_of(WORTHS), stress={}, stress_test=None))
    (each,) = (each for each in found.measurements if each.name == "accuracy_lost_to_attack")
    assert each.value is None
    assert "rai train --stress" in each.reason
    assert not any("attack" in shape.title for shape in found.exhibits)


@pytest.mark.parametrize("wild", [1e300, -1e300, 1.5, -0.1])
def test_a_ledger_may_hold_any_number(audited: Audited, wild: float) -> None:
    worths = {"fedavg": {"none": wild, "odd": 0.5}, "new": {"none": 0.5, "sign_flip": wild}}
    told = with_run(stress_of(worths), 1, rows=10**30, excluded={"x": 10**30})
    for task in ("binary", "regression"):
        found = audited(told, task=task)
        assert all(each.value is None or abs(each.value) <= 1e101 for each in found.measurements)


def test_words_of_a_verdict_are_not_in_it(audited: Audited) -> None:
    found = audited(stress_of(WORTHS))
    told = " ".join(str(each) for each in (*found.exhibits, *found.caveats, found.method)).lower()
    assert not [word for word in ("unbiased", "debiased", "compliant", " safe", " fair ", "robust") if word in told]
