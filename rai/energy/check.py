"""Can it be true? Joules held against arithmetic done and time passed, which no meter can get wrong alike.

How many floating-point operations a job did can be counted exactly, so a meter that is off by a factor of thousands
shows. Anchors: an H100-class accelerator at its peak spends about 0.7 pJ an operation (700 W, 989 TFLOP/s), and no
computer at 300 K erases a bit for less than 2.87e-21 J (Landauer 1961).
"""

from dataclasses import dataclass

PEAK = 0.7e-12
LANDAUER = 2.87e-21
SLOWEST = 1e-3
"""Joules an operation that even the smallest network does not reach, where calling torch costs more than arithmetic: a
millisecond at 15 W for some sixty operations is a quarter of it."""
LEAST_WATTS = 0.1
"""Watts of a busy thread below which no meter is believed."""
MOST_WATTS, MOST_WITH_GPUS = 2000.0, 15_000.0
"""Watts of a machine above which no meter is believed: of its processors, and with graphics processors."""


@dataclass(frozen=True)
class Check:
    """Joules per operation, how many times the best hardware's and Landauer's bound that is, and what it means."""

    joules_per_flop: float | None
    times_peak: float | None
    times_landauer: float | None
    plausible: bool
    words: str


def cross_check(joules: float, *, flops: float | None, seconds: float, cpu_seconds: float, gpus: bool = False) -> Check:
    """Hold a reading against floors and ceilings; `flops` None or 0 leaves the check of watts alone.

    `gpus`: whether graphics processors were counted too.
    """
    each = joules / flops if flops else None
    most = MOST_WITH_GPUS if gpus else MOST_WATTS
    problems = [*_of_arithmetic(each), *_of_power(joules, seconds, cpu_seconds, most)]
    if problems:
        words = f"implausible: {'; '.join(problems)}"
    elif each is None:
        words = "plausible in watts; operations were not counted"
    else:
        words = (
            f"plausible: {each * 1e12:,.3g} pJ an operation, {each / PEAK:,.3g} times the best hardware's at its peak"
        )
    return Check(
        each, None if each is None else each / PEAK, None if each is None else each / LANDAUER, not problems, words
    )


def _of_arithmetic(each: float | None) -> list[str]:
    if each is None:
        return []
    if each < PEAK:
        return [f"{each:.2g} J an operation is less than the best hardware spends at its peak ({PEAK:.1g} J)"]
    return [f"{each:.2g} J an operation is more than any working computation spends"] if each > SLOWEST else []


def _of_power(joules: float, seconds: float, cpu_seconds: float, most: float) -> list[str]:
    if joules < LEAST_WATTS * cpu_seconds:
        return [f"{joules / cpu_seconds:.2g} W for a busy thread is less than any draws"]
    if seconds > 0 and joules > most * seconds:
        return [f"{joules / seconds:,.3g} W is more than a machine draws"]
    return []
