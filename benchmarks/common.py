"""What every benchmark shares: fixed threads, medians of repeats, the machine's description, bounds that can fail."""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("rai", "numpy", "scipy", "pandas", "scikit-learn", "fairlearn", "torch")


@dataclass(frozen=True)
class Bound:
    """What a figure must be for the benchmark to hold."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether the measured figure meets the bound."""
        value = figures[self.figure]
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)


def fix_threads() -> None:
    """One thread for every numeric library; call before numpy is imported."""
    for name in THREADS:
        os.environ[name] = "1"


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of `repeats` runs after one that is not counted."""
    work()
    return statistics.median(_seconds(work) for _ in range(repeats))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mib() -> float:
    """Largest memory this process has held so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, str]:
    """Describe the machine and the versions that a figure was measured with."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main(name: str, measure: Callable[[bool], Mapping[str, float]], bounds: tuple[Bound, ...]) -> None:
    """Measure, print each figure, hold it against its bound; the last line is JSON; exit 1 when a bound fails."""
    parser = argparse.ArgumentParser(description=importlib.import_module(f"benchmarks.{name}").__doc__)
    parser.add_argument("--quick", action="store_true", help="end in under 60 s, with fewer repeats")
    parser.add_argument("--save", action="store_true", help="write the figures to benchmarks/results")
    chosen = parser.parse_args()
    figures = dict(measure(chosen.quick))
    for figure, value in figures.items():
        print(f"{figure:<58} {value:>14,.6g}")
    failed = [each.figure for each in bounds if not each.holds(figures)]
    result = {"benchmark": name, "quick": chosen.quick, "figures": figures, "failed": failed, "machine": machine()}
    if chosen.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    sys.exit(1 if failed else 0)
