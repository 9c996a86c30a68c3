import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rai.evidence import Measurement
from rai.policy import Rule
from rai.render import words

finite = st.floats(-1e300, 1e300)
moderate = st.floats(-1e6, 1e6)


def read_back(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def half_a_digit(text: str) -> float:
    """Half of what the last shown digit stands for."""
    digits, _, power = text.partition("e")
    return 0.5 * 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))


@pytest.mark.parametrize(
    ("value", "places", "shown"),
    [
        (0.7612, 2, "0.76"),
        (1204567.0, 0, "1,204,567"),
        (-0.0812, 4, "−0.0812"),
        (-0.0, 2, "0.00"),
        (0.0, 2, "0.00"),
        (0.00031, 2, "0.00031"),
        (1.25e-9, 2, "1.25e-09"),
        (-1.25e-9, 2, "−1.25e-09"),
        (None, 2, "not measured"),
        (3, None, "3"),
        (0.123456, None, "0.123"),
    ],
)
def test_numbers_read_as_expected(value: float | None, places: int | None, shown: str) -> None:
    assert words.figure(value, places) == shown


@given(finite, st.integers(0, 12))
def test_a_shown_number_is_the_number_rounded(value: float, places: int) -> None:
    text = words.figure(value, places)
    assert abs(read_back(text) - value) <= half_a_digit(text) * 1.000001
    assert (read_back(text) == 0) == (value == 0)


@given(finite)
def test_the_exact_value_is_what_json_writes(value: float) -> None:
    assert json.loads(words.exact(value)) == value


@given(moderate, moderate, moderate)
def test_a_number_never_seems_to_touch_a_bound_that_it_misses(low: float, high: float, bound: float) -> None:
    low, high = sorted((low, high))
    found = Measurement("m", (low + high) / 2, low, high, 9)
    rule = Rule("R", "r", "m", "b", at_least=bound)
    places = words.places_of(found, rule)
    for each in (low, high):
        if abs(each - bound) > 1e-9:
            assert words.figure(each, places) != words.figure(bound, places)


@given(moderate, moderate)
def test_a_rounded_end_stays_on_its_side_of_the_bound_as_shown(low: float, bound: float) -> None:
    bound = float(f"{bound:g}")
    places = words.places_of(Measurement("m", low, low, low, 9), Rule("R", "r", "m", "b", at_least=bound))
    if places < words.MOST_PLACES:
        assert (read_back(words.figure(low, places)) >= bound) == (low >= bound)


def test_an_interval_gets_more_digits_until_it_leaves_its_bound() -> None:
    found = Measurement("m", 0.81, 0.7496, 0.87, 177)
    assert words.interval(found) == "0.75 to 0.87"
    assert words.interval(found, Rule("R", "r", "m", "b", at_least=0.75)) == "0.7496 to 0.8700"


def test_nothing_is_said_of_what_was_not_measured() -> None:
    nothing = Measurement("m", None, None, None, 0, reason="no rows")
    assert words.estimate(nothing) == words.interval(nothing) == words.estimate(None) == "not measured"
    assert words.smallest(nothing) is None


def test_facets_read_as_a_person_says_them() -> None:
    assert words.about({"attribute": "sex", "group": "Female"}) == "sex: Female"
    assert words.about({"attribute": "sex", "column": "age"}) == "sex, column age"
    assert words.about({}) == ""


def test_a_site_is_not_called_one_twice() -> None:
    assert words.about({"site": "site 09"}) == "site 09"
    assert words.about({"site": "Ashdown"}) == "site Ashdown"
    assert words.about({"site": "sitemap"}) == "site sitemap"


def test_words_are_joined_and_counted_as_in_a_sentence() -> None:
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(["a"]) == "a"
    assert words.listed([]) == ""
    assert [words.counted(n, "row") for n in (1, 1204)] == ["1 row", "1,204 rows"]


@given(st.text())
def test_visible_text_holds_no_control_or_direction_character(text: str) -> None:
    shown = words.visible(text)
    assert shown.encode() is not None
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)


@given(st.text(), st.integers(1, 50))
def test_short_text_is_one_line_of_at_most_so_many_letters(text: str, most: int) -> None:
    assert len(words.short(text, most)) <= most
    assert "\n" not in words.short(text, most)


@given(st.lists(moderate, min_size=1, max_size=6))
def test_decimals_stay_few_for_everyday_numbers(numbers: list[float]) -> None:
    assert 0 <= words.places_for(numbers) <= 6
    assert 0 <= words.column_places(numbers) <= 4


def test_close_measurements_share_enough_digits_to_differ() -> None:
    assert words.places_for([0.8912, 0.8865, 0.8960]) == 4
    assert words.places_for([120.0, 131.0, 110.0]) == 0
    assert words.places_for([1.2, 0.4, 2.9]) == 2
    assert math.isclose(read_back(words.figure(0.89123, 4)), 0.8912)
