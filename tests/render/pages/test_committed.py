"""The reports kept with the project: drawn again to the byte, and fit to be shown in a real browser."""

import os
from pathlib import Path
from typing import Any

import pytest

from rai.record import Record, read_record
from rai.render import FORMATS, render

ROOT = Path(__file__).parents[3]
KEPT = sorted(path.parent for path in (ROOT / "reports").glob("*/report.json"))
NO_BROWSER = not Path("/usr/bin/chromium").exists() and "CI" not in os.environ
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(NO_BROWSER, reason="no Chromium on this machine"),
]
by_folder = pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)


def drawn(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def exhibits(record: Record, *kinds: str) -> int:
    found = [each for section in record.sections if section.evidence for each in section.evidence.exhibits]
    return sum(each.kind in kinds for each in found)


def test_reports_are_kept() -> None:
    assert {path.name for path in KEPT} >= {"income", "diabetes"}


@by_folder
def test_a_kept_report_is_what_its_json_draws(folder: Path) -> None:
    record = read_record(folder / "report.json")
    for name, file in FORMATS.items():
        if (folder / file).exists():
            assert render(record, name) == (folder / file).read_text(encoding="utf-8"), file


@by_folder
def test_a_kept_report_is_small(folder: Path) -> None:
    assert (folder / "report.html").stat().st_size <= 700_000


@by_folder
def test_a_kept_report_names_no_place_of_the_machine_it_was_made_on(folder: Path) -> None:
    command = read_record(folder / "report.json").run.command
    assert command.startswith("rai audit examples/")


class TestInABrowser:
    pytestmark = browser

    @by_folder
    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1280, 320])
    def test_it_opens_quietly_reflows_and_axe_finds_nothing(
        self, show: Any, violations: Any, folder: Path, theme: str, width: int
    ) -> None:
        seen = show(drawn(folder), color_scheme=theme, viewport={"width": width, "height": 800})
        assert violations(seen.page) == []
        assert (seen.errors, seen.requests) == ([], [])
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width

    @by_folder
    def test_every_chart_is_there_and_named(self, show: Any, folder: Path) -> None:
        record = read_record(folder / "report.json")
        page = show(drawn(folder)).page
        names = page.evaluate("[...document.querySelectorAll('svg')].map(e => e.getAttribute('aria-label') || '')")
        little = sum(bool(each.measurement and each.measurement.value is not None) for each in record.findings)
        assert len(names) == exhibits(record, "bars", "curve", "scatter", "heat", "overlay", "tokens") + little
        assert all(names)

    @by_folder
    def test_the_numbers_of_the_checks_equal_the_json(self, show: Any, folder: Path) -> None:
        record = read_record(folder / "report.json")
        page = show(drawn(folder)).page
        shown = page.evaluate(
            "[...document.querySelectorAll('.check')].map(row => [...row.querySelectorAll('[data-value]')]"
            ".map(e => [Number(e.dataset.value), e.textContent]))"
        )
        measured = [each.measurement for each in record.findings]
        wanted = [{m.value, m.low, m.high} if m and m.value is not None else set() for m in measured]
        for cells, values in zip(shown, wanted, strict=True):
            assert values <= {value for value, _ in cells}
            for value, text in cells:
                told = float(text.replace("−", "-").replace(",", ""))
                assert told == pytest.approx(value, rel=0.05, abs=0.006)
