"""What the section on a federation says where little is known, whatever a ledger holds, and on the page."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rai
from rai.audits import find, unmet
from rai.audits.federation import MEASURES, NEEDS, measure
from rai.evidence import Evidence, Heat, Measurement, Table
from rai.ledger import Federation, Reply, Round, Site
from rai.policy import Verdict, judge, read_policy
from rai.render import render
from rai.render.charts import draw
from rai.run import examine
from rai.subject import Subject

ONE = Callable[..., Measurement]
AUDITED = Callable[..., Evidence]
OVERALL = ("mean_site_accuracy", "worst_site_accuracy", "worst_site_shortfall", "site_accuracy_difference")


class TestLittleIsKnown:
    def test_held_out_rows_are_those_a_site_names(
        self, audited: AUDITED, one: ONE, clean: Evidence, built: Any
    ) -> None:
        """Without groups there are no counts, and the intervals are the same."""
        found = audited(built.every_reply(built.clean, counts={}))
        for name in ("worst_site_shortfall", "worst_site_accuracy"):
            facet = {"site": min(built.equal, key=lambda each: built.equal[each].right)}
            assert one(found, name, **facet) == one(clean, name, **facet)
        assert built.verdicts(found) == built.verdicts(clean)
        assert "declare sensitive columns" in one(found, "global_equalized_odds_difference").reason

    def test_rows_of_unknown_group_count_too(self, audited: AUDITED, one: ONE, built: Any) -> None:
        some = {"sex": {"Female": (50, 10, 10, 50), "Male": (0, 0, 0, 0)}}
        assert (
            one(audited(built.changed(built.clean, 4, "north", counts=some)), "site_accuracy", site="north").rows == 400
        )

    def test_without_any_count_of_rows_nothing_has_an_interval(self, audited: AUDITED, one: ONE, built: Any) -> None:
        found = audited(built.every_reply(built.clean, counts={}, held_out=0))
        worst = one(found, "worst_site_accuracy", site=min(built.equal, key=lambda name: built.equal[name].right))
        assert (worst.low, worst.high) == (None, None)
        assert "held-out rows" in worst.reason
        assert one(found, "sites_better_alone").value is None
        assert built.verdicts(found)["FED-01"] is Verdict.UNSURE
        assert built.verdicts(found)["FED-02"] is Verdict.UNMEASURED

    @pytest.mark.parametrize(("sites", "rounds"), [(False, False), (True, False), (False, True)])
    def test_an_empty_federation_is_no_crash(
        self, audited: AUDITED, one: ONE, built: Any, *, sites: bool, rounds: bool
    ) -> None:
        told = Federation("local", "fedavg", {}, "iid", built.clean.sites * sites, built.clean.rounds * rounds)
        found = audited(told, None)
        assert one(found, "sample_level_epsilon").reason or sites
        words = "the ledger names nothing" if sites else "all that they sent"
        assert built.exhibit(found, "What left the sites without noise").title.endswith(words)
        assert ("names no round" in one(found, "mean_site_accuracy").reason) is not rounds

    def test_a_site_too_small_to_tell_of_is_not_said_to_be_silent(self, audited: AUDITED, one: ONE, built: Any) -> None:
        found = audited(built.federation({"hut": built.held(1, 4), "cabin": built.held(2, 3)}))
        for name in (*OVERALL, "sites_better_alone", "sites_better_alone_share"):
            assert one(found, name).value is None
            assert "holds, or held back, fewer than 5 rows" in one(found, name).reason

    def test_one_site_that_may_be_told_has_none_to_be_held_against(
        self, audited: AUDITED, one: ONE, built: Any
    ) -> None:
        found = audited(built.federation({"town": built.held(1), "cabin": built.held(2, 3)}))
        assert one(found, "mean_site_accuracy").value is not None
        assert "a single site may be told" in one(found, "site_accuracy_difference").reason

    def test_where_nothing_was_held_back_that_is_the_reason(self, audited: AUDITED, one: ONE, built: Any) -> None:
        told = built.every_reply(built.clean, held_out=0, accuracy=None, loss=None, counts={})
        found = audited(replace(told, sites=tuple(replace(e, alone=None, together=None) for e in told.sites)))
        for name in (*OVERALL, "sites_better_alone"):
            assert one(found, name).reason == "no site held rows back to measure on (validation under [fit])"

    def test_sites_that_are_silent_are_said_to_be(self, audited: AUDITED, one: ONE, built: Any) -> None:
        found = audited(built.every_reply(built.clean, accuracy=float("nan")))
        assert {one(found, name).reason for name in OVERALL} == {
            "no site sent an accuracy that can be read in the last round"
        }

    def test_nobody_is_told_to_train_alone_beside_a_promise(self, audited: AUDITED, one: ONE, built: Any) -> None:
        told = replace(built.clean, sites=tuple(replace(e, alone=None, epsilon=None) for e in built.clean.sites))
        assert "without noise" in one(audited(told), "sites_better_alone").reason
        assert "alone = true under [federated]" in one(audited(told, None), "sites_better_alone").reason

    def test_values_have_no_accuracy(self, make_subject: Callable[..., Subject], one: ONE, built: Any) -> None:
        subject = make_subject(np.arange(50.0), np.arange(50.0), task="regression")
        found = measure(replace(subject, ledger=built.ledger(built.every_reply(built.clean, counts={}))))
        assert one(found, "site_r2", site="north").value == built.equal["north"].right
        assert "R²" in one(found, "worst_site_shortfall").reason
        assert {each.name for each in found.measurements} <= set(MEASURES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=1, max_size=4),
    wild=st.floats() | st.none(),
    huge=st.integers(0, 10**20),
    excluded=st.sampled_from(["", "no number"]),
)
def test_no_ledger_crashes_the_audit_and_no_small_cell_is_told(
    bare: Subject, cells: Any, wild: float | None, huge: int, excluded: str, built: Any
) -> None:
    counts = {"g": {str(place): each for place, each in enumerate(cells)}}
    reply = Reply(huge, wild, wild, wild, counts, excluded)
    sites = (Site("a", 3, {"x": 3}, None, wild, wild, wild), Site("b", huge, {"x": huge, "y": 2}, 1.0, 0.5, wild, wild))
    rounds = (Round(1, {"a": reply, "b": reply}, wild), Round(2, {"b": reply}, wild, bytes_up=huge))
    told = Federation("local", "fedavg", {"x": 1}, "iid", sites, rounds, stress={"fedavg": {"nan": 0.5}})
    found = measure(replace(bare, ledger=built.ledger(told)))
    for shape in found.exhibits:
        draw(shape)
    for each in found.measurements:
        assert not 0 < each.rows < 5
        assert not 0 < (each.smallest or 0) < 5


class TestSection:
    def test_without_a_federation_it_says_what_to_do(self, bare: Subject, built: Any) -> None:
        audit = find(["federation"])[0]
        for subject in (bare, replace(bare, ledger=built.ledger(None))):
            assert "fit_federated" in unmet(NEEDS, subject)
            section = examine(audit, subject)
            assert (section.evidence, section.crashed) == (None, False)
            assert section.question == "Who trained this model together, on what, and who gains from it?"
        found = judge(read_policy("default"), (), {}, "binary")
        assert {each.rule.blocking for each in found if each.rule.id.startswith("FED")} == {False}

    def test_the_page_holds_it_all(self, built: Any) -> None:
        rng = np.random.default_rng(0)
        told = replace(
            built.changed(built.clean, 3, "east", excluded="holds <b>NaN</b>"),
            bundle={"client.py": "ab" * 32},
            unnoised=("loss and accuracy of each round",),
        )
        x = rng.normal(size=(200, 2))
        report = rai.audit(lambda rows: rows.sum(axis=1) > 0, x, x[:, 0] > 0, ledger=built.ledger(told))
        page = render(report.record, "html")
        for words in ("Who trained this model together", "holds &lt;b&gt;NaN", "ab" * 32, "loss and accuracy of each"):
            assert words in page
        assert isinstance(next(each for each in _shapes(report) if "Who holds what" in each.title), Heat)
        assert isinstance(next(each for each in _shapes(report) if "Files sent" in each.title), Table)
        banned = ("unbiased", "debiased", "compliant", " safe")
        section = next(each for each in report.sections if each.name == "federation").evidence
        told_words = " ".join([section.method, *section.caveats, *(each.title for each in section.exhibits)]).lower()
        assert not any(word in told_words for word in banned)


def _shapes(report: rai.Report) -> tuple[Any, ...]:
    return next(each.evidence.exhibits for each in report.sections if each.name == "federation")


def _shapes(report: rai.Report) -> tuple[Any, ...]:
    return next(each.evidence.exhibits for each in report.sections if each.name == "federation")
