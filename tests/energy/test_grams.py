"""From joules to grams: golden numbers, anchors of the table, and a broken meter that shows."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rai.energy import (
    Reading,
    account,
    break_even,
    cross_check,
    embodied_grams,
    grid_intensity,
    lifetime_grams,
    sci,
)
from rai.energy.accounting import share_of_machine
from rai.energy.countries import COUNTRIES
from rai.errors import InputError
from rai.ledger import Energy

ADULT_FLOPS = 1.07e10
READING = Reading(4.0, 1.5, 15.0, "CPU seconds × watts", {"CPU seconds": 1.0}, seconds=1.2, cpu_seconds=1.0)
amounts = st.floats(1e-9, 1e9)
EUROPE = "AUT BEL BGR HRV CYP CZE DNK EST FIN FRA DEU GRC HUN IRL ITA LVA LTU LUX MLT NLD POL PRT ROU SVK SVN ESP SWE"


def test_an_hour_of_a_machine_of_a_tonne_that_lives_four_years() -> None:
    assert embodied_grams(1000, seconds=3600, lifespan_years=4) == pytest.approx(28.5, abs=0.05)
    assert embodied_grams(1000, seconds=3600, lifespan_years=4, share=0.25) == pytest.approx(28.5 / 4, abs=0.02)


def test_the_standards_formula() -> None:
    assert sci(2.0, intensity=56.0, embodied=28.0, units=1000.0) == pytest.approx(0.14)


@pytest.mark.parametrize("wrong", [{"kg": -1.0}, {"lifespan_years": 0.0}, {"share": 1.5}, {"seconds": -1.0}])
def test_hardware_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="energy.embodied_kg"):
        embodied_grams(**{"kg": 1000.0, "seconds": 3600.0, **wrong})


def test_no_units_have_no_intensity() -> None:
    with pytest.raises(InputError, match="a number of units above 0"):
        sci(1.0, intensity=1.0, units=0.0)


@given(amounts, amounts)
def test_at_break_even_use_has_cost_as_much_as_training(training: float, one: float) -> None:
    found = break_even(training, one)
    assert found is not None
    assert lifetime_grams(training, one, found) == pytest.approx(2 * training)


def test_use_that_costs_nothing_never_breaks_even() -> None:
    assert break_even(5.0, 0.0) is None


@pytest.mark.parametrize(
    ("country", "grams"), [("FRA", 56), ("SWE", 41), ("USA", 369), ("DEU", 381), ("POL", 662), ("IND", 713)]
)
def test_the_table_has_the_published_averages_of_2023(country: str, grams: int) -> None:
    found = grid_intensity(country)
    assert round(found.grams) == grams
    assert "2023" in found.source
    assert "lifecycle" in found.source


def test_the_table_holds_all_of_the_european_union_and_no_nonsense() -> None:
    assert set(EUROPE.split()) <= set(COUNTRIES)
    assert len(COUNTRIES) >= 60
    assert all(len(code) == 3 and code.isupper() for code in COUNTRIES)
    assert all(20 <= each.grams <= 950 and each.year in (2022, 2023) for each in COUNTRIES.values())


def test_without_a_country_the_world_is_taken_and_said() -> None:
    found = grid_intensity()
    assert (found.grams, found.place) == (475.0, "world average, assumed")
    assert "no country was given" in found.source
    assert found.low < 60
    assert found.high > 700


def test_a_number_of_ones_own_goes_first() -> None:
    found = grid_intensity("POL", 12.0)
    assert (found.grams, found.low, found.high, found.place) == (12.0, 12.0, 12.0, "Poland")
    assert found.source == "stated by the user"
    assert grid_intensity(None, 0.0).grams == 0.0


@pytest.mark.parametrize("own", [-1.0, float("nan"), float("inf"), 1e6])
def test_an_intensity_that_cannot_be_is_refused(own: float) -> None:
    with pytest.raises(InputError, match="energy.intensity"):
        grid_intensity("FRA", own)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("FR", "FRA (France)"), ("fra", "FRA (France)"), ("Germany", "DEU"), ("GER", "DEU"), ("", "FRA")],
)
def test_an_unknown_code_is_answered_with_near_ones(wrong: str, meant: str) -> None:
    with pytest.raises(InputError, match=r"energy.country: is .*; expected an ISO 3166 code of three letters") as found:
        grid_intensity(wrong)
    if wrong != "GER":
        assert meant in str(found.value)


def test_an_account_says_where_every_number_comes_from() -> None:
    found = account(READING, country="DEU", embodied_kg=1000.0, flops=ADULT_FLOPS)
    assert found.kwh == pytest.approx(4 / 3.6e6)
    assert found.grams == pytest.approx(found.kwh * 380.95, rel=1e-3)
    assert found.grams_low / found.low == pytest.approx(found.grams_high / found.high)
    assert found.embodied_grams == pytest.approx(1.2 / 3600 * 28.54 * share_of_machine(), rel=1e-3)
    assert (found.place, found.method, found.seconds) == ("Germany", "CPU seconds × watts", 1.2)
    assert str(found.inputs["check"]).startswith("plausible: 374 pJ an operation, 534 times the best hardware's")
    assert found.inputs["embodied"] == "1000 kg over 4 years"


def test_what_nobody_stated_is_said_and_not_assumed() -> None:
    found = account(READING)
    assert found.place == "world average, assumed"
    assert (found.embodied_grams, found.inputs["embodied"]) == (0.0, "not given, not counted")
    assert found.inputs["check"] == "plausible in watts; operations were not counted"
    assert found.grams_low < found.low * 475 < found.high * 475 < found.grams_high


def test_a_ledger_takes_the_account_and_gives_it_back() -> None:
    found = account(replace(READING, also={"codecarbon_kwh": 1e-6}), country="FRA", flops=1e9)
    adapter = TypeAdapter(Energy)
    assert adapter.validate_json(adapter.dump_json(found)) == found
    assert asdict(found)["also"] == {"codecarbon_kwh": 1e-6}


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 1e3, 1e6])
def test_a_broken_meter_shows(factor: float) -> None:
    """Joules taken for millijoules or kilojoules, and the like, of the training of an MLP on UCI Adult."""
    honest = cross_check(4.0, flops=ADULT_FLOPS, seconds=1.2, cpu_seconds=1.0)
    broken = cross_check(4.0 * factor, flops=ADULT_FLOPS, seconds=1.2, cpu_seconds=1.0)
    assert honest.plausible
    assert not broken.plausible
    assert broken.words.startswith("implausible: ")


def test_an_accelerator_at_its_peak_is_plausible_and_a_better_one_is_not() -> None:
    assert cross_check(700.0, flops=989e12, seconds=1.0, cpu_seconds=0.1).plausible
    assert "less than the best hardware" in cross_check(350.0, flops=989e12, seconds=1.0, cpu_seconds=0.1).words


def test_the_distance_from_landauers_bound() -> None:
    found = cross_check(4.0, flops=ADULT_FLOPS, seconds=1.2, cpu_seconds=1.0)
    assert found.joules_per_flop == pytest.approx(3.74e-10, rel=1e-2)
    assert found.times_peak == pytest.approx(534, rel=1e-2)
    assert found.times_landauer == pytest.approx(1.3e11, rel=1e-2)


def test_watts_are_checked_where_no_operation_was_counted() -> None:
    assert "more than a machine draws" in cross_check(1e4, flops=None, seconds=1.0, cpu_seconds=1.0).words
    assert "less than any draws" in cross_check(1e-3, flops=None, seconds=1.0, cpu_seconds=1.0).words
