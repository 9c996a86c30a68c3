"""What an audit says of sites that trained together: planted troubles are found by name, and a clean twin is quiet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from fairlearn import metrics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rai
from rai.audits import find, unmet
from rai.audits.federation import MEASURES, NEEDS, measure
from rai.evidence import Evidence, Heat, Measurement, Table
from rai.ledger import Federation, Fingerprint, Ledger, Privacy, Reply, Round, Site
from rai.policy import Verdict, judge, read_policy
from rai.render import render
from rai.render.charts import draw
from rai.run import examine
from rai.subject import Subject
from rai.train.federated.client_privacy import without_participation

ONE = Callable[..., Measurement]
NAMES = ("north", "south", "east", "west", "centre")
PRIVACY = Privacy("record", 3.8, 1e-5, 1.0, 1.0, 1 / 16, 48, 32.0, "RDP")
WHOLE = Privacy("site", 7.9, 1e-5, 1.0, 1.0, 0.1, 100, 10.0, "PLD", "add or remove one site", "Poisson, among sites")


@dataclass(frozen=True)
class Held:
    """Held-out rows of one site, row by row."""

    actual: np.ndarray
    chosen: np.ndarray
    sex: np.ndarray

    @property
    def right(self) -> float:
        return float(np.mean(self.actual == self.chosen))

    @property
    def counts(self) -> dict[str, dict[str, tuple[int, int, int, int]]]:
        """Counted by a slow loop, every level at every site."""
        cells = {level: [0, 0, 0, 0] for level in ("Female", "Male")}
        for actual, chosen, sex in zip(self.actual, self.chosen, self.sex, strict=True):
            cells[str(sex)][2 * int(actual) + int(chosen)] += 1
        return {"sex": {level: (a, b, c, d) for level, (a, b, c, d) in cells.items()}}


def held(seed: int, rows: int = 400, right: float = 0.85, tilt: float = 0.0, women: float = 0.5) -> Held:
    """Decisions that are right so often; `tilt` more often yes for men."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, 2, rows)
    sex = np.where(rng.random(rows) < women, "Female", "Male")
    chosen = np.where(rng.random(rows) < right, actual, 1 - actual)
    return Held(actual, np.where((sex == "Male") & (rng.random(rows) < tilt), 1, chosen), sex)


def federation(sites: Mapping[str, Held], *, alone: Mapping[str, float] | None = None, rounds: int = 4) -> Federation:
    listed = tuple(
        Site(
            name,
            5 * len(each.actual),
            {"no": 3 * len(each.actual), "yes": 2 * len(each.actual)},
            epsilon=3.8 - place / 10,
            alone=(alone or {}).get(name, each.right - 0.03),
            together=each.right,
            contribution=0.1 - place / 50,
        )
        for place, (name, each) in enumerate(sites.items())
    )
    course = tuple(_round(number, sites) for number in range(1, rounds + 1))
    return Federation("local", "fedavg", {"share": 1.0}, "dirichlet, alpha 0.5", listed, course, WHOLE, "secret draws")


def _round(number: int, sites: Mapping[str, Held]) -> Round:
    replies = {
        name: Reply(
            4 * len(each.actual), 0.5, each.right, 1 / number + place / 100, each.counts, held_out=len(each.actual)
        )
        for place, (name, each) in enumerate(sites.items())
    }
    return Round(number, replies, 0.7 / number, {}, 1000, 900, 0.1)


def changed(told: Federation, number: int, name: str, **change: Any) -> Federation:
    """The federation with one reply of one round changed."""
    rounds = [
        replace(r, replies={**r.replies, name: replace(r.replies[name], **change)}) if r.number == number else r
        for r in told.rounds
    ]
    return replace(told, rounds=tuple(rounds))


def every_reply(told: Federation, **change: Any) -> Federation:
    """The federation with all replies changed alike."""
    rounds = [replace(r, replies={n: replace(e, **change) for n, e in r.replies.items()}) for r in told.rounds]
    return replace(told, rounds=tuple(rounds))


EQUAL = {name: held(seed) for seed, name in enumerate(NAMES)}
CLEAN = federation(EQUAL)


