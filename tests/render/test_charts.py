import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.evidence import Bars, Curve, Heat, Line, Measurement, Scatter, Table, Text
from rai.policy import Finding, Rule, Verdict
from rai.render.charts import draw, interval, note
from rai.render.charts.svg import Scale, labels, number, reach, tag, ticks

finite = st.floats(-1e300, 1e300)
names = st.text(max_size=30)
MARKS = re.compile(r"<(path|rect|circle|text)\b")


def assert_sound(chart: str) -> None:
    assert len(MARKS.findall(chart)) <= 500
    assert 'role="img"' in chart
    assert not re.search(r'="[^"]*\b(nan|inf)\b', re.sub(r'aria-label="[^"]*"', "", chart))
    drawn = [each for name in ("d", "x", "y", "cx", "cy") for each in re.findall(rf' {name}="([^"]*)"', chart)]
    assert not any(re.search(r"\.\d\d", each) for each in drawn)


@given(st.lists(st.tuples(names, finite), min_size=1, max_size=40), st.one_of(st.none(), finite))
def test_bars_stand_any_numbers(pairs: list[tuple[str, float]], reference: float | None) -> None:
    labels_, values = zip(*pairs, strict=True)
    assert_sound(draw(Bars("t", "a", labels_, values, reference=reference)) or "")
    assert_sound(draw(Bars("t", "a", labels_, values, values, values, tuple(range(len(values))), reference)) or "")


@pytest.mark.parametrize("value", [5e-324, -5e-324, 1e-308, 1e-300, 1e-299])
def test_bars_stand_the_smallest_numbers_there_are(value: float) -> None:
    assert_sound(draw(Bars("t", "a", ("x",), (value,))) or "")
    assert_sound(draw(Bars("t", "a", ("x",), (value,), (value,), (2 * value,), reference=0.0)) or "")


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=120), st.booleans())
@settings(max_examples=50)
def test_curves_stand_any_points(points: list[tuple[float, float]], diagonal: bool) -> None:  # noqa: FBT001
    x, y = zip(*points, strict=True)
    lines = tuple(Line(f"line {i}", x, y, y, y) for i in range(10))
    assert_sound(draw(Curve("t", "a", "x", "y", lines, diagonal=diagonal)) or "")


@given(st.lists(st.lists(st.one_of(st.none(), finite), min_size=20, max_size=20), min_size=1, max_size=20), names)
@settings(max_examples=30)
def test_heat_maps_stand_any_numbers(values: list[list[float | None]], name: str) -> None:
    heat = Heat("t", "a", (name,) * len(values), (name,) * 20, tuple(map(tuple, values)), name, name)
    assert_sound(draw(heat) or "")


@given(st.lists(finite, min_size=2, max_size=26, unique=True), st.data())
@settings(max_examples=50)
def test_scatters_stand_any_bins(edges: list[float], data: st.DataObject) -> None:
    edges = sorted(edges)
    size = len(edges) - 1
    counts = data.draw(st.lists(st.integers(0, 10**9), min_size=size, max_size=size))
    chart = draw(Scatter("t", "a", "x", "y", tuple(edges), tuple(edges), (tuple(counts),) * size))
    assert (chart is None) == (not any(counts))
    if chart:
        assert_sound(chart)


@given(st.tuples(finite, finite, finite), st.one_of(st.none(), finite), st.one_of(st.none(), finite), st.booleans())
def test_the_little_chart_stands_any_numbers(
    ends: tuple[float, float, float],
    at_least: float | None,
    at_most: float | None,
    ratio: bool,  # noqa: FBT001
) -> None:
    low, value, high = sorted(ends)
    found = Measurement("m", value, low, high, 9, unit="ratio" if ratio else "")
    rule = Rule("R", "r", "m", "b", at_least=at_least, at_most=at_most)
    assert_sound(interval.draw(Finding(rule, Verdict.PASS, found, "")) or "")


def test_nothing_measured_draws_nothing() -> None:
    rule = Rule("R", "r", "m", "b", at_least=1)
    nothing = Measurement("m", None, None, None, 0, reason="none")
    assert interval.draw(Finding(rule, Verdict.UNMEASURED, nothing, "")) is None
    assert interval.draw(Finding(rule, Verdict.UNMEASURED, None, "")) is None


@pytest.mark.parametrize(
    "exhibit",
    [
        Text("t", "x"),
        Table("t", "a", ("x",), ((1,),)),
        Bars("t", "a", (), ()),
        Curve("t", "a", "x", "y", ()),
        Heat("t", "a", (), (), ()),
        Scatter("t", "a", "x", "y", (0.0, 1.0), (0.0, 1.0), ((0,),)),
    ],
)
def test_words_and_empty_exhibits_have_no_chart(exhibit: Text | Table | Bars | Curve | Heat | Scatter) -> None:
    assert draw(exhibit) is None


