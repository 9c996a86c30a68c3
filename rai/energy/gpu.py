"""The graphics processors' part: the energy counters that NVIDIA's library (NVML) keeps since the driver was loaded."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rai.energy.parts import Part

DRIVER = Path("/dev/nvidiactl")
ERROR = 0.05
"""Relative error granted to the counter; NVIDIA states ± 5 % for the power that it adds up."""


@dataclass(frozen=True)
class Gpus:
    """Open devices and what their counters (millijoules) showed at the beginning; `unread` have no counter."""

    nvml: Any
    handles: tuple[Any, ...]
    began: tuple[int, ...]
    unread: int

    def part(self) -> Part:
        """Joules of the whole devices since the beginning: whoever else uses them is counted too."""
        ended = [_counter(self.nvml, each) for each in self.handles]
        pairs = [(first, last) for first, last in zip(self.began, ended, strict=True) if last is not None]
        joules, lost = sum(last - first for first, last in pairs) / 1000, len(ended) - len(pairs)
        inputs: dict[str, float | str] = {"GPUs counted": len(pairs), "joules of the whole GPUs": joules}
        if self.unread + lost:
            inputs["GPUs without a counter, not counted"] = self.unread + lost
        return Part(joules, joules * (1 - ERROR), joules * (1 + ERROR), "NVML counters", inputs)


def load_nvml() -> Any | None:
    """NVIDIA's library, opened; None where there is no driver, no `pynvml`, or it will not start."""
    if not DRIVER.exists():
        return None
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - without a working library there is nothing to read
        return None
    return nvml


def open_gpus(nvml: Any | None) -> Gpus | None:
    """The devices this process may use (`CUDA_VISIBLE_DEVICES`), or None where there are none."""
    handles = [] if nvml is None else _visible(nvml)
    readable = [(each, value) for each in handles if (value := _counter(nvml, each)) is not None]
    if not handles:
        return None
    began = tuple(value for _, value in readable)
    return Gpus(nvml, tuple(each for each, _ in readable), began, len(handles) - len(readable))


def _visible(nvml: Any) -> list[Any]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if named is None else [each.strip() for each in named.split(",")]
    handles = [nvml.nvmlDeviceGetHandleByIndex(place) for place in range(nvml.nvmlDeviceGetCount())]
    if wanted is None:
        return handles
    return [each for place, each in enumerate(handles) if {str(place), _uuid(nvml, each)} & set(wanted)]


def _uuid(nvml: Any, handle: Any) -> str:
    found = nvml.nvmlDeviceGetUUID(handle)
    return found.decode() if isinstance(found, bytes) else str(found)


def _counter(nvml: Any, handle: Any) -> int | None:
    try:
        return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except Exception:  # noqa: BLE001 - devices before Volta have no counter, and say so each in their own way
        return None