def ledger_with(told: Federation | None, privacy: Privacy | None = PRIVACY) -> Ledger:
    rows = Fingerprint(10_000, "0" * 64)
    return Ledger("0", "now", "", rows, {}, 0, (), 1.0, 1.0, {}, privacy=privacy, federation=told)


@pytest.fixture(scope="module")
def bare(make_subject: Callable[..., Subject]) -> Subject:
    return make_subject(np.tile([0.2, 0.8], 100), np.tile([0, 1], 100))


@pytest.fixture(scope="module")
def audited(bare: Subject) -> Callable[..., Evidence]:
    def run(told: Federation, privacy: Privacy | None = PRIVACY) -> Evidence:
        found = measure(replace(bare, ledger=ledger_with(told, privacy)))
        assert {each.name for each in found.measurements} <= set(MEASURES)
        return found

    return run


@pytest.fixture(scope="module")
def clean(audited: Callable[..., Evidence]) -> Evidence:
    return audited(CLEAN)


def exhibit(found: Evidence, start: str) -> Any:
    named = [each for each in found.exhibits if each.title.startswith(start)]
    assert len(named) == 1, [each.title for each in found.exhibits]
    return named[0]


def verdicts(found: Evidence) -> dict[str, Verdict]:
    findings = judge(read_policy("default"), found.measurements, {}, "binary")
    return {each.rule.id: each.verdict for each in findings if each.rule.id.startswith("FED")}


class TestClean:
    def test_no_rule_finds_anything(self, clean: Evidence) -> None:
        assert verdicts(clean) == dict.fromkeys(("FED-01", "FED-02", "FED-03"), Verdict.PASS)

    def test_what_is_stated_is_told(self, clean: Evidence, one: ONE) -> None:
        expected = {
            "federation_sites": 5,
            "federation_rounds": 4,
            "participation_share": 1,
            "least_participation_share": 1,
            "excluded_updates": 0,
            "bytes_to_sites": 4000,
            "bytes_from_sites": 3600,
            "sites_better_alone": 0,
            "update_norm": 0.25 + 0.02,
            "contribution_sum": 0.3,
        }
        assert {name: one(clean, name).value for name in expected} == pytest.approx(expected)

    def test_no_exclusion_log_and_nobody_better_alone(self, clean: Evidence) -> None:
        titles = " ".join(each.title for each in clean.exhibits)
        assert "not used" not in titles
        assert "Sites that do better alone, beyond noise: 0 of 5" in titles

    def test_both_epsilons_stand_apart(self, clean: Evidence, one: ONE) -> None:
        rows, sites = one(clean, "sample_level_epsilon"), one(clean, "client_level_epsilon")
        assert (rows.value, sites.value) == (3.8, 7.9)
        assert one(clean, "client_level_epsilon_recalculated").value == pytest.approx(7.9, rel=0.1)
        assert one(clean, "site_epsilon", site="centre").value == pytest.approx(3.4)
        text = exhibit(clean, "Promised to each row").text
        assert "secret draws" in text
        assert "not added up" in text

    def test_classes_told_by_position_are_named(self, audited: Callable[..., Evidence], clean: Evidence) -> None:
        sites = tuple(replace(each, classes={"1": 80, "0": 120}) for each in CLEAN.sites)
        assert exhibit(audited(replace(CLEAN, sites=sites)), "Who holds what").column_labels == ("yes", "no")
        assert exhibit(clean, "Who holds what").column_labels == ("no", "yes")

    def test_a_site_has_wilsons_interval(self, clean: Evidence, one: ONE) -> None:
        found, right, rows = one(clean, "site_accuracy", site="north"), int(EQUAL["north"].right * 400 + 0.5), 400
        assert (found.value, found.rows) == (right / rows, rows)
        for bound in (found.low, found.high):  # the score test is just undecided at either bound (Wilson 1927)
            assert abs(right / rows - bound) == pytest.approx(1.959964 * (bound * (1 - bound) / rows) ** 0.5, rel=1e-6)


