"""The processor's energy counters (RAPL), as Linux shows them under `/sys/class/powercap`.

Each counter adds up microjoules and begins again at 0 after `max_energy_range_uj`, on many machines after some twenty
minutes of full load. So they are read at begin and end, and in between just often enough that none can pass its range
twice. Zones that lie within others (cores) or around them (the whole platform) are left out: nothing counts twice.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

POWERCAP = Path("/sys/class/powercap")
MOST_WATTS = 1000.0
"""No processor socket draws more, so a counter cannot pass its range unseen when it is read this often."""
COUNTED_BY_NAME = MappingProxyType({"package": "intel-rapl:*", "dram": "intel-rapl:*:*"})


@dataclass(frozen=True)
class Zone:
    """One counter: its name, its file, and the microjoules after which it begins again."""

    name: str
    path: Path
    range: int

    def microjoules(self) -> int:
        """What the counter shows now."""
        return int(self.path.read_text(encoding="ascii"))


def zones(root: Path = POWERCAP) -> tuple[Zone, ...]:
    """The counters of processor packages and memory that this process may read; none on most virtual machines."""
    found = [
        _zone(folder, wanted)
        for wanted, pattern in COUNTED_BY_NAME.items()
        for folder in sorted(root.glob(pattern))
        if folder.name.count(":") == pattern.count(":")
    ]
    return tuple(each for each in found if each)


def _zone(folder: Path, wanted: str) -> Zone | None:
    try:
        name = (folder / "name").read_text(encoding="ascii").strip()
        zone = Zone(name, folder / "energy_uj", int((folder / "max_energy_range_uj").read_text(encoding="ascii")))
        zone.microjoules()
    except (OSError, ValueError):
        return None
    return zone if name.startswith(wanted) and zone.range > 0 else None


class Counters:
    """Adds up what all zones count from the moment it is made, however often they begin again."""

    def __init__(self, found: tuple[Zone, ...]) -> None:
        self.zones = found
        self._total = 0
        self._last = [each.microjoules() for each in found]
        self._lock, self._over = threading.Lock(), threading.Event()
        self._pause = min(each.range for each in found) / 1e6 / MOST_WATTS
        self._reader = threading.Thread(target=self._keep_reading, name="rai energy", daemon=True)
        self._reader.start()

    def joules(self) -> float:
        """Joules of all zones since the beginning."""
        with self._lock:
            now = [each.microjoules() for each in self.zones]
            steps = zip(self.zones, self._last, now, strict=True)
            self._total += sum((after - before) % zone.range for zone, before, after in steps)
            self._last = now
            return self._total / 1e6

    def close(self) -> None:
        """Stop reading in between."""
        self._over.set()
        self._reader.join()

    def _keep_reading(self) -> None:
        while not self._over.wait(self._pause):
            self.joules()
