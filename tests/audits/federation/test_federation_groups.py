"""How groups fare over sites: exact from sums of counts, and nothing told of one to four people."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fairlearn import metrics

from rai.audits.federation import measure
from rai.evidence import Evidence, Measurement
from rai.ledger import Site
from rai.subject import Subject

ONE = Callable[..., Measurement]
AUDITED = Callable[..., Evidence]


class TestGroups:
    def test_gaps_are_those_of_pooled_fairlearn(self, audited: AUDITED, one: ONE, built: Any) -> None:
        """One site has no women at all, the others differ in size and in whom they favour."""
        sites = {
            "a": built.held(1, 900, tilt=0.4),
            "b": built.held(2, 150, right=0.7, women=0.0),
            "c": built.held(3, 300, right=0.95, women=0.8),
        }
        found = audited(built.federation(sites))
        actual, chosen, sex = (
            np.concatenate([getattr(e, k) for e in sites.values()]) for k in ("actual", "chosen", "sex")
        )
        pairs = {
            "demographic_parity": metrics.demographic_parity_difference,
            "equalized_odds": metrics.equalized_odds_difference,
            "equal_opportunity": metrics.equal_opportunity_difference,
        }
        for name, theirs in pairs.items():
            gap = one(found, f"global_{name}_difference", attribute="sex")
            assert gap.value == pytest.approx(float(theirs(actual, chosen, sensitive_features=sex)), abs=1e-12)
            assert gap.low <= gap.value <= gap.high
        assert [each[0] for each in built.exhibit(found, "Gaps inside 2 of 3 sites").rows] == ["a", "c"]

    def test_each_rate_of_a_group_has_a_line_with_its_interval(self, clean: Evidence, one: ONE, built: Any) -> None:
        rows = built.exhibit(clean, "Groups over all sites by sex: 2").rows
        assert [row[0] for row in rows] == ["Female"] * 4 + ["Male"] * 4
        assert [row[1] for row in rows[::4]] == [
            sum(int(np.sum(each.sex == level)) for each in built.equal.values()) for level in ("Female", "Male")
        ]
        named = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
        for row, name in zip(rows[4:], named, strict=True):
            rate = one(clean, f"global_group_{name}", attribute="sex", group="Male")
            assert row[3:] == (rate.value, rate.low, rate.high)

    def test_small_cells_are_withheld(self, audited: AUDITED, one: ONE, built: Any) -> None:
        sites = {**built.equal, "hamlet": built.held(7, 40, women=0.0)}
        told = built.federation(sites)
        few = Site("hamlet", 200, {"no": 197, "yes": 3}, alone=0.8, together=0.8)
        counts = {"sex": {"Female": (1, 0, 0, 2), "Male": (10, 7, 8, 12)}}
        told = built.changed(replace(told, sites=(*told.sites[:5], few)), 4, "hamlet", counts=counts)
        found = audited(told)
        holdings = built.exhibit(found, "Who holds what")
        assert holdings.values[holdings.row_labels.index("hamlet")] == (None, None)
        assert "hamlet" not in {row[0] for row in built.exhibit(found, "Gaps inside").rows}
        assert one(found, "global_demographic_parity_difference", attribute="sex").value is not None

    @pytest.mark.parametrize("rows", [1, 3, 4])
    def test_nothing_is_told_of_a_site_of_a_few_people(self, audited: AUDITED, rows: int, built: Any) -> None:
        found = audited(built.federation({**built.equal, "cabin": built.held(8, rows)}))
        about = [each for each in found.measurements if each.facet.get("site") == "cabin"]
        assert {each.name for each in about} == {"site_epsilon"}
        line = next(row for row in built.exhibit(found, "Sites: 6").rows if row[0] == "cabin")
        assert line[4:8] == ("under 5", *("withheld",) * 3)
        assert any("fewer than 5 rows or held-out rows: cabin" in each for each in found.caveats)
        assert "cabin" not in built.exhibit(found, "Accuracy of the common model by site").labels

    def test_a_small_group_cannot_be_told_by_taking_away(self, audited: AUDITED, built: Any) -> None:
        counts = {"sex": {"Female": (90, 10, 10, 90), "Male": (90, 10, 10, 87), "Other": (1, 1, 0, 1)}}
        found = audited(built.changed(built.clean, 4, "north", counts=counts))
        rows = {row[0]: row for row in built.exhibit(found, "Gaps inside 5 of 5").rows}
        assert rows["north"][1:4] == ("Female, Male", None, None)
        assert rows["south"][2:4] == (None, None), "all rows of a group less those of the other sites tell the rest"
        clean = {row[0]: row for row in built.exhibit(audited(built.clean), "Gaps inside 5 of 5").rows}
        assert clean["south"][2] == 400

    def test_several_classes_are_compared_in_the_one_that_was_counted(
        self, make_subject: Callable[..., Subject], one: ONE, built: Any
    ) -> None:
        subject = make_subject(np.eye(3)[np.arange(90) % 3], np.arange(90) % 3, task="multiclass")
        found = measure(replace(subject, ledger=built.ledger(built.clean)))
        assert "global_accuracy_difference" not in {each.name for each in found.measurements}
        assert one(found, "global_demographic_parity_difference", attribute="sex").value is not None
        assert any("count one class" in each for each in found.caveats)

    def test_a_group_of_a_few_people_over_all_sites_is_left_out(self, audited: AUDITED, built: Any) -> None:
        found = audited(built.federation({name: built.held(seed, women=0.002) for seed, name in enumerate("ab")}))
        group = next(row for row in built.exhibit(found, "Groups over all sites by sex").rows if row[0] == "Female")
        assert group[1:] == ("under 5", *[None] * 4)
        assert any("over all sites by sex, fewer than 5 rows: Female" in each for each in found.caveats)
