import io
import os
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from rich.console import Console

from rai.record import Record
from rai.render import FORMATS, fragment, render, summary

NO_BROWSER = not Path("/usr/bin/chromium").exists() and "CI" not in os.environ
WITHOUT_A_BROWSER = pytest.mark.skipif(NO_BROWSER, reason="no Chromium on this machine")


def tables(text: str) -> list[list[str]]:
    """The lines of each Markdown table."""
    blocks = [block.split("\n") for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


def printed(record: Record) -> str:
    stream = io.StringIO()
    summary(record, Console(file=stream, width=140))
    return stream.getvalue()


def structure(page: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements]


def test_hostile_text_changes_no_element(small_record: Record, parse: Any, places: Any, payloads: Any) -> None:
    for place, put in places.items():
        calm = structure(parse(render(put(small_record, "calm text, with a : and / as well"), "html")))
        for payload in payloads:
            page = parse(render(put(small_record, payload), "html"))
            assert page.wrong == [], place
            assert structure(page) == calm, (place, payload)
            links = [attributes["href"] or "" for tag, attributes in page.elements if "href" in attributes]
            assert all(each.startswith(("#", "data:image/png;base64,")) for each in links), place


def test_control_and_direction_characters_appear_in_no_format(small_record: Record, places: Any, payloads: Any) -> None:
    odd = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
    for place, put in places.items():
        made = put(small_record, payloads[-1])
        assert not any(odd.search(render(made, name)) for name in FORMATS), place
        assert not odd.search(fragment(made))


def test_nor_does_it_in_a_fragment(small_record: Record, parse: Any, places: Any, payloads: Any) -> None:
    for put in places.values():
        calm = structure(parse(fragment(put(small_record, "calm"))))
        assert all(structure(parse(fragment(put(small_record, each)))) == calm for each in payloads)


def test_junit_is_legal_xml_whatever_the_text(small_record: Record, places: Any, payloads: Any) -> None:
    for put in places.values():
        for payload in (*payloads, "\x00\ufffe\uffff\x1b]]>&\ud800"):
            drawn = render(put(small_record, payload), "junit")
            assert not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", drawn)
            fromstring(drawn.split("\n", 1)[1])  # noqa: S314 - our own text


def test_markdown_tables_keep_their_width_whatever_the_text(small_record: Record, places: Any, payloads: Any) -> None:
    for place, put in places.items():
        for payload in (*payloads, "a|b\n\n# c\n| d |", "\\|"):
            for table in tables(render(put(small_record, payload), "md")):
                widths = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}
                assert len(widths) == 1, (place, table)


def test_markdown_obeys_no_markup_from_strangers(small_record: Record, places: Any) -> None:
    for place, put in places.items():
        drawn = render(put(small_record, "<b>x</b> [a](http://e.invalid) `zz` *d* _e_ ![f](g) www.e.invalid"), "md")
        assert not re.search(r"(?<!\\)<b>|(?<!\\)\[a|(?<!\\)`zz|(?<!\\)\*d|http://|www\.e", drawn), place


def test_the_terminal_obeys_no_stranger(small_record: Record, places: Any) -> None:
    for place, put in places.items():
        text = printed(put(small_record, "\x1b]0;owned\x07[bold red]x[/] \u202egnp"))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), place
        assert "owned" not in text or "?]0;owned?" in text.replace("\n", "")


@pytest.mark.browser
@WITHOUT_A_BROWSER
@pytest.mark.parametrize("protected", [True, False], ids=["with policy", "policy removed"])
def test_hostile_text_runs_nothing_and_asks_for_nothing(
    chromium: Any, small_record: Record, places: Any, payloads: Any, tmp_path: Path, *, protected: bool
) -> None:
    context = chromium.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    pairs = [(place, put, payload) for place, put in places.items() for payload in payloads]
    assert len(pairs) >= 60
    path = tmp_path / "hostile.html"
    for place, put, payload in pairs:
        text = render(put(small_record, payload), "html")
        stripped = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        assert len(stripped) < len(text)
        path.write_text(text if protected else stripped, encoding="utf-8")
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("window.ran || 0") == 0, (place, payload)
        assert page.evaluate("document.scripts.length") == 1
    context.close()
    assert set(asked) == {path.as_uri()}


@pytest.mark.browser
@WITHOUT_A_BROWSER
def test_the_same_payloads_do_run_in_a_page_that_does_not_escape(chromium: Any, payloads: Any, tmp_path: Path) -> None:
    """Without this the test above could not fail."""
    page = chromium.new_page()
    path = tmp_path / "naive.html"
    path.write_text(f"<!DOCTYPE html><title>{payloads[2]}</title><body>{payloads[0]}", encoding="utf-8")
    page.goto(path.as_uri())
    assert page.evaluate("window.ran || 0") >= 1
    page.close()
