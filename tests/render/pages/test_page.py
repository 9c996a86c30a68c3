import hashlib
import json
import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from rai.errors import InputError
from rai.evidence import Evidence, Measurement, Text
from rai.policy import Finding, Policy, Rule, Verdict
from rai.record import Record, Section, sealed, to_json
from rai.render import FORMATS, fragment, render

WORDS = {Verdict.PASS: "Pass", Verdict.FAIL: "Fail", Verdict.UNSURE: "Unsure", Verdict.UNMEASURED: "Not measured"}


@pytest.fixture(scope="module")
def html(record: Record) -> str:
    return render(record, "html")


@pytest.fixture(scope="module")
def page(html: str, parse: Any):
    return parse(html)


def judged(record: Record, *verdicts: Verdict, blocking: bool = True, unsure: str = "block") -> Record:
    rule = Rule("R-1", "Rule", "roc_auc", "because", at_least=0.5, blocking=blocking)
    found = Measurement("roc_auc", 0.6, 0.55, 0.65, 90)
    findings = tuple(Finding(replace(rule, id=f"R-{i}"), each, found, "so") for i, each in enumerate(verdicts))
    return sealed(replace(record, findings=findings, policy=replace(record.policy, unsure=unsure)))


def test_the_same_record_gives_the_same_bytes(record: Record, html: str) -> None:
    assert all(render(record, name) == render(record, name) for name in FORMATS)
    assert render(record, "json") == to_json(record)


def test_an_unknown_format_is_an_input_error(record: Record) -> None:
    with pytest.raises(InputError, match="html"):
        render(record, "pdf")


def test_elements_are_balanced(page: Any) -> None:
    assert page.wrong == []


def test_ids_are_unique_and_every_fragment_link_has_its_target(page: Any) -> None:
    ids = Counter(page.all("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    named = [each for text in page.all("aria-labelledby") for each in text.split()]
    assert set(named) <= set(ids)


def test_nothing_points_outside_the_page(html: str, page: Any) -> None:
    assert not any(
        name in attributes for _, attributes in page.elements for name in ("src", "srcset", "action", "data")
    )
    assert not re.search(r"url\(|@import|https?:", html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "link", "iframe", "object", "embed", "base", "form", "foreignobject", "use"}
    pictures = [attributes["href"] or "" for tag, attributes in page.elements if tag == "image"]
    assert pictures
    assert all(each.startswith("data:image/png;base64,") for each in pictures)


def test_no_style_attribute_and_no_inline_handler(page: Any) -> None:
    names = {name for _, attributes in page.elements for name in attributes}
    assert not any(name == "style" or name.startswith("on") for name in names)


def test_the_content_policy_admits_exactly_our_style_and_script(html: str, page: Any) -> None:
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        wanted = b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{wanted}'" in policy
    for part in ("default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"):
        assert part in policy
    assert "unsafe" not in policy


def test_the_page_has_one_first_heading_a_language_and_a_title_that_begins_with_the_verdict(page: Any) -> None:
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["h1"] == tags["main"] == tags["header"] == tags["title"] == 1
    assert dict(page.elements[0][1]) == {"lang": "en"}
    (title,) = [text for tag, _, text in page.texts if tag == "title"]
    assert title.startswith("Fail: The data show that the model misses")


def test_headings_never_skip_a_level(page: Any) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def numbers(value: object) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers, value))
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_every_shown_number_is_one_of_the_json_and_its_text_is_that_number_rounded(record: Record, page: Any) -> None:
    known = numbers(json.loads(to_json(record)))
    shown = [(a["data-value"], text) for _, a, text in page.texts if a.get("data-value")]
    assert len(shown) > 500
    for exact, text in shown:
        assert float(exact) in known
        digits = text.replace(",", "").replace("−", "-")
        places = len(digits.partition(".")[2])
        assert abs(float(digits) - float(exact)) <= 0.5 * 10**-places * 1.000001


