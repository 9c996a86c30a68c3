"""The judge: the interval decides, doubt is said, silence never passes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rai.errors import InputError
from rai.evidence import Measurement
from rai.policy import Policy, Rule, Verdict, judge, overall, read_policy, require_known


def measured(value: float, low: float, high: float, rows: int = 1000, **more: object) -> Measurement:
    return Measurement("m", value, low, high, rows, **more)  # type: ignore[arg-type]


def rule(**bounds: object) -> Rule:
    return Rule("R-1", "Title", "m", "because", **bounds)  # type: ignore[arg-type]


def verdicts(policy_rule: Rule, *found: Measurement, absent: dict[str, str] | None = None) -> list[Verdict]:
    policy = Policy("p", "1", "here", (policy_rule,))
    return [each.verdict for each in judge(policy, found, absent or {}, "binary")]


@pytest.mark.parametrize(
    ("bounds", "low", "high", "expected"),
    [
        ({"at_most": 0.1}, 0.02, 0.1, Verdict.PASS),
        ({"at_most": 0.1}, 0.02, 0.1001, Verdict.UNSURE),
        ({"at_most": 0.1}, 0.1, 0.2, Verdict.UNSURE),
        ({"at_most": 0.1}, 0.1001, 0.2, Verdict.FAIL),
        ({"at_least": 0.8}, 0.8, 0.9, Verdict.PASS),
        ({"at_least": 0.8}, 0.7999, 0.9, Verdict.UNSURE),
        ({"at_least": 0.8}, 0.5, 0.8, Verdict.UNSURE),
        ({"at_least": 0.8}, 0.5, 0.7999, Verdict.FAIL),
        ({"at_least": -0.1, "at_most": 0.1}, -0.05, 0.05, Verdict.PASS),
        ({"at_least": -0.1, "at_most": 0.1}, -0.3, -0.2, Verdict.FAIL),
        ({"at_least": -0.1, "at_most": 0.1}, -0.2, 0.2, Verdict.UNSURE),
    ],
)
def test_the_whole_interval_decides(bounds: dict[str, float], low: float, high: float, expected: Verdict) -> None:
    assert verdicts(rule(**bounds), measured((low + high) / 2, low, high)) == [expected]


def test_an_undefined_number_is_unmeasured_with_its_reason() -> None:
    found = Measurement("m", None, None, None, 0, reason="no positives in group X")
    policy = Policy("p", "1", "here", (rule(at_most=1.0),))
    (finding,) = judge(policy, [found], {}, "binary")
    assert finding.verdict is Verdict.UNMEASURED
    assert finding.reason == "no positives in group X"


def test_a_number_without_an_interval_is_unsure() -> None:
    found = Measurement("m", 0.5, None, None, 100, reason="too few resamples")
    assert verdicts(rule(at_most=1.0), found) == [Verdict.UNSURE]


def test_too_few_rows_are_unsure_even_inside_the_bound() -> None:
    assert verdicts(rule(at_most=1.0), measured(0.1, 0.0, 0.2, smallest=29)) == [Verdict.UNSURE]
    assert verdicts(rule(at_most=1.0), measured(0.1, 0.0, 0.2, smallest=30)) == [Verdict.PASS]


def test_what_nobody_made_is_unmeasured_and_says_why() -> None:
    policy = Policy("p", "1", "here", (rule(at_most=1.0),))
    (finding,) = judge(policy, [], {"m": "the audit x was not run"}, "binary")
    assert (finding.verdict, finding.reason) == (Verdict.UNMEASURED, "the audit x was not run")


def test_a_rule_of_another_task_says_nothing() -> None:
    assert verdicts(rule(at_most=1.0, tasks=("regression",)), measured(0.1, 0.0, 0.2)) == []


def test_where_narrows_a_rule() -> None:
    found = [measured(0.5, 0.4, 0.6, facet={"attribute": name}) for name in ("sex", "race")]
    policy = Policy("p", "1", "here", (rule(at_most=0.3, where={"attribute": "sex"}),))
    (finding,) = judge(policy, found, {}, "binary")
    assert finding.measurement is found[0]


def test_overall_is_the_worst_blocking_verdict() -> None:
    blocking, shown = rule(at_most=0.5), rule(at_most=0.1, blocking=False)
    policy = Policy("p", "1", "here", (blocking, shown))
    findings = judge(policy, [measured(0.3, 0.2, 0.4)], {}, "binary")
    assert [each.verdict for each in findings] == [Verdict.FAIL, Verdict.PASS]
    assert overall(findings) is Verdict.PASS


def test_a_policy_without_blocking_rules_proves_nothing() -> None:
    assert overall([]) is Verdict.UNMEASURED


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1))
def test_a_narrower_interval_never_turns_pass_into_fail(value: float, down: float, up: float, bound: float) -> None:
    wide = verdicts(rule(at_most=bound), measured(value, value - down, value + up))[0]
    narrow = verdicts(rule(at_most=bound), measured(value, value - down / 2, value + up / 2))[0]
    assert wide is Verdict.UNSURE or narrow is wide


def test_rows_needed_shrinks_the_interval_to_the_bound() -> None:
    policy = Policy("p", "1", "here", (rule(at_most=0.2),))
    (finding,) = judge(policy, [measured(0.1, 0.0, 0.3, rows=100)], {}, "binary")
    assert "about 300 more rows" in finding.reason


def test_an_unknown_measurement_names_the_nearest() -> None:
    policy = Policy("p", "1", "here", (Rule("R-1", "t", "demografic_parity_ratio", "b", at_least=0.8),))
    with pytest.raises(InputError, match="for example demographic_parity_ratio"):
        require_known(policy, ["demographic_parity_ratio", "accuracy", "roc_auc"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 1", "key name is 1"),
        ("name='a'\nversion='1'\nsource='s'\nrules=[{id='R',title='t',measurement='m',because='b'}]", "has no bound"),
        (
            "name='a'\nversion='1'\nsource='s'\nrules=[{id='R',title='t',measurement='m',because=' ',at_most=1}]",
            "reason",
        ),
        ("name='a'\nversion='1'\nsource='s'\ncolour='red'\nrules=[]", "key colour is not a key rai knows"),
        ("name = ", "not valid TOML"),
        ("name='a'\nversion='1'\nrules=[]", "key source is missing"),
        ("name='a'\nversion='1'\nsource='s'\nunsure='maybe'\nrules=[]", "key unsure is 'maybe'"),
    ],
)
def test_a_bad_policy_is_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "law.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=expected) as caught:
        read_policy(str(path))
    assert "law.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_pack_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="one of default"):
        read_policy("strictest")


def test_the_default_policy_gives_a_reason_and_a_source_for_every_bound() -> None:
    policy = read_policy("default")
    assert all(each.because and each.source for each in policy.rules)
    assert "[[rules]]" in policy.text


def of_default(rule_id: str, found: Measurement) -> Verdict:
    (finding,) = (each for each in judge(read_policy("default"), [found], {}, "binary") if each.rule.id == rule_id)
    return finding.verdict


@pytest.mark.parametrize(
    ("rows", "low", "expected"),
    [(12, 0.719, Verdict.PASS), (8, 0.719, Verdict.PASS), (7, 0.719, Verdict.UNSURE), (12, -0.1, Verdict.UNSURE)],
)
def test_a_dozen_explained_rows_suffice_where_the_interval_is_clear(rows: int, low: float, expected: Verdict) -> None:
    assert of_default("EXPL-03", Measurement("deletion_gain", 0.888, low, 1.06, rows)) == expected


@pytest.mark.parametrize(
    ("high", "rows", "expected"),
    [(0.002, 5, Verdict.PASS), (0.002, 1, Verdict.UNSURE), (0.02, 5, Verdict.UNSURE)],
)
def test_a_few_rows_suffice_for_completeness(high: float, rows: int, expected: Verdict) -> None:
    assert of_default("EXPL-04", Measurement("completeness_gap", 0.001, 0.0, high, rows)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.01, 0.02, Verdict.PASS), (0.1, 0.2, Verdict.UNSURE), (0.3, 0.5, Verdict.FAIL)],
)
def test_behaviour_on_made_up_rows_is_shown_and_does_not_decide(low: float, high: float, expected: Verdict) -> None:
    assert of_default("EXPL-05", Measurement("scaffolding_gap", (low + high) / 2, low, high, 2000)) == expected
    assert not next(each for each in read_policy("default").rules if each.id == "EXPL-05").blocking
