"""From joules to grams: the entry that training writes into its ledger."""

import os

from rai.energy.check import Check, cross_check
from rai.energy.grid import Intensity, grid_intensity
from rai.energy.parts import Reading
from rai.energy.sci import embodied_grams
from rai.ledger import Energy

JOULES = 3.6e6
"""Joules of a kWh."""


def account(
    reading: Reading,
    *,
    country: str | None = None,
    intensity: float | None = None,
    embodied_kg: float | None = None,
    lifespan_years: float = 4.0,
    flops: float | None = None,
) -> Energy:
    """Turn what a meter read into kWh and grams of CO2e, with bands, sources, and a check by operations counted.

    `country` is an ISO 3166 code of three letters and `intensity` a number of your own (g/kWh), which goes before it;
    without either the world's average is taken, and said. `embodied_kg` are those of the whole machine, of which the
    job bears the hardware threads it may use; without it the hardware's making counts as 0, and that is said too.
    """
    grid = grid_intensity(country, intensity)
    check = check_of(reading, flops)
    share = share_of_machine()
    said = "not given, not counted" if embodied_kg is None else f"{embodied_kg:g} kg over {lifespan_years:g} years"
    return Energy(
        kwh=reading.joules / JOULES,
        low=reading.low / JOULES,
        high=reading.high / JOULES,
        method=reading.method,
        inputs={**reading.inputs, "embodied": said, "share of the machine": share, "check": check.words},
        **_grams(reading, grid),
        embodied_grams=embodied_grams(
            embodied_kg or 0.0, seconds=reading.seconds, lifespan_years=lifespan_years, share=share
        ),
        intensity=grid.grams,
        place=grid.place,
        source=grid.source,
        seconds=reading.seconds,
        cpu_seconds=reading.cpu_seconds,
        flops=flops,
        also=dict(reading.also),
    )


def check_of(reading: Reading, flops: float | None) -> Check:
    """The check by operations counted and time passed."""
    seconds, cpu, gpus = reading.seconds, reading.cpu_seconds, "NVML" in reading.method
    return cross_check(reading.joules, flops=flops, seconds=seconds, cpu_seconds=cpu, gpus=gpus)


def _grams(reading: Reading, grid: Intensity) -> dict[str, float]:
    return {
        "grams": reading.joules / JOULES * grid.grams,
        "grams_low": reading.low / JOULES * grid.low,
        "grams_high": reading.high / JOULES * grid.high,
    }


def share_of_machine() -> float:
    """Hardware threads that this process may use, over all that the machine has."""
    every = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    return min(1.0, usable / every)
