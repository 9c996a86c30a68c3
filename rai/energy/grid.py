"""How many grams of CO2e a kilowatt-hour costs in which country: a dated table, no look-up on the network."""

import difflib
from dataclasses import dataclass

from rai.energy.countries import COUNTRIES
from rai.errors import InputError

SOURCE = (
    "Ember and Energy Institute via Our World in Data, as shipped by codecarbon 3.3 (MIT): lifecycle emissions of "
    "electricity generated, average of the year {year}"
)
WORLD = 475.0
WORLD_SOURCE = (
    "no country was given: the world's average of 2018 (International Energy Agency 2019, direct emissions); the band "
    "is from France to India, between which lie more than nine tenths of the world's electricity"
)


@dataclass(frozen=True)
class Intensity:
    """Grams of CO2e a kWh between `low` and `high`, where, and who says so.

    A yearly average of a country has no band of its own: its hours differ, and nobody told which ones were used.
    """

    grams: float
    low: float
    high: float
    place: str
    source: str


def grid_intensity(country: str | None = None, own: float | None = None) -> Intensity:
    """The intensity to reckon with: a number of your own first, then the country's average, then the world's.

    Raises `InputError` for a code that is not in the table, with the nearest ones, and for a number below 0.
    """
    if own is not None:
        return _own(country, own)
    if country is None:
        low, high = COUNTRIES["FRA"].grams, COUNTRIES["IND"].grams
        return Intensity(WORLD, low, high, "world average, assumed", WORLD_SOURCE)
    found = COUNTRIES.get(country)
    if found is None:
        raise InputError(f"is {country!r}", where="energy.country", expected=_near(country), do=DO)
    return Intensity(found.grams, found.grams, found.grams, found.name, SOURCE.format(year=found.year))


DO = "or give energy.intensity in g/kWh"


def _own(country: str | None, own: float) -> Intensity:
    if not 0.0 <= own <= 5000.0:
        raise InputError(f"is {own!r}", where="energy.intensity", expected="grams of CO2e a kWh, from 0 to 5,000")
    known = COUNTRIES.get(country or "")
    return Intensity(own, own, own, known.name if known else country or "as stated", "stated by the user")


def _near(wrong: str) -> str:
    """Codes that the person may have meant: by name, or by letters."""
    names = {each.name.lower(): code for code, each in COUNTRIES.items()}
    by_name = [names[each] for each in difflib.get_close_matches(wrong.lower(), names, n=2, cutoff=0.6)]
    by_code = difflib.get_close_matches(wrong.upper(), COUNTRIES, n=3, cutoff=0.3)
    near = list(dict.fromkeys(by_name + by_code)) or ["FRA", "USA", "IND"]
    return f"an ISO 3166 code of three letters, for example {', '.join(f'{c} ({COUNTRIES[c].name})' for c in near)}"