def circles(chart: str) -> list[float]:
    return [float(each) for each in re.findall(r'<circle cx="([\d.]+)"', chart)]


def test_the_little_chart_of_a_ratio_puts_half_and_double_at_equal_distance_from_one() -> None:
    def place(value: float) -> float:
        found = Measurement("selection_ratio", value, 0.25, 4.0, 9)
        rule = Rule("R", "r", "m", "b", at_least=0.8, at_most=1.25)
        return circles(interval.draw(Finding(rule, Verdict.UNSURE, found, "")) or "")[0]

    assert place(1.0) - place(0.5) == pytest.approx(place(2.0) - place(1.0), abs=0.15)


def test_the_little_chart_shades_what_the_rule_allows() -> None:
    found = Measurement("m", 0.5, 0.4, 0.6, 9)
    rule = Rule("R", "r", "m", "b", at_most=0.45)
    chart = interval.draw(Finding(rule, Verdict.UNSURE, found, "")) or ""
    band = re.search(r'<rect x="([\d.]+)" y="2" width="([\d.]+)"', chart)
    assert band
    end = float(band[1]) + float(band[2])
    whisker = re.search(r'd="M([\d.]+) 15H([\d.]+)', chart)
    assert whisker
    assert float(whisker[1]) < end < circles(chart)[0] < float(whisker[2])


def test_a_forest_plot_orders_dots_as_their_values() -> None:
    chart = draw(Bars("t", "a", ("a", "b", "c"), (0.1, 0.3, 0.2), (0.0, 0.2, 0.1), (0.2, 0.4, 0.3))) or ""
    first, second, third = circles(chart)
    assert first < third < second


def test_bars_below_zero_end_where_bars_above_begin() -> None:
    chart = draw(Bars("t", "a", ("a", "b"), (-0.08, 0.04))) or ""
    (x0, w0), (x1, w1) = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)
    assert float(x0) + float(w0) == pytest.approx(float(x1), abs=0.11)
    assert float(w0) == pytest.approx(2 * float(w1), abs=0.21)


def test_what_does_not_fit_a_chart_is_told() -> None:
    many = tuple(f"g{i}" for i in range(40))
    assert "24 of 40" in note(Bars("t", "a", many, (0.1,) * 40))
    assert "The first 15" in note(Heat("t", "a", many, ("x",), ((1.0,),) * 40))
    assert "8 of 9" in note(Curve("t", "a", "x", "y", (Line("l", (0.0, 1.0), (0.0, 1.0)),) * 9))


def test_every_heat_cell_is_written_out_and_a_missing_one_is_not_a_number() -> None:
    chart = draw(Heat("t", "a", ("r",), ("c", "d"), ((0.25, None),))) or ""
    assert ">0.250<" in chart
    assert ">–<" in chart
    assert 'class="blank"' in chart


def test_a_fuller_bin_has_a_larger_tile() -> None:
    chart = draw(Scatter("t", "a", "x", "y", (0.0, 1.0, 2.0), (0.0, 1.0), ((5, 50),))) or ""
    tiles = re.findall(r'<path d="M[\d.]+ [\d.]+h([\d.]+)v[\d.]+h-[\d.]+z" class="tile l(\d)"', chart)
    (small, low), (large, high) = tiles[:2]
    assert float(small) < float(large)
    assert low < high


@given(finite, finite)
def test_ticks_are_few_ordered_and_inside(low: float, high: float) -> None:
    low, high = reach([low, high])
    at = ticks(low, high)
    assert len(at) <= 50
    assert all(a < b for a, b in pairwise(at))
    room = max(abs(low), abs(high)) * 1e-6 + 1e-9
    assert all(low - room <= each <= high + room for each in at)


def test_ticks_are_round_numbers() -> None:
    assert ticks(0.0, 1.0) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert labels(ticks(0.0, 1.0)) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert labels(ticks(0, 20000)) == ["0", "5,000", "10,000", "15,000", "20,000"]


def test_a_scale_keeps_to_its_ends() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale(each) for each in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]


def test_elements_escape_what_they_are_given() -> None:
    assert tag("text", "<a>&", x='"1"', y=2.04) == '<text x="&#34;1&#34;" y="2">&lt;a&gt;&amp;</text>'
    assert [number(each) for each in (-0.01, 0.05, 12.34, 7)] == ["0", "0.1", "12.3", "7"]