def test_every_measurement_stands_in_the_page_with_all_its_digits(record: Record, page: Any) -> None:
    shown = {float(each) for each in page.all("data-value")}
    for each in record.measurements:
        wanted = {each.value, each.low, each.high, each.p, each.detectable} - {None}
        assert wanted <= shown


def test_checks_stand_worst_first_each_with_word_glyph_and_link(record: Record, page: Any) -> None:
    order = [a["data-verdict"] for t, a in page.elements if t == "tbody" and "data-verdict" in a]
    assert order == sorted(order, key=["fail", "unsure", "unmeasured", "pass"].index)
    assert len(order) == len(record.findings)
    said = Counter(text.strip() for _, a, text in page.texts if (a.get("class") or "").startswith("chip"))
    counts = Counter(WORDS[each.verdict] for each in record.findings)
    assert all(said[word] >= count for word, count in counts.items())
    assert set(said) - {""} == set(WORDS.values())


def test_charts_are_images_with_a_name(record: Record, page: Any) -> None:
    charts = [a for t, a in page.elements if t == "svg"]
    drawn = sum(e.kind not in {"text", "table"} for s in record.sections if s.evidence for e in s.evidence.exhibits)
    measured = sum(f.measurement is not None and f.measurement.value is not None for f in record.findings)
    assert len(charts) == drawn + measured
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 10 for a in charts)


def test_everything_recorded_is_on_the_page(record: Record, page: Any) -> None:
    told = " ".join(" ".join(text for _, _, text in page.texts).split())
    it = record.identity
    wanted = [
        it.name,
        it.version,
        it.model.sha256[:12],
        it.data.sha256,
        it.head_reason,
        it.owner,
        it.purpose,
        *it.notes,
    ]
    wanted += ["not provided by the owner", record.digest, record.run.command, record.run.date, "fewer than 5"]
    wanted += [f"R-{record.digest[:4]}-{record.digest[4:8]}", record.policy.source, *record.not_covered]
    for section in record.sections:
        wanted.append(section.question)
        if section.evidence:
            wanted += [section.evidence.method, *section.evidence.caveats]
            wanted += [each.text if isinstance(each, Text) else each.title for each in section.evidence.exhibits]
    wanted += [each.rule.because for each in record.findings] + [each.rule.source for each in record.findings]
    assert [each for each in wanted if " ".join(each.split()) not in told] == []


def test_the_policy_stands_word_for_word(record: Record, page: Any) -> None:
    code = "".join(text for tag, _, text in page.texts if tag == "code")
    assert record.policy.text in code


def test_a_crashed_and_an_unmet_audit_say_so(record: Record, parse: Any) -> None:
    crashed = Section("gone", "Gone?", ("roc_auc",), None, "crashed: ValueError: no", crashed=True)
    told = [t for _, _, t in parse(render(replace(record, sections=(*record.sections, crashed)), "html")).texts]
    assert "This audit crashed." in told
    assert any("ValueError: no." in each for each in told)
    assert any("1 audit crashed: gone." in each for each in told)


@pytest.mark.parametrize(
    ("verdicts", "options", "title", "reason"),
    [
        ((Verdict.PASS,), {}, "Pass: The data show that the model meets the one deciding check.", "0, because every"),
        ((Verdict.PASS, Verdict.FAIL), {}, "Fail: The data show that the model misses 1 of 2", "1, because a deciding"),
        (
            (Verdict.PASS, Verdict.UNSURE),
            {},
            "Unsure: The data cannot show whether the model meets 1 of 2",
            "4, because",
        ),
        ((Verdict.UNMEASURED,), {}, "Not measured: 1 of 1 deciding check could not be measured", "4, because"),
        ((Verdict.UNSURE,), {"unsure": "warn"}, "Unsure: ", "0, because nothing failed"),
        ((Verdict.FAIL,), {"blocking": False}, "Not measured: No check that decides", "4, because"),
        ((), {}, "Not measured: No check that decides", "4, because"),
    ],
)
def test_the_verdict_sentence_and_the_exit_code_agree_with_the_findings(
    record: Record, parse: Any, verdicts: tuple[Verdict, ...], options: dict[str, object], title: str, reason: str
) -> None:
    page = parse(render(judged(record, *verdicts, **options), "html"))
    (shown,) = [text for tag, _, text in page.texts if tag == "title"]
    assert shown.startswith(title)
    told = " ".join("".join(text for _, _, text in page.texts).split())
    assert f"Exit code {reason}" in told


