"""How long until a reader sees the report, from disk, in a real browser?

The committed report on census income, opened in headless Chromium from /usr/bin/chromium with software rendering, in a
fresh context each time: first contentful paint as the browser itself reports it, and the same with the processor slowed
four times.
"""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import Bound, main

REPORT = Path(__file__).parents[1] / "reports" / "income" / "report.html"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
BOUNDS = (
    Bound("first contentful paint, milliseconds", at_most=1000.0),
    Bound("report.html, kB", at_most=700.0),
)


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Medians over fresh contexts."""
    from playwright.sync_api import sync_playwright

    repeats = 3 if quick else 11
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        plain = statistics.median(painted(browser, slowed=1) for _ in range(repeats))
        slowed = statistics.median(painted(browser, slowed=4) for _ in range(repeats))
        browser.close()
    return {
        "first contentful paint, milliseconds": plain,
        "the same on a processor four times slower, milliseconds": slowed,
        "report.html, kB": REPORT.stat().st_size / 1000,
    }


def painted(browser: Any, *, slowed: int) -> float:
    """Milliseconds from navigation to the first contentful paint."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowed})
    page.goto(REPORT.as_uri())
    page.wait_for_function(f"({PAINT}) >= 0")
    milliseconds = float(page.evaluate(PAINT))
    context.close()
    return milliseconds


if __name__ == "__main__":
    main("page", measure_all, BOUNDS)
