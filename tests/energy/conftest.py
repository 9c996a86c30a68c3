"""Machines made of files: counters that a test turns on by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rai.energy import Machine

RANGE = 1_000_000_000


@dataclass(frozen=True)
class Powercap:
    """A folder as Linux shows it; `show` sets what a counter reads."""

    root: Path

    def add(self, folder: str, name: str, microjoules: int, span: int = RANGE) -> None:
        place = self.root / folder
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{span}\n")
        self.show(folder, microjoules)

    def show(self, folder: str, microjoules: int) -> None:
        (self.root / folder / "energy_uj").write_text(f"{microjoules}\n")


class FakeNvml:
    """NVIDIA's library with as many devices as counters; None has no counter, as before Volta."""

    def __init__(self, *counters: int | None) -> None:
        self.counters = list(counters)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's own name
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, place: int) -> int:  # noqa: N802 - the library's own name
        return place

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802 - the library's own name
        return f"GPU-{handle}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802 - the library's own name
        found = self.counters[handle]
        if found is None:
            raise RuntimeError("Not Supported")
        return found


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path / "powercap")


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A machine that shows nothing, as most virtual ones do."""
    return Machine(tmp_path / "none", tmp_path / "no stat", lambda: None)


@pytest.fixture
def fake_nvml() -> type[FakeNvml]:
    return FakeNvml


@pytest.fixture
def stat(tmp_path: Path) -> Callable[[int], Path]:
    """Write /proc/stat with so many busy ticks, among idle ones that must not count."""

    def write(busy: int) -> Path:
        path = tmp_path / "stat"
        path.write_text(f"cpu  {busy} 0 0 987654 321 0 0 0 0 0\ncpu0 1 2 3 4\n")
        return path

    return write
