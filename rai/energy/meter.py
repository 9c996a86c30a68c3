"""The meter: reads counters when a job begins and when it ends, and nothing in between."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rai.energy.gpu import Gpus, load_nvml, open_gpus
from rai.energy.parts import Part, Reading
from rai.energy.processor import (
    Watts,
    busy_seconds,
    counted,
    cpu_seconds,
    modelled,
    share_of_busy,
    watts_of_a_thread,
)
from rai.energy.rapl import POWERCAP, Counters, zones
from rai.energy.second import Second, start_second


@dataclass(frozen=True)
class Machine:
    """Where the counters of this machine are; a test hands in others."""

    powercap: Path = POWERCAP
    stat: Path = Path("/proc/stat")
    nvml: Callable[[], Any | None] = load_nvml


@dataclass(frozen=True)
class _Beginning:
    """All that was read when the job began."""

    wall: float
    cpu: float
    busy: float | None
    counters: Counters | None
    gpus: Gpus | None
    second: Second | None


class Meter:
    """Measure what the lines inside `with Meter() as meter:` use; afterwards `meter.read()` tells.

    `watts`: of one busy hardware thread, where you know them. `gpus`: whether graphics processors are counted; say
    False for a job that leaves them idle. `also`: "codecarbon" runs that tracker beside (its start takes seconds), for
    the ISO code `country`. The processor's part is read from RAPL where the system allows, else it is CPU seconds,
    those of ended children included, times watts. No random number is drawn, no file written, no connection opened.
    """

    def __init__(
        self,
        *,
        watts: float | None = None,
        gpus: bool = True,
        also: str | None = None,
        country: str | None = None,
        machine: Machine | None = None,
    ) -> None:
        self._watts = watts_of_a_thread(watts)
        self._gpus, self._also, self._country = gpus, also, country
        self._machine = machine or Machine()
        self._began: _Beginning | None = None
        self._ended: Reading | None = None

    def __enter__(self) -> Self:
        second = start_second(self._also, self._country)
        found = zones(self._machine.powercap)
        gpus = open_gpus(self._machine.nvml()) if self._gpus else None
        counters = Counters(found) if found else None
        busy = busy_seconds(self._machine.stat) if counters else None
        self._ended = None
        self._began = _Beginning(time.perf_counter(), cpu_seconds(), busy, counters, gpus, second)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        began = self._beginning()
        with ExitStack() as closing:
            if began.counters:
                closing.callback(began.counters.close)
            self._ended = _now(self._machine, self._watts, began)
            if began.second:
                self._ended = replace(self._ended, also=began.second.stop())

    def read(self) -> Reading:
        """What was used: so far, while the job runs; by the whole job, after its end."""
        return self._ended or _now(self._machine, self._watts, self._beginning())

    def _beginning(self) -> _Beginning:
        if self._began is None:
            raise RuntimeError("the meter was never started; use it in a with statement")
        return self._began


def _now(machine: Machine, watts: Watts, began: _Beginning) -> Reading:
    seconds, cpu = time.perf_counter() - began.wall, cpu_seconds() - began.cpu
    parts = [_processor(machine, watts, began, cpu), *([began.gpus.part()] if began.gpus else [])]
    return Reading(
        joules=sum(each.joules for each in parts),
        low=sum(each.low for each in parts),
        high=sum(each.high for each in parts),
        method=" + ".join(each.method for each in parts),
        inputs={"CPU seconds": cpu} | {name: value for each in parts for name, value in each.inputs.items()},
        seconds=seconds,
        cpu_seconds=cpu,
    )


def _processor(machine: Machine, watts: Watts, began: _Beginning, cpu: float) -> Part:
    if began.counters is None:
        return modelled(cpu, watts)
    share = share_of_busy(cpu, began.busy, busy_seconds(machine.stat))
    return counted(began.counters.joules(), share, tuple(each.name for each in began.counters.zones))


def so_far() -> Part:
    """What this process has used since it was started, by its CPU seconds: also what it did before anybody asked."""
    return modelled(cpu_seconds(), watts_of_a_thread(None))
