import os
import re
from pathlib import Path
from typing import Any

import pytest

from rai.record import Record, to_json
from rai.render import fragment, render

NO_BROWSER = not Path("/usr/bin/chromium").exists() and "CI" not in os.environ

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(NO_BROWSER, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def html(record: Record) -> str:
    return render(record, "html")


def visible_checks(page: Any) -> int:
    return int(page.evaluate("[...document.querySelectorAll('.check')].filter(e => e.getClientRects().length).length"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_the_page_opens_quietly_and_axe_finds_nothing(
    show: Any, html: str, theme: str, width: int, violations: Any
) -> None:
    seen = show(html, color_scheme=theme, viewport={"width": width, "height": 800})
    seen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert violations(seen.page) == []
    assert (seen.errors, seen.requests) == ([], [])
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_without_scripts_shows_everything_and_filters(show: Any, html: str, record: Record) -> None:
    seen = show(html, java_script_enabled=False)
    page = seen.page
    assert page.locator("tbody.check:visible").count() == len(record.findings)
    assert page.get_by_role("img").count() == html.count('role="img"')
    assert page.locator("#theme").is_hidden()
    page.get_by_role("radio", name="Fail").check()
    failed = sum(each.verdict == "fail" for each in record.findings)
    assert page.locator("tbody.check:visible").count() == failed
    page.locator("details.measured summary").first.click()
    assert page.locator("details.measured table").first.is_visible()
    assert seen.requests == []


def test_light_and_dark_differ_and_the_button_turns_one_into_the_other(show: Any, html: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (show(html, color_scheme=theme).page for theme in ("light", "dark"))
    shades = light.evaluate(paper), dark.evaluate(paper)
    assert shades[0] != shades[1]
    dark.get_by_role("button", name="Light").click()
    assert dark.evaluate(paper) == shades[0]
    dark.get_by_role("button", name="Dark").click()
    assert dark.evaluate(paper) == shades[1]


def test_every_chart_is_there_named_and_of_some_size(show: Any, html: str, record: Record) -> None:
    page = show(html).page
    exhibits = [each for section in record.sections if section.evidence for each in section.evidence.exhibits]
    drawn = sum(each.kind not in {"text", "table"} for each in exhibits)
    little = sum(each.measurement is not None and each.measurement.value is not None for each in record.findings)
    sizes = page.evaluate("[...document.querySelectorAll('svg')].map(e => [e.clientWidth, e.clientHeight])")
    assert len(sizes) == drawn + little
    assert all(width > 100 and height > 30 for width, height in sizes)
    names = re.findall(r'img "(.+?)"', page.locator("body").aria_snapshot())
    assert len(names) == len(sizes)


@pytest.mark.parametrize("width", [1280, 768, 320])
def test_no_text_of_a_chart_is_smaller_than_eleven_pixels(show: Any, html: str, width: int) -> None:
    page = show(html, viewport={"width": width, "height": 800}).page
    smallest = page.evaluate(
        """Math.min(...[...document.querySelectorAll('svg text')].map(text =>
           parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a))"""
    )
    assert smallest >= 11


def test_words_in_charts_do_not_run_into_each_other_or_out_of_their_chart(show: Any, html: str) -> None:
    page = show(html).page
    clashes = page.evaluate(
        """[...document.querySelectorAll('svg')].flatMap(svg => {
          const frame = svg.getBoundingClientRect();
          const texts = [...svg.querySelectorAll('text')].filter(t => !t.hasAttribute('transform'));
          const boxes = texts.map(t => t.getBoundingClientRect());
          const out = texts.filter((t, i) => boxes[i].left < frame.left - 2 || boxes[i].right > frame.right + 2);
          const across = (a, b) => a.left < b.right - 1 && b.left < a.right - 1;
          const over = (a, b) => across(a, b) && a.top < b.bottom - 4 && b.top < a.bottom - 4;
          const met = texts.filter((t, i) => boxes.some((b, j) => j < i && over(boxes[i], b)));
          return [...out, ...met].map(t => t.textContent + ' in ' + svg.getAttribute('aria-label').slice(0, 60));
        })"""
    )
    assert clashes == []


def test_numbers_on_the_page_are_those_of_the_json(show: Any, html: str, record: Record) -> None:
    import json

    page = show(html).page
    shown = page.evaluate("[...document.querySelectorAll('[data-value]')].map(e => [e.dataset.value, e.textContent])")
    known = set(re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", to_json(record)))
    floats = {float(each) for each in known}
    assert len(shown) > 500
    for exact, text in shown:
        assert json.loads(exact) in floats
        digits = text.replace(",", "").replace("−", "-")
        assert abs(float(digits) - float(exact)) <= 0.5 * 10.0 ** -len(digits.partition(".")[2]) * 1.000001


def test_the_keyboard_reaches_the_skip_link_the_filters_and_the_table(show: Any, html: str, record: Record) -> None:
    page = show(html).page
    focused = "document.activeElement.id || document.activeElement.className"
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    assert reached[:3] == ["skip", "theme", "show-all"]
    page.locator("#show-all").focus()
    for verdict in ("pass", "fail", "unsure", "unmeasured"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate(focused) == f"show-{verdict}"
        assert visible_checks(page) == sum(each.verdict == verdict for each in record.findings)
        assert f"{visible_checks(page)} of {len(record.findings)}" in page.locator("#status").inner_text()
        assert page.locator(f".only-{verdict}").is_visible()
    page.keyboard.press("ArrowRight")
    assert visible_checks(page) == len(record.findings)
    ring = page.evaluate("getComputedStyle(document.activeElement.closest('label')).outlineStyle")
    assert ring == "solid"


def test_an_empty_filter_says_so(show: Any, record: Record) -> None:
    from dataclasses import replace

    only = tuple(each for each in record.findings if each.verdict == "pass")
    page = show(render(replace(record, findings=only), "html")).page
    page.get_by_role("radio", name="Fail").check()
    assert visible_checks(page) == 0
    assert "No check reads Fail" in page.locator(".only-fail").inner_text()


def test_the_checks_sort_by_a_column_both_ways_and_back_to_worst_first(show: Any, html: str) -> None:
    page = show(html).page
    values = "[...document.querySelectorAll('tr:first-child td:nth-child(3) [data-value]')].map(e => +e.dataset.value)"
    within = page.evaluate(values.replace("'tr", "'.check tr"))
    page.get_by_role("button", name="Estimate").click()
    up = page.evaluate(values.replace("'tr", "'.check tr"))
    assert up == sorted(within)
    page.get_by_role("button", name="Estimate").press("Enter")
    assert page.evaluate(values.replace("'tr", "'.check tr")) == up[::-1]
    assert page.get_by_role("columnheader", name="Estimate").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="Result").click()
    ranks = page.evaluate("[...document.querySelectorAll('.check')].map(e => +e.dataset.rank)")
    assert ranks == sorted(ranks)


def test_print_holds_every_row_and_every_fold_on_a4(show: Any, html: str, record: Record, tmp_path: Path) -> None:
    page = show(html, viewport={"width": 700, "height": 1000}).page
    page.get_by_role("radio", name="Fail").check()
    page.emulate_media(media="print")
    assert visible_checks(page) == len(record.findings)
    folded = page.evaluate(
        """[...document.querySelectorAll('details')].filter(d => !d.closest('figure:has(svg)'))
           .map(d => [...d.children].slice(1)
           .every(e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().height > 0))"""
    )
    assert folded
    assert all(
        folded
    )  # the tables under drawn charts stay on the screen: their numbers stand in the section's own table
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 3 <= pages <= 20
    assert b"/MediaBox [0 0 594.95996 841.91998]" in printed or re.search(rb"/MediaBox \[0 0 59[45]", printed)


def test_a_fragment_is_readable_by_axe_too(show: Any, record: Record, violations: Any) -> None:
    shell = f'<!DOCTYPE html><html lang="en"><title>t</title><main><h1>t</h1>{fragment(record)}</main></html>'
    seen = show(shell)
    assert violations(seen.page) == []
    assert (seen.errors, seen.requests) == ([], [])