def test_an_audit_that_crashed_makes_code_three_unless_a_rule_failed(record: Record) -> None:
    crashed = Section("gone", "Gone?", (), None, "crashed: no", crashed=True)
    for verdict, code in ((Verdict.PASS, 3), (Verdict.UNSURE, 3), (Verdict.FAIL, 1)):
        made = replace(judged(record, verdict), sections=(crashed,))
        assert f"Exit code <b>{code}</b>" in render(made, "html")


@pytest.mark.parametrize("trust", ["data only", "in memory", "predictions only", "carries code"])
def test_only_a_model_that_carries_code_is_stamped(record: Record, parse: Any, trust: str) -> None:
    made = replace(record, identity=replace(record.identity, trust=trust))
    page = parse(render(made, "html"))
    assert ("stamp" in page.all("class")) == (trust == "carries code")
    assert ("carries code" in fragment(made)) == (trust == "carries code")


def test_the_verdict_the_sentence_and_the_exit_code_come_before_the_cards_and_the_checks(html: str) -> None:
    places = [
        html.index(each) for each in ('id="verdict"', 'class="exit"', 'id="audited"', 'id="checks"', 'class="part"')
    ]
    assert places == sorted(places)


def test_a_large_audit_stays_small(large_record: Record) -> None:
    exhibits = sum(len(each.evidence.exhibits) for each in large_record.sections if each.evidence)
    assert (len(large_record.measurements), exhibits) >= (200, 40)
    assert len(render(large_record, "html").encode()) <= 500_000
    assert len(fragment(large_record).encode()) < 50_000
    assert len(render(large_record, "md").encode()) <= 60_000


def test_an_empty_record_still_makes_a_page(record: Record, parse: Any) -> None:
    bare = replace(record, sections=(), findings=(), not_covered=(), policy=Policy("p", "1", "s", ()), digest="")
    page = parse(render(bare, "html"))
    assert page.wrong == []
    assert "not sealed" in " ".join(text for _, _, text in page.texts)


def test_sections_of_one_name_or_of_odd_names_keep_anchors_apart(record: Record, parse: Any) -> None:
    twins = tuple(Section(name, "Q?", (), Evidence(())) for name in ("a", "a", "x y", "<b>", "appendix", "checks"))
    page = parse(render(replace(record, sections=twins), "html"))
    assert max(Counter(page.all("id")).values()) == 1
    assert page.wrong == []


def test_a_fragment_has_no_script_and_only_scoped_styles(record: Record, parse: Any) -> None:
    drawn = fragment(record)
    page = parse(drawn)
    assert page.wrong == []
    assert "script" not in {tag for tag, _ in page.elements}
    (style,) = [text for tag, _, text in page.texts if tag == "style"]
    assert all(rule.strip().startswith(".rai-report") for rule in style.split("\n"))
    assert len(drawn.encode()) < 50_000


def test_a_fragment_of_hostile_length_stays_small(record: Record) -> None:
    findings = tuple(replace(each, rule=replace(each.rule, title="<&'" * 9000)) for each in record.findings * 40)
    assert len(fragment(replace(record, findings=findings)).encode()) < 50_000


def test_a_rendering_says_nothing_about_virtue(html: str, record: Record) -> None:
    told = html + render(record, "md") + render(record, "junit") + fragment(record)
    assert not re.search(r"\b(fair(?!-0)|unbiased|safe|debiased|compliant)\b", told, re.IGNORECASE)