class TestPlanted:
    def test_the_bad_site_is_named_and_fails(self, audited: Callable[..., Evidence], one: ONE) -> None:
        sites = {**EQUAL, "west": held(9, right=0.5)}
        found = audited(federation(sites))
        shares = np.array([each.right for each in sites.values()])
        apart = one(found, "worst_site_shortfall", site="west")
        assert apart.value == pytest.approx(shares.mean() - shares.min())
        assert 0.1 < apart.low < 0.28 < apart.high
        assert one(found, "worst_site_accuracy", site="west").value == shares.min()
        assert one(found, "site_accuracy_difference").low > 0.1
        assert verdicts(found)["FED-01"] is Verdict.FAIL
        assert exhibit(found, "Sites: 5").rows[0][0] == "west"

    def test_the_broken_site_is_logged(self, audited: Callable[..., Evidence], one: ONE) -> None:
        reason = "holds numbers that are not finite"
        told = changed(CLEAN, 2, "east", excluded=reason, norm=float("nan"), loss=float("nan"))
        found = audited(changed(told, 4, "east", excluded=reason, norm=1e9))
        log = exhibit(found, "Updates that were not used: 2, of east")
        assert log.rows == ((2, "east", reason), (4, "east", reason))
        assert one(found, "excluded_updates").value == 2
        assert verdicts(found)["FED-03"] is Verdict.FAIL
        assert one(found, "update_norm").value < 1
        assert any("not used are among those added up: east" in each for each in found.caveats)

    def test_the_site_better_alone_is_named_and_noise_is_not(self, audited: Callable[..., Evidence], one: ONE) -> None:
        alone = {"south": EQUAL["south"].right + 0.1, "north": EQUAL["north"].right + 0.02}
        found = audited(federation(EQUAL, alone=alone))
        assert one(found, "sites_better_alone").value == 1
        share = one(found, "sites_better_alone_share")
        assert (share.value, share.low > 0, share.high < 1) == (0.2, True, True)
        assert exhibit(found, "Sites that do better alone").title.endswith("beyond noise: 1 of 5 (south)")
        assert one(found, "gain_alone", site="north").low < 0 < one(found, "gain_alone", site="north").high
        assert verdicts(found)["FED-02"] is Verdict.FAIL

    def test_a_small_site_hides_no_finding_and_leaves_none_unsure(self, audited: Callable[..., Evidence]) -> None:
        sites = {**EQUAL, "hamlet": held(7, 20)}
        assert verdicts(audited(federation(sites)))["FED-02"] is Verdict.UNSURE
        alone = {"south": EQUAL["south"].right + 0.1}
        assert verdicts(audited(federation(sites, alone=alone)))["FED-02"] is Verdict.FAIL

    def test_sites_that_sit_out_are_counted(self, audited: Callable[..., Evidence], one: ONE) -> None:
        replies = {name: reply for name, reply in CLEAN.rounds[3].replies.items() if name != "east"}
        found = audited(replace(CLEAN, rounds=(*CLEAN.rounds[:3], replace(CLEAN.rounds[3], replies=replies))))
        assert one(found, "participation_share").value == pytest.approx(0.95)
        assert one(found, "least_participation_share").value == 0.8
        assert any("without an accuracy in the last round: east" in each for each in found.caveats)

    def test_a_site_that_only_tried_the_model_took_no_part(self, audited: Callable[..., Evidence], one: ONE) -> None:
        found = audited(changed(CLEAN, 2, "east", examples=0, norm=None))
        assert one(found, "least_participation_share").value == 0.8
        assert one(found, "excluded_updates").value == 0

    def test_a_secret_that_the_ledger_tells_is_named(self, audited: Callable[..., Evidence]) -> None:
        """K = 100, 10 a round, z = 1, 100 rounds, delta 1e-5: 7.9 hidden, and seen what a tight accountant finds."""
        told = next(each for each in audited(CLEAN).caveats if "secret which sites" in each)
        assert "epsilon is 91.8 instead" in told
        rows = exhibit(audited(CLEAN), "Sites: 5").rows
        assert {row[2] for row in rows} == {"not told"}
        open_ = replace(CLEAN, client_privacy=replace(WHOLE, sample_rate=1.0))
        found = audited(open_)
        assert not any("secret which sites" in each for each in found.caveats)
        assert {row[2] for row in exhibit(found, "Sites: 5").rows} == {4}

    def test_a_secret_that_the_ledger_keeps_is_kept(self, audited: Callable[..., Evidence], one: ONE) -> None:
        rounds = tuple(without_participation(each) for each in CLEAN.rounds)
        found = audited(replace(CLEAN, rounds=rounds))
        assert one(found, "federation_rounds").value == 4
        kept = ("participation_share", "least_participation_share", "excluded_updates")
        for name in (*kept, "bytes_to_sites", "bytes_from_sites", "update_norm", "update_norm_dispersion"):
            assert one(found, name).value is None
            assert "secret who took part" in one(found, name).reason
        assert any("the ledger does not tell it" in each and "91.8 instead" in each for each in found.caveats)
        assert not any("ledger tells that" in each for each in found.caveats)
        table = exhibit(found, "Rounds: 4, who took part is not told")
        assert {row[1:4] + row[8:] for row in table.rows} == {("not told",) * 8}
        assert {row[2:4] for row in exhibit(found, "Sites: 5").rows} == {("not told", "not told")}
        told = audited(CLEAN)
        names = ("mean_site_accuracy", "worst_site_accuracy", "site_accuracy_difference", "sites_better_alone")
        facets = ({}, {"site": min(EQUAL, key=lambda each: EQUAL[each].right)}, {}, {})
        for name, facet in zip(names, facets, strict=True):
            assert one(found, name, **facet) == one(told, name, **facet)
        assert verdicts(found)["FED-03"] is Verdict.UNMEASURED

    def test_a_claim_below_what_a_site_spent_is_told(self, audited: Callable[..., Evidence], one: ONE) -> None:
        found = audited(CLEAN, replace(PRIVACY, epsilon=1.0))
        assert one(found, "sample_level_epsilon").value == 3.8
        assert any("the largest that a site states is 3.8" in each for each in found.caveats)

    def test_uneven_steps_are_told(self, audited: Callable[..., Evidence], one: ONE, clean: Evidence) -> None:
        wide = one(audited(changed(CLEAN, 4, "west", norm=5.0)), "update_norm_dispersion").value
        lengths = [0.25, 0.26, 0.27, 5.0, 0.29]
        assert wide == pytest.approx(np.std(lengths) / np.mean(lengths))
        assert wide > 10 * one(clean, "update_norm_dispersion").value


