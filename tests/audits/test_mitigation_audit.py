"""Before and after: a planted mitigation is found with who pays for it, and a twin raises no alarm."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fairlearn import metrics

from rai.audits import find
from rai.audits.mitigation import MEASURES, NEEDS, measure
from rai.evidence import Evidence, Measurement
from rai.ledger import Fingerprint, Ledger, Mitigation, Trial
from rai.policy import Verdict, judge, read_policy
from rai.subject import Subject

ROWS = 6000
RNG = np.random.default_rng(3)
MAN = RNG.random(ROWS) < 0.5
SEX = np.where(MAN, "Male", "Female")
Y = (RNG.random(ROWS) < 0.4).astype(int)
PLAIN = 0.5 * (2 * Y - 1) + RNG.normal(size=ROWS)
ONE = Callable[..., Measurement]


def chance(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


BEFORE = chance(PLAIN + 0.5 * MAN)
WORSE = np.where(MAN, RNG.normal(size=ROWS) - 0.2, PLAIN)
"""Closes the gap by deciding at random about men: their errors rise."""
AFTER = chance(WORSE)


def ledger(told: Mitigation | None) -> Ledger:
    rows = Fingerprint(100, "0" * 64)
    return Ledger("0", "now", "", rows, {}, 0, (), 1.0, 1.0, {}, mitigation=told)


def trials(method: str, strength: float, gaps: Sequence[float], **more: Any) -> tuple[Trial, ...]:
    return tuple(
        Trial(method, strength, seed, {"accuracy": 0.84 + gap / 10, "demographic_parity_difference": gap}, **more)
        for seed, gap in enumerate(gaps)
    )


TOLD = Mitigation(
    "demographic_parity",
    ("sex",),
    "adversarial",
    1.0,
    trials=(
        *trials("none", 0.0, (0.17, 0.18, 0.16, 0.17)),
        *trials("adversarial", 1.0, (0.02, 0.03, 0.01, 0.02)),
        *trials("adversarial", 30.0, (0.30, 0.10, 0.25, 0.20), warnings=("the gap rose: a collapse",)),
        *trials("gap_penalty", 2.0, (0.05, 0.06, 0.05, 0.06)),
    ),
    measured_on="validation rows",
)


@pytest.fixture(scope="module")
def subject(make_subject: Callable[..., Subject]) -> Callable[..., Subject]:
    def build(before: Any, after: Any, told: Mitigation | None = None, **more: Any) -> Subject:
        made = make_subject(after, **{"labels": Y, "groups": {"sex": SEX}, **more})
        old = None if before is None else make_subject(before, **{"labels": Y, "groups": {"sex": SEX}, **more}).model
        return replace(made, baseline=old, ledger=None if told is None else ledger(told))

    return build


@pytest.fixture(scope="module")
def planted(subject: Callable[..., Subject]) -> Evidence:
    return measure(subject(BEFORE, AFTER, TOLD))


@pytest.fixture(scope="module")
def twin(subject: Callable[..., Subject]) -> Evidence:
    return measure(subject(BEFORE, BEFORE, TOLD))


def exhibit(found: Evidence, start: str) -> Any:
    named = [each for each in found.exhibits if each.title.startswith(start)]
    assert len(named) == 1, [each.title for each in found.exhibits]
    return named[0]


def words(found: Evidence) -> str:
    told = [each.title + " " + getattr(each, "alt", getattr(each, "text", "")) for each in found.exhibits]
    return " ".join([*told, found.method, *found.caveats]).lower()


class TestPlanted:
    def test_gaps_are_those_of_fairlearn(self, planted: Evidence, one: ONE) -> None:
        pairs = {
            "demographic_parity": metrics.demographic_parity_difference,
            "equalized_odds": metrics.equalized_odds_difference,
            "equal_opportunity": metrics.equal_opportunity_difference,
        }
        for name, theirs in pairs.items():
            gaps = [float(theirs(Y, s >= 0.5, sensitive_features=SEX)) for s in (BEFORE, AFTER)]
            assert one(planted, f"{name}_before", attribute="sex").value == pytest.approx(gaps[0])
            assert one(planted, f"{name}_after", attribute="sex").value == pytest.approx(gaps[1])
            assert one(planted, f"{name}_change", attribute="sex").value == pytest.approx(gaps[1] - gaps[0])

    def test_the_gap_is_lower_over_rows_and_over_seeds(self, planted: Evidence, one: ONE) -> None:
        assert one(planted, "demographic_parity_change", attribute="sex").high < 0
        assert one(planted, "demographic_parity_change_over_seeds").high < 0
        table = exhibit(planted, "Before and after by sex")
        row = next(each for each in table.rows if each[0] == "Demographic parity")
        assert row[-1] == "lower"
        assert "Demographic parity lower" in table.title

    def test_the_price_is_told(self, planted: Evidence, one: ONE) -> None:
        found = one(planted, "accuracy_change")
        right = [np.mean((score >= 0.5) == Y) for score in (BEFORE, AFTER)]
        assert found.value == pytest.approx(right[1] - right[0])
        assert found.high < 0

    def test_men_pay_and_women_do_not(self, planted: Evidence, one: ONE) -> None:
        risen = one(planted, "group_error_rate_change", attribute="sex", group="Male")
        wrong = [np.mean(((score >= 0.5) != Y)[MAN]) for score in (BEFORE, AFTER)]
        assert risen.value == pytest.approx(wrong[1] - wrong[0])
        assert risen.low > 0
        assert risen.p < 1e-6
        still = one(planted, "group_error_rate_change", attribute="sex", group="Female")
        assert (still.value, still.p) == (0.0, 1.0)
        table = exhibit(planted, "Errors by sex")
        assert "who pays: Male" in table.title
        assert "Female" not in table.title
        assert {row[0] for row in table.rows if row[-1] == "yes"} == {"Male"}

    def test_the_policy_tells_the_narrowed_gap_from_the_price(self, planted: Evidence) -> None:
        findings = judge(read_policy("default"), planted.measurements, {}, "binary")
        held = {(each.rule.id, each.measurement.facet.get("group", "")): each for each in findings if each.measurement}
        assert held["MIT-01", ""].verdict is Verdict.PASS
        assert held["MIT-02", "Male"].verdict is Verdict.FAIL
        assert held["MIT-02", "Female"].verdict is Verdict.PASS
        assert not held["MIT-01", ""].rule.blocking

    def test_the_curve_holds_every_setting_and_says_which_are_dominated(self, planted: Evidence) -> None:
        curve = exhibit(planted, "Accuracy against the gap of demographic parity")
        assert [each.name for each in curve.lines] == [
            "adversarial", "gap penalty", "baseline", "chosen: adversarial 1",
        ]  # fmt: skip
        assert curve.lines[0].x == pytest.approx((0.02, 0.2125))
        assert "adversarial 30 (not dominated)" in curve.alt  # its accuracy, as planted, is the highest
        assert "validation rows" in curve.alt
        table = exhibit(planted, "Settings tried: 4")
        assert table.rows[0][0] == "baseline"

    def test_warnings_of_trainings_are_listed(self, planted: Evidence) -> None:
        table = exhibit(planted, "Warnings of 4 of 16 trainings")
        assert {row[3] for row in table.rows} == {"the gap rose: a collapse"}
        assert {row[4] for row in table.rows} == {"no"}

    def test_it_never_says_more_than_it_measured(self, planted: Evidence, twin: Evidence) -> None:
        for found in (planted, twin):
            for banned in ("improved", "solved", "debiased", "unbiased", "fair "):
                assert banned not in words(found)


class TestTwin:
    def test_nothing_changed(self, twin: Evidence) -> None:
        changes = [each for each in twin.measurements if each.name.endswith("_change")]
        assert len(changes) > 10
        for each in changes:
            assert each.value == 0.0
            assert each.low <= 0.0 <= each.high
            assert each.p in {None, 1.0}

    def test_nobody_pays_and_no_rule_fails(self, twin: Evidence) -> None:
        assert "no group is seen to pay" in exhibit(twin, "Errors by sex").title
        found = [each for each in judge(read_policy("default"), twin.measurements, {}, "binary") if each.measurement]
        assert {each.verdict for each in found if each.rule.id.startswith("MIT")} == {Verdict.PASS}

    def test_seeds_alone_tell_no_direction(self, twin: Evidence) -> None:
        table = exhibit(twin, "Before and after by sex")
        told = {row[0]: row[-1] for row in table.rows}
        assert told.pop("Demographic parity") == "not told apart"
        assert set(told.values()) == {"seeds not measured"}


def test_two_models_equally_noisy_are_not_told_apart(subject: Callable[..., Subject]) -> None:
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng([9, seed])
        scores = [chance(PLAIN[:1500] + 0.3 * MAN[:1500] + rng.normal(size=1500)) for _ in range(2)]
        found = measure(subject(*scores, labels=Y[:1500], groups={"sex": SEX[:1500]}))
        alarms += "who pays" in exhibit(found, "Errors by sex").title
    assert alarms <= 3  # each with a chance of at most one in twenty


class TestParts:
    def test_without_a_baseline_the_seeds_stand(self, subject: Callable[..., Subject], one: ONE) -> None:
        found = measure(subject(None, AFTER, TOLD))
        assert exhibit(found, "Before and after on the same rows: not measured: no baseline model")
        assert one(found, "demographic_parity_change_over_seeds").value == pytest.approx(-0.15)
        assert one(found, "accuracy_change_over_seeds").value == pytest.approx(-0.015)
        for name in ("accuracy_change", "asked_criterion_change", "group_error_rate_change"):
            assert (one(found, name).value, one(found, name).reason) == (None, "no baseline model")
        assert not [each for each in found.measurements if each.name.endswith("_before")]
        assert one(found, "attribute_auc_after", attribute="sex", group="Female").value is not None

    def test_without_a_ledger_the_rows_stand(self, subject: Callable[..., Subject], one: ONE) -> None:
        found = measure(subject(BEFORE, AFTER))
        assert one(found, "demographic_parity_change", attribute="sex").high < 0
        assert one(found, "accuracy_change_over_seeds").reason == "no ledger holds trials over seeds"
        assert "no ledger says" in one(found, "asked_criterion_change").reason
        assert "seeds were not measured" in exhibit(found, "Before and after by sex").title
        assert exhibit(found, "Over seeds: not measured")

    def test_without_either_the_need_is_unmet(self, subject: Callable[..., Subject]) -> None:
        from rai.audits import unmet

        assert "before mitigation" in unmet(NEEDS, subject(None, AFTER))
        assert unmet(NEEDS, subject(BEFORE, AFTER)) == ""

    def test_every_measurement_is_declared_and_the_audit_is_found(self, planted: Evidence, twin: Evidence) -> None:
        assert {each.name for found in (planted, twin) for each in found.measurements} <= set(MEASURES)
        assert find(["mitigation"])[0].question == "What did the mitigation change, for whom, and at what price?"

    def test_a_small_group_is_withheld(self, subject: Callable[..., Subject]) -> None:
        groups = np.array(SEX, dtype=object)
        groups[:3] = "Other"
        found = measure(subject(BEFORE, AFTER, groups={"sex": list(groups)}))
        about = [each for each in found.measurements if each.facet.get("group") == "Other"]
        assert about
        assert all(each.value is None and each.rows == 0 for each in about)
        assert any("Other" in each for each in found.caveats)

    @pytest.mark.parametrize("values", [[None] * ROWS, ["Female"] * ROWS, ["Male"] * 3 + [None] * (ROWS - 3)])
    def test_fewer_than_two_groups_are_not_compared(
        self, subject: Callable[..., Subject], one: ONE, values: list[str | None]
    ) -> None:
        found = measure(subject(BEFORE, AFTER, TOLD, groups={"sex": values}))
        change = one(found, "demographic_parity_change", attribute="sex")
        assert change.value is None
        assert "fewer than two groups" in change.reason
        assert exhibit(found, "Wrong labels that would close a gap by sex: no answer")
        assert one(found, "accuracy_change").value is not None

    def test_the_baseline_decides_at_its_own_threshold(self, subject: Callable[..., Subject], one: ONE) -> None:
        from rai.models.baseline import Baseline

        made = subject(BEFORE, AFTER)
        found = measure(replace(made, baseline=Baseline(made.baseline, 0.6)))
        assert one(found, "accuracy_before").value == pytest.approx(np.mean((BEFORE >= 0.6) == Y))
        assert one(found, "accuracy_after").value == pytest.approx(np.mean((AFTER >= 0.5) == Y))


class TestLedgers:
    def test_a_single_seed_has_no_interval(self, subject: Callable[..., Subject], one: ONE) -> None:
        told = replace(TOLD, trials=(*trials("none", 0.0, (0.17,)), *trials("adversarial", 1.0, (0.02,))))
        found = measure(subject(BEFORE, AFTER, told))
        change = one(found, "demographic_parity_change_over_seeds")
        assert (change.value, change.low, change.reason) == (pytest.approx(-0.15), None, "a single run")
        told = {row[0]: row[-1] for row in exhibit(found, "Before and after by sex").rows}
        assert told["Demographic parity"] == "not told apart"

    def test_seeds_speak_of_the_attributes_that_training_asked_for_alone(self, subject: Callable[..., Subject]) -> None:
        found = measure(subject(BEFORE, AFTER, TOLD, groups={"sex": SEX, "other": SEX[::-1].copy()}))
        asked, other = (exhibit(found, f"Before and after by {name}:") for name in ("sex", "other"))
        assert "Demographic parity lower" in asked.title
        assert "Change over seeds" in asked.columns
        assert "Change over seeds" not in other.columns
        assert {row[-1] for row in other.rows} == {"seeds not measured"}
        assert "seeds were not measured" in other.title
        assert [len(row) for row in other.rows] == [len(other.columns)] * len(other.rows)

    def test_trials_without_the_chosen_setting_say_so(self, subject: Callable[..., Subject], one: ONE) -> None:
        found = measure(subject(None, AFTER, replace(TOLD, strength=7.0)))
        assert one(found, "accuracy_change_over_seeds").reason == "the ledger holds no trials of the chosen setting"
        assert "not among the trials" in exhibit(found, "Accuracy against the gap").title

    def test_a_criterion_that_nobody_measured_is_no_crash(self, subject: Callable[..., Subject], one: ONE) -> None:
        found = measure(subject(BEFORE, AFTER, replace(TOLD, criterion="astrology")))
        assert "astrology" in one(found, "asked_criterion_change").reason
        assert exhibit(found, "Change over seeds")

    @pytest.mark.filterwarnings("error")
    def test_figures_that_no_chart_can_draw_are_cut(self, subject: Callable[..., Subject]) -> None:
        wild = tuple(
            Trial(method, 1.0, seed, {"accuracy": value, "demographic_parity_difference": -value})
            for method in ("none", "adversarial")
            for seed, value in enumerate((1e308, -1e308, 1e300))
        )
        assert measure(subject(BEFORE, AFTER, replace(TOLD, trials=wild))).exhibits


def test_many_groups_are_compared_in_reasonable_room(subject: Callable[..., Subject], one: ONE) -> None:
    rng = np.random.default_rng(0)
    groups = {"place": rng.choice([f"p{i:02}" for i in range(40)], ROWS)}
    found = measure(subject(BEFORE, AFTER, groups=groups))
    change = one(found, "equalized_odds_change", attribute="place")
    assert change.low < change.value < change.high


class TestOtherTasks:
    def test_several_classes_are_compared_one_against_the_rest(self, subject: Any, one: ONE) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=3000)
        man = rng.random(3000) < 0.5
        logits = 2 * np.eye(3)[labels] + rng.normal(size=(3000, 3))
        tilted = logits + np.where(man, 1.0, 0.0)[:, None] * np.array([0, 0, 1.0])
        scores = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (tilted, logits)]
        groups = {"sex": np.where(man, "m", "f")}
        found = measure(subject(*scores, labels=labels, groups=groups, task="multiclass"))
        change = one(found, "demographic_parity_change", attribute="sex", cls="2")
        picked = [np.argmax(each, axis=1) == 2 for each in scores]
        gaps = [abs(each[man].mean() - each[~man].mean()) for each in picked]
        assert change.value == pytest.approx(gaps[1] - gaps[0])
        assert change.high < 0
        right = [np.argmax(each, axis=1) == labels for each in scores]
        fallen = one(found, "group_error_rate_change", attribute="sex", group="m")
        assert fallen.value == pytest.approx(right[0][man].mean() - right[1][man].mean())
        gap = [abs(each[man].mean() - each[~man].mean()) for each in right]
        assert one(found, "accuracy_gap_change", attribute="sex").value == pytest.approx(gap[1] - gap[0])
        assert {each.name for each in found.measurements} <= set(MEASURES)

    def test_values_are_compared_by_their_means(self, subject: Any, one: ONE) -> None:
        rng = np.random.default_rng(0)
        man = rng.random(2000) < 0.5
        labels = rng.normal(size=2000)
        scores = [labels + 0.5 * man + rng.normal(size=2000), labels + np.where(man, 3.0, 1.0) * rng.normal(size=2000)]
        groups = {"sex": np.where(man, "m", "f")}
        found = measure(subject(*scores, labels=labels, groups=groups, task="regression"))
        change = one(found, "demographic_parity_change", attribute="sex")
        gaps = [abs(each[man].mean() - each[~man].mean()) / labels.std() for each in scores]
        assert change.value == pytest.approx(gaps[1] - gaps[0])
        assert change.high < 0
        errors = [np.abs(labels - each)[man] for each in scores]
        risen = one(found, "group_mae_change", attribute="sex", group="m")
        assert risen.value == pytest.approx((errors[1] - errors[0]).mean())
        assert "who pays: m" in exhibit(found, "Errors by sex").title
        assert any("Not measured for a regression model" in each for each in found.caveats)
        assert {each.name for each in found.measurements} <= set(MEASURES)

    def test_a_twin_of_values_changes_nothing(self, subject: Any) -> None:
        rng = np.random.default_rng(0)
        labels = rng.normal(size=500)
        scores = labels + rng.normal(size=500)
        groups = {"sex": rng.choice(["f", "m"], 500)}
        found = measure(subject(scores, scores, labels=labels, groups=groups, task="regression"))
        changes = [each for each in found.measurements if each.name.endswith("_change") and not each.reason]
        assert len(changes) >= 6
        assert {(each.value, each.low, each.high) for each in changes if each.name != "attribute_auc_change"} == {
            (0.0, 0.0, 0.0)
        }
