"""Software Carbon Intensity, SCI = ((E × I) + M) / R, and what follows from it over a model's life.

ISO/IEC 21031:2024: E is energy (kWh), I the grid's intensity (g/kWh), M the embodied share of the hardware and R the
unit that is counted, here one prediction. Offsets and certificates are no part of it.
"""

from rai.errors import InputError

HOURS_OF_A_YEAR = 365 * 24


def embodied_grams(kg: float, *, seconds: float, lifespan_years: float = 4.0, share: float = 1.0) -> float:
    """Grams of the hardware's making that fall on this job: M = TE × time reserved / lifespan × share reserved.

    `kg` is the total embodied emissions of the machine, kg CO2e. One hour of a machine of 1,000 kg that lives four
    years is 28.5 g.
    """
    if kg < 0 or seconds < 0 or lifespan_years <= 0 or not 0 <= share <= 1:
        raise InputError(
            f"{kg:g} kg over {lifespan_years:g} years, share {share:g}",
            where="energy.embodied_kg",
            expected="kg from 0, a lifespan above 0 and a share from 0 to 1",
        )
    return 1000.0 * kg * seconds / (lifespan_years * HOURS_OF_A_YEAR * 3600.0) * share


def sci(kwh: float, *, intensity: float, embodied: float = 0.0, units: float = 1.0) -> float:
    """Grams of CO2e a unit: ((E × I) + M) / R; `embodied` in grams."""
    if units <= 0:
        raise InputError(f"{units:g} units", where="SCI", expected="a number of units above 0")
    return (kwh * intensity + embodied) / units


def lifetime_grams(training: float, per_prediction: float, predictions: float) -> float:
    """Grams over the whole life: training once, and every prediction."""
    return training + predictions * per_prediction


def break_even(training: float, per_prediction: float) -> float | None:
    """After how many predictions use has cost as much as training, N* = C_train / c_inference; None if never."""
    return training / per_prediction if per_prediction > 0 else None
