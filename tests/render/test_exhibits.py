"""Pictures under values and words with values: drawn right, small, and never by colour alone."""

import re
import struct
import zlib
from base64 import b64decode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.evidence import Overlay, Table, Text, Tokens
from rai.record import Record
from rai.render import render
from rai.render.charts import draw, note, png
from rai.render.charts.overlay import MOST, blocks
from rai.render.tables import sheet

MARKS = re.compile(r"<(path|rect|circle|text)\b")
RING = tuple(tuple((i * j) % 256 for j in range(28)) for i in range(28))


def pixels(uri: str) -> list[list[int]]:
    """A second reader of the PNG: chunk by chunk, checksums checked."""
    raw = b64decode(uri.removeprefix("data:image/png;base64,"))
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(raw):
        size, name = struct.unpack(">I4s", raw[at : at + 8])
        content = raw[at + 8 : at + 8 + size]
        (told,) = struct.unpack(">I", raw[at + 8 + size : at + 12 + size])
        assert told == zlib.crc32(name + content)
        chunks[name] = content
        at += 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    lines = [rows[i * (width + 1) : (i + 1) * (width + 1)] for i in range(height)]
    assert all(line[0] == 0 for line in lines)
    return [list(line[1:]) for line in lines]


@given(st.integers(1, 64), st.integers(1, 64), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_picture_inside_the_page_holds_every_grey_level(height, width, rng) -> None:
    picture = [[rng.randrange(256) for _ in range(width)] for _ in range(height)]
    assert pixels(png.data_uri(picture)) == picture


@given(
    st.lists(st.lists(st.floats(-1e300, 1e300), min_size=5, max_size=5), min_size=1, max_size=40),
    st.text(max_size=20),
)
@settings(max_examples=40)
def test_an_overlay_stands_any_numbers(values, unit) -> None:
    chart = draw(Overlay("t", "a", RING, tuple(map(tuple, values)), unit)) or ""
    assert len(MARKS.findall(chart)) <= 300
    drawn = re.sub(r'(aria-label|href)="[^"]*"', "", chart)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', drawn)


@given(
    st.lists(st.tuples(st.text(max_size=40), st.none() | st.floats(-1e300, 1e300)), min_size=1, max_size=200),
)
@settings(max_examples=40)
def test_tokens_stand_any_words_and_numbers_and_wrap_within_the_width(pairs) -> None:
    words, values = zip(*pairs, strict=True)
    chart = draw(Tokens("t", "a", words, values)) or ""
    assert len(MARKS.findall(chart)) <= 500
    boxes = re.findall(r"M([\d.]+) [\d.]+h([\d.]+)v22h", chart)
    assert len(boxes) == min(len(words), 150)
    assert all(float(x) + float(width) <= 340.2 for x, width in boxes)


def test_the_sign_is_told_without_colour() -> None:
    chart = draw(Overlay("t", "a", RING, ((0.5, -0.4), (0.0, 0.01)), "")) or ""
    assert ">+0.50<" in chart
    assert ">−0.40<" in chart
    (slashes,) = re.findall(r'<path d="([^"]*)" class="slash"/></g>', chart)
    assert slashes.startswith("M1.5 0.9")
    assert slashes.count("M") == 1
    words = draw(Tokens("t", "a", ("bad", "good"), (-2.5, 1.0))) or ""
    assert ">−2.50<" in words
    assert ">+1.00<" in words
    assert 'class="under less"' in words
    assert 'class="under more"' in words


def test_a_cell_covers_its_part_of_the_picture() -> None:
    grid = [[0.0] * 4 for _ in range(4)]
    grid[2][3] = 1.0
    chart = draw(Overlay("t", "a", RING, tuple(map(tuple, grid)))) or ""
    assert 'd="M3 2h1v1h-1z" class="over more l5"' in chart
    assert "scale(54 54)" in chart
    tall = draw(Overlay("t", "a", ((0,), (255,)), ((1.0,), (0.0,)))) or ""
    assert "scale(108 108)" in tall


def test_a_grid_finer_than_can_be_drawn_is_drawn_as_means_of_blocks() -> None:
    fine = tuple(tuple(float(i + j) for j in range(64)) for i in range(64))
    drawn = blocks(fine)
    assert (len(drawn), len(drawn[0])) == (MOST, MOST)
    assert drawn[0][0] == (0 + 1 + 1 + 2) / 4
    assert drawn[-1][-1] == (124 + 125 + 125 + 126) / 4
    assert "32 × 32" in note(Overlay("t", "a", RING, fine))
    assert blocks(fine[:3]) != fine[:3]
    small = ((1.0, 2.0),)
    assert blocks(small) is small


@pytest.mark.parametrize("side", [4, 16, 28, 64])
def test_charts_stay_small(side: int) -> None:
    waves = tuple(tuple((-1.0) ** (i // 3 + j // 2) * (i + j) for j in range(side)) for i in range(side))
    assert len(draw(Overlay("t", "a", RING, waves)) or "") <= 30_000
    words = tuple(f"wordpiece{i}" for i in range(side * 4))
    assert len(draw(Tokens("t", "a", words, tuple((-1.0) ** i for i in range(side * 4)))) or "") <= 30_000


def test_the_tables_hold_the_numbers() -> None:
    found = sheet(Overlay("t", "a", RING, ((0.5, -0.75), (0.0, 0.125)), "logit"))
    assert found is not None
    assert found.columns == ("cell", "value (logit)")
    assert [(row[0].text, row[1].exact) for row in found.rows][:2] == [
        ("row 1, column 2", "-0.75"),
        ("row 1, column 1", "0.5"),
    ]
    many = sheet(Overlay("t", "a", RING, tuple(tuple(float(i * 9 + j) for j in range(9)) for i in range(9))))
    assert many is not None
    assert len(many.rows) == 40
    assert "40 strongest of 81" in many.notes[0]
    words = sheet(Tokens("t", "a", ("a", "b"), (0.25, None)))
    assert words is not None
    assert [[cell.text for cell in row] for row in words.rows] == [["a", "0.250"], ["b", "not measured"]]


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw(Overlay("t", "a", (), ())) is None
    assert draw(Tokens("t", "a", (), ())) is None


def test_rows_that_are_not_to_be_relied_on_are_greyed(record: Record) -> None:
    rows = (("a", "may be relied on"), ("b", "do not rely on this"), ("c", "we do not rely on it"))
    made = with_exhibits(record, Table("t", "a", ("method", "said"), rows))
    html = render(made, "html")
    greyed = re.findall(r'<tr class="doubtful">(?:.|\n)*?<th scope="row">(.)</th>', html)
    assert greyed == ["b"]


def test_a_section_of_many_exhibits_folds_the_later_ones(record: Record) -> None:
    texts = tuple(Text(f"title {i}", f"text {i}") for i in range(10))
    html = render(with_exhibits(record, *texts), "html")
    shown, folded = html.split('<details class="more">')
    assert "4 more exhibits" in folded
    assert "title 5" in shown
    assert "title 6" not in shown
    assert all(f"title {i}<" in folded for i in range(6, 10))
    assert 'class="more"' not in render(with_exhibits(record, *texts[:7]), "html")


def test_markdown_says_in_words_what_it_cannot_draw(record: Record) -> None:
    made = with_exhibits(record, Tokens("Words of a made-up text", "“not” takes most.", ("not",), (-1.0,)))
    assert "- **Words of a made-up text.** “not” takes most." in render(made, "md")


def with_exhibits(record: Record, *exhibits) -> Record:
    (section,) = [each for each in record.sections if each.name == "data"]
    return replace(record, sections=(replace(section, evidence=replace(section.evidence, exhibits=exhibits)),))