class TestGroups:
    def test_gaps_are_those_of_pooled_fairlearn(self, audited: Callable[..., Evidence], one: ONE) -> None:
        """One site has no women at all, the others differ in size and in whom they favour."""
        sites = {
            "a": held(1, 900, tilt=0.4),
            "b": held(2, 150, right=0.7, women=0.0),
            "c": held(3, 300, right=0.95, women=0.8),
        }
        found = audited(federation(sites))
        actual, chosen, sex = (np.concatenate([getattr(e, k) for e in sites.values()]) for k in Held.__annotations__)
        pairs = {
            "demographic_parity": metrics.demographic_parity_difference,
            "equalized_odds": metrics.equalized_odds_difference,
            "equal_opportunity": metrics.equal_opportunity_difference,
        }
        for name, theirs in pairs.items():
            gap = one(found, f"global_{name}_difference", attribute="sex")
            assert gap.value == pytest.approx(float(theirs(actual, chosen, sensitive_features=sex)), abs=1e-12)
            assert gap.low <= gap.value <= gap.high
        assert [each[0] for each in exhibit(found, "Gaps inside 2 of 3 sites").rows] == ["a", "c"]

    def test_small_cells_are_withheld(self, audited: Callable[..., Evidence], one: ONE) -> None:
        sites = {**EQUAL, "hamlet": held(7, 40, women=0.0)}
        told = federation(sites)
        few = Site("hamlet", 200, {"no": 197, "yes": 3}, alone=0.8, together=0.8)
        counts = {"sex": {"Female": (1, 0, 0, 2), "Male": (10, 7, 8, 12)}}
        told = changed(replace(told, sites=(*told.sites[:5], few)), 4, "hamlet", counts=counts)
        found = audited(told)
        holdings = exhibit(found, "Who holds what")
        assert holdings.values[holdings.row_labels.index("hamlet")] == (None, None)
        assert "hamlet" not in {row[0] for row in exhibit(found, "Gaps inside").rows}
        assert one(found, "global_demographic_parity_difference", attribute="sex").value is not None

    @pytest.mark.parametrize("rows", [1, 3, 4])
    def test_nothing_is_told_of_a_site_of_a_few_people(self, audited: Callable[..., Evidence], rows: int) -> None:
        found = audited(federation({**EQUAL, "cabin": held(8, rows)}))
        about = [each for each in found.measurements if each.facet.get("site") == "cabin"]
        assert {each.name for each in about} == {"site_epsilon"}
        assert next(row for row in exhibit(found, "Sites: 6").rows if row[0] == "cabin")[4:14] == (None,) * 10
        assert any("fewer than 5 rows or held-out rows: cabin" in each for each in found.caveats)
        assert "cabin" not in exhibit(found, "Accuracy of the common model by site").labels

    def test_a_small_group_cannot_be_told_by_taking_away(self, audited: Callable[..., Evidence]) -> None:
        counts = {"sex": {"Female": (90, 10, 10, 90), "Male": (90, 10, 10, 87), "Other": (1, 1, 0, 1)}}
        found = audited(changed(CLEAN, 4, "north", counts=counts))
        rows = {row[0]: row for row in exhibit(found, "Gaps inside 5 of 5").rows}
        assert rows["north"][1:3] == ("Female, Male", None)
        assert rows["south"][2] == 400

    def test_several_classes_are_compared_in_the_one_that_was_counted(
        self, make_subject: Callable[..., Subject], one: ONE
    ) -> None:
        subject = make_subject(np.eye(3)[np.arange(90) % 3], np.arange(90) % 3, task="multiclass")
        found = measure(replace(subject, ledger=ledger_with(CLEAN)))
        assert "global_accuracy_difference" not in {each.name for each in found.measurements}
        assert one(found, "global_demographic_parity_difference", attribute="sex").value is not None
        assert any("count one class" in each for each in found.caveats)

    def test_a_group_of_a_few_people_over_all_sites_is_left_out(self, audited: Callable[..., Evidence]) -> None:
        found = audited(federation({name: held(seed, women=0.002) for seed, name in enumerate("ab")}))
        group = next(row for row in exhibit(found, "Groups over all sites by sex").rows if row[0] == "Female")
        assert group[1:] == ("under 5", *[None] * 12)
        assert any("over all sites by sex, fewer than 5 rows: Female" in each for each in found.caveats)


