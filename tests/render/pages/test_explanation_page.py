"""The page of one explained row: the report's policy and look, quiet, fit for a phone and for paper."""

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rai.evidence import Overlay, Tokens
from rai.explanation import NOTICE, Contribution, Described, Explanation, Trial
from rai.render import explained, explanation
from rai.subject import Source

NO_BROWSER = not Path("/usr/bin/chromium").exists() and "CI" not in os.environ
WITH_A_BROWSER = pytest.mark.skipif(NO_BROWSER, reason="no Chromium on this machine")
ABOUT = Described(
    name="loans",
    version="2",
    trust="data only",
    task="binary",
    model=Source("model.pt", "ab" * 32),
    data=Source("test.csv", "cd" * 32),
    reference=Source("train.csv", "ef" * 32),
    decision="yes",
    chance=0.99987,
)
FEATURES = tuple(
    Contribution(f"feature-{i}", f"value {i}", (-1) ** i * 2.0 / (i + 1), 0.02 if i else 0.0) for i in range(20)
)
RING = tuple(tuple((i * j) % 256 for j in range(16)) for i in range(16))


@pytest.fixture
def made() -> Explanation:
    values = sum(each.value for each in FEATURES)
    return Explanation(
        about=ABOUT,
        row=17,
        rows=600,
        method="shapley",
        scale="log-odds of yes",
        base=-1.0,
        full=values - 1.0,
        contributions=FEATURES,
        gap=0.0,
        background=100,
        seed=0,
        rows_scored=12_345,
        trial=Trial(0.1, 0.4, 1.0, 20),
    )


def with_exhibits(made: Explanation) -> tuple[Explanation, ...]:
    picture = Overlay("Where the image speaks", "Above.", RING, ((0.5, -0.2), (0.0, 0.1)), "logit")
    words = Tokens("Which words speak", "“not”.", ("not", "good", "[SEP]"), (-1.0, 0.5, None), "logit")
    warned = replace(made, warnings=("The order of the features did no better than chance: do not rely on it.",))
    return made, replace(made, exhibit=picture), replace(warned, exhibit=words, trial=None, trial_note="too large")


def printed(made: Explanation, encoding: str, width: int) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    explained(made, Console(file=stream, width=width))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_the_first_words_say_that_it_shows_one_persons_data(made: Explanation, parse: Any) -> None:
    page = parse(explanation(made, "html"))
    assert page.wrong == []
    told = [text.strip() for tag, _, text in page.texts if text.strip() and tag not in {"title", "style", "script"}]
    assert told[0] == NOTICE


def test_the_page_has_the_reports_policy_and_asks_for_nothing(made: Explanation, parse: Any) -> None:
    for each in with_exhibits(made):
        html = explanation(each, "html")
        page = parse(html)
        assert "default-src 'none'; script-src 'sha256-" in page.all("content")[0]
        assert not page.all("style")
        assert not re.search(r"url\(|@import|https?:", html)
        assert explanation(each, "html") == html


def test_beyond_fifteen_features_the_rest_are_summed(made: Explanation, parse: Any) -> None:
    html = explanation(made, "html")
    assert "5 others" in html
    rest = sum(each.value for each in made.strongest[15:])
    (shown,) = re.findall(r'<th scope="row">5 others</th>\s*<td class="n" data-value="([^"]*)"', html)
    assert float(shown) == pytest.approx(rest)
    cells = re.findall(r'<th scope="row">(feature-\d+)</th>', html)
    assert cells == [each.feature for each in made.strongest]


def test_hostile_text_changes_no_element(made: Explanation, parse: Any, payloads: Any) -> None:
    def put(text: str) -> Explanation:
        about = replace(
            ABOUT, name=text, version=text, decision=text, model=Source(text, text), data=Source(text, text)
        )
        features = (Contribution(text, text, 1.0, 0.1), Contribution("b", text, -1.0, None))
        tokens = Tokens(text, text, (text, "b"), (1.0, -1.0), text)
        more = {"method": text, "scale": text, "note": text, "warnings": (text,), "exhibit": tokens}
        return replace(made, about=about, contributions=features, **more)

    def structure(text: str) -> list[tuple[str, tuple[str, ...]]]:
        page = parse(explanation(put(text), "html"))
        assert page.wrong == []
        return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements]

    calm = structure("calm")
    assert all(structure(payload) == calm for payload in payloads)
    told = printed(put(payloads[-1]), "utf-8", 200)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told)


def test_a_narrow_and_a_plain_terminal_still_show_every_number(made: Explanation) -> None:
    told = printed(made, "ascii", 60)
    assert "█" not in told
    assert "#####" in told
    assert all(f"{abs(each.value):.2f}" in told for each in made.strongest[:15])


@pytest.mark.browser
@WITH_A_BROWSER
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_axe_finds_nothing_and_nothing_overflows(
    show: Any, violations: Any, made: Explanation, theme: str, width: int
) -> None:
    for each in with_exhibits(made):
        seen = show(explanation(each, "html"), color_scheme=theme, viewport={"width": width, "height": 800})
        seen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert violations(seen.page) == []
        assert (seen.errors, seen.requests) == ([], [])
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        images = "[...document.querySelectorAll('svg image')].map(e => e.getBoundingClientRect().width)"
        assert all(side > 60 for side in seen.page.evaluate(images))


@pytest.mark.browser
@WITH_A_BROWSER
def test_paper_holds_the_notice_the_chart_and_the_table_on_a_page_or_two(show: Any, made: Explanation) -> None:
    page = show(explanation(made, "html"), viewport={"width": 700, "height": 1000}).page
    page.emulate_media(media="print")
    assert page.get_by_text(NOTICE).first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
