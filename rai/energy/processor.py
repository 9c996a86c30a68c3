"""The processor's part: its own energy counters where they can be read, else CPU seconds times watts."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from rai.energy.parts import Part
from rai.errors import InputError

TYPICAL, LEAST, MOST = 4.0, 1.5, 15.0
"""Watts of one busy hardware thread. 4 W: what codecarbon takes for a processor it does not know. 1.5 W: a thread of a
dense server (EPYC 9654: 360 W over 192 threads) in a machine shared by many. 15 W: one busy core of a desktop computer
at its highest clock, with its share of memory and power supply."""
TOLD = 0.4
"""Relative error left where a person states the watts: as large as Fischer 2025 found in tools of this kind."""
COUNTED = 0.05
"""Relative error granted to the processor's counters, which leave out disks, fans and the power supply."""


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children so far, user and system, all threads.

    On Windows, which keeps no such account of children, of this process alone.
    """
    try:
        import resource
    except ImportError:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Watts:
    """Power of one busy hardware thread, between `low` and `high`, and who says so."""

    typical: float
    low: float
    high: float
    source: str


def watts_of_a_thread(stated: float | None) -> Watts:
    """What a person states, within 40 %, or the watts of an unknown processor; raise `InputError` for nonsense."""
    if stated is None:
        return Watts(TYPICAL, LEAST, MOST, "an unknown processor")
    if not 0.0 < stated <= 10_000.0:
        raise InputError(f"is {stated!r}", where="energy.watts", expected="watts of one busy core, above 0")
    return Watts(stated, stated * (1 - TOLD), stated * (1 + TOLD), "stated by the user")


def modelled(seconds: float, watts: Watts) -> Part:
    """CPU seconds times watts: proportional to the work, blind to how hard each second was."""
    return Part(
        seconds * watts.typical,
        seconds * watts.low,
        seconds * watts.high,
        "CPU seconds × watts",
        {
            "watts per thread": watts.typical,
            "watts, low": watts.low,
            "watts, high": watts.high,
            "watts are those of": watts.source,
        },
    )


def counted(joules: float, share: float, zones: tuple[str, ...]) -> Part:
    """Counted joules of the whole processor, shared out by CPU time; at most all of them."""
    inputs: dict[str, float | str] = {
        "counters": ", ".join(zones),
        "joules of the whole processor": joules,
        "share of its busy time": share,
    }
    return Part(joules * share, joules * share * (1 - COUNTED), joules * (1 + COUNTED), "RAPL counters", inputs)


def busy_seconds(stat: Path) -> float | None:
    """CPU seconds that all processes of the machine were busy since it started, from `/proc/stat`; None elsewhere.

    Its first line holds ticks as user, nice, system, idle, iowait, irq, softirq and others (man 5 proc).
    """
    try:
        ticks = [int(each) for each in stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:8]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def share_of_busy(own: float, began: float | None, ended: float | None) -> float:
    """The job's share of the busy time between two readings; 1 where it cannot be told."""
    if began is None or ended is None or ended <= began:
        return 1.0
    return min(1.0, max(0.0, own / (ended - began)))