class TestLittleIsKnown:
    def test_held_out_rows_are_those_a_site_names(self, audited: Any, one: ONE, clean: Evidence) -> None:
        """Without groups there are no counts, and the intervals are the same."""
        found = audited(every_reply(CLEAN, counts={}))
        for name in ("worst_site_shortfall", "worst_site_accuracy"):
            facet = {"site": min(EQUAL, key=lambda each: EQUAL[each].right)}
            assert one(found, name, **facet) == one(clean, name, **facet)
        assert verdicts(found) == verdicts(clean)
        assert "declare sensitive columns" in one(found, "global_equalized_odds_difference").reason

    def test_rows_of_unknown_group_count_too(self, audited: Any, one: ONE) -> None:
        some = {"sex": {"Female": (50, 10, 10, 50), "Male": (0, 0, 0, 0)}}
        assert one(audited(changed(CLEAN, 4, "north", counts=some)), "site_accuracy", site="north").rows == 400

    def test_without_any_count_of_rows_nothing_has_an_interval(self, audited: Any, one: ONE) -> None:
        found = audited(every_reply(CLEAN, counts={}, held_out=0))
        worst = one(found, "worst_site_accuracy", site=min(EQUAL, key=lambda name: EQUAL[name].right))
        assert (worst.low, worst.high) == (None, None)
        assert "held-out rows" in worst.reason
        assert one(found, "sites_better_alone").value is None
        assert verdicts(found)["FED-01"] is Verdict.UNSURE
        assert verdicts(found)["FED-02"] is Verdict.UNMEASURED

    @pytest.mark.parametrize(("sites", "rounds"), [((), ()), (CLEAN.sites, ()), ((), CLEAN.rounds)])
    def test_an_empty_federation_is_no_crash(self, audited: Any, one: ONE, sites: Any, rounds: Any) -> None:
        found = audited(Federation("local", "fedavg", {}, "iid", sites, rounds), None)
        assert one(found, "sample_level_epsilon").reason or sites
        words = "the ledger names nothing" if sites else "all that they sent"
        assert exhibit(found, "What left the sites without noise").title.endswith(words)

    def test_values_have_no_accuracy(self, make_subject: Callable[..., Subject], one: ONE) -> None:
        subject = make_subject(np.arange(50.0), np.arange(50.0), task="regression")
        found = measure(replace(subject, ledger=ledger_with(every_reply(CLEAN, counts={}))))
        assert one(found, "site_r2", site="north").value == EQUAL["north"].right
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
    bare: Subject, cells: Any, wild: float | None, huge: int, excluded: str
) -> None:
    counts = {"g": {str(place): each for place, each in enumerate(cells)}}
    reply = Reply(huge, wild, wild, wild, counts, excluded)
    sites = (Site("a", 3, {"x": 3}, None, wild, wild, wild), Site("b", huge, {"x": huge, "y": 2}, 1.0, 0.5, wild, wild))
    rounds = (Round(1, {"a": reply, "b": reply}, wild), Round(2, {"b": reply}, wild, bytes_up=huge))
    told = Federation("local", "fedavg", {"x": 1}, "iid", sites, rounds, stress={"fedavg": {"nan": 0.5}})
    found = measure(replace(bare, ledger=ledger_with(told)))
    for shape in found.exhibits:
        draw(shape)
    for each in found.measurements:
        assert not 0 < each.rows < 5
        assert not 0 < (each.smallest or 0) < 5


