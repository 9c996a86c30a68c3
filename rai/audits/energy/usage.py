"""What predictions use: the model answers again and again while a meter runs."""

import math
import time
from dataclasses import dataclass

import numpy as np

from rai.energy import Intensity, Meter, Reading, grid_intensity, sci
from rai.energy.processor import cpu_seconds
from rai.ledger import Ledger
from rai.stats.means import mean_estimate
from rai.subject import Subject

MOST_ROWS, REPEATS = 1000, 7
ONE_REPEAT = 0.045
"""CPU seconds that one repeat should take: far above the clock's grain, and seven of them far below a second."""
DEADLINE = 1.0
"""Wall seconds after which no further repeat begins."""
SLOW = "one repeat took so long that there was no second"
FROM_ELSEWHERE = "no CPU time was seen: the model answers from elsewhere"


@dataclass(frozen=True)
class Band:
    """A value between two bounds."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Band":
        """All three, so many times."""
        return Band(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Usage:
    """A meter's reading of so many `predictions` made `rows` at a time in `repeats`; `cpu` is their spread.

    `cpu.low` and `cpu.high` bound the CPU seconds of a repeat as shares of their mean; `reason` says why they do not.
    """

    reading: Reading
    predictions: int
    rows: int
    repeats: int
    cpu: Band
    reason: str = ""


@dataclass(frozen=True)
class Costs:
    """What one prediction costs: joules, and grams of CO2e with the hardware's share."""

    joules: Band
    grams: Band


def use(subject: Subject) -> Usage:
    """Let the model answer until the meter has something to show: seven repeats, or as many as begin in a second."""
    rows, calls = _fitting(subject)
    inputs, seconds = subject.data.inputs[:rows], list[float]()
    began = time.perf_counter()
    with Meter(gpus=False) as meter:
        while len(seconds) < REPEATS and (not seconds or time.perf_counter() - began < DEADLINE):
            before = cpu_seconds()
            for _ in range(calls):
                subject.model.scores(inputs)
            seconds.append(cpu_seconds() - before)
    spread = _shares(seconds)
    reason = "" if spread else FROM_ELSEWHERE if len(seconds) > 1 else SLOW
    predictions = rows * calls * len(seconds)
    return Usage(meter.read(), predictions, rows, len(seconds), spread or Band(1.0, 1.0, 1.0), reason)


def _fitting(subject: Subject) -> tuple[int, int]:
    """Rows of one call and calls of one repeat, found by asking for few rows and then for as many as there is time."""
    few = min(16, subject.data.rows)
    one = _seconds_of(subject, few) / few
    rows = max(1, min(subject.data.rows, MOST_ROWS, math.floor(2 * ONE_REPEAT / one)))
    return rows, max(1, math.ceil(ONE_REPEAT / _seconds_of(subject, rows)))


def _seconds_of(subject: Subject, rows: int) -> float:
    began = time.perf_counter()
    subject.model.scores(subject.data.inputs[:rows])
    return max(time.perf_counter() - began, 1e-6)


def _shares(seconds: list[float]) -> Band | None:
    found = mean_estimate(np.array(seconds), least=0.0)
    if found.value is None or found.low is None or found.high is None:
        return None
    return Band(1.0, found.low / found.value, found.high / found.value)


def grid_of(ledger: Ledger | None) -> Intensity:
    """Where the energy comes from: the place that training's ledger states, else the world's average."""
    told = ledger.energy if ledger else None
    if told is None or not told.low > 0:
        return grid_intensity()
    source = f"as the ledger of training states ({told.source})"
    return Intensity(told.intensity, told.grams_low / told.low, told.grams_high / told.high, told.place, source)


def costs(found: Usage, grid: Intensity, embodied_per_second: float) -> Costs:
    """One prediction's joules, and its grams by SCI."""
    reading, share = found.reading, 1.0 / found.predictions
    joules = Band(reading.joules, reading.low * found.cpu.low, reading.high * found.cpu.high).times(share)
    making = embodied_per_second * reading.seconds * share
    ends = ((joules.value, grid.grams), (joules.low, grid.low), (joules.high, grid.high))
    return Costs(joules, Band(*(sci(each / 3.6e6, intensity=grams, embodied=making) for each, grams in ends)))