class TestSection:
    def test_without_a_federation_it_says_what_to_do(self, bare: Subject) -> None:
        audit = find(["federation"])[0]
        for subject in (bare, replace(bare, ledger=ledger_with(None))):
            assert "fit_federated" in unmet(NEEDS, subject)
            section = examine(audit, subject)
            assert (section.evidence, section.crashed) == (None, False)
            assert section.question == "Who trained this model together, on what, and who gains from it?"
        found = judge(read_policy("default"), (), {}, "binary")
        assert {each.rule.blocking for each in found if each.rule.id.startswith("FED")} == {False}

    def test_the_page_holds_it_all(self) -> None:
        rng = np.random.default_rng(0)
        told = replace(
            changed(CLEAN, 3, "east", excluded="holds <b>NaN</b>"),
            stress={"fedavg": {"none": 0.95, "nan": 0.57}, "krum": {"none": 0.93}},
            bundle={"client.py": "ab" * 32},
            unnoised=("loss and accuracy of each round",),
        )
        x = rng.normal(size=(200, 2))
        report = rai.audit(lambda rows: rows.sum(axis=1) > 0, x, x[:, 0] > 0, ledger=ledger_with(told))
        page, text = (render(report.record, each) for each in ("html", "md"))
        for words in ("Who trained this model together", "holds &lt;b&gt;NaN", "ab" * 32, "loss and accuracy of each"):
            assert words in page
        assert "0.57 (fedavg under nan)" in text
        assert isinstance(next(each for each in _shapes(report) if "Attacks" in each.title), Heat)
        assert isinstance(next(each for each in _shapes(report) if "Files sent" in each.title), Table)
        banned = ("unbiased", "debiased", "compliant", " safe")
        section = next(each for each in report.sections if each.name == "federation").evidence
        told_words = " ".join([section.method, *section.caveats, *(each.title for each in section.exhibits)]).lower()
        assert not any(word in told_words for word in banned)


def _shapes(report: rai.Report) -> tuple[Any, ...]:
    return next(each.evidence.exhibits for each in report.sections if each.name == "federation")
