"""What does the meter cost the job it measures, beside codecarbon's offline tracker in the same run?

The job trains an MLP (100-64-32-1) on generated rows, about as long as one on UCI Adult takes. Costs are CPU seconds,
ended children included, so that a busy machine changes little. In fresh processes (import, start, stop of an empty job,
less what a bare python takes) and within one (start and stop alone); with processor counters made of files, too. Paired
runs of the same job with and without the meter show what the sum of it all is; their spread is that of the machine.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.common import Bound, fix_threads, main

fix_threads()

import torch  # noqa: E402 - threads are fixed first

from rai.energy import Machine, Meter  # noqa: E402 - as above
from rai.energy.processor import cpu_seconds  # noqa: E402 - as above

OURS = "from rai.energy import Meter\nwith Meter(): pass"
THEIRS = """
import logging, warnings
warnings.simplefilter("ignore")
from codecarbon import OfflineEmissionsTracker
logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
tracker = OfflineEmissionsTracker(
    country_iso_code="FRA", tracking_mode="process", output_methods=[], log_level="critical", allow_multiple_runs=True
)
tracker.start()
tracker.stop()
"""
SHARE = "ours, start and stop, share of the job, %"
BOUNDS = (
    Bound(SHARE, at_most=1.0),
    Bound("ours with processor counters, share of the job, %", at_most=1.0),
    Bound("ours, import, start and stop, fresh process, CPU s", at_most=0.5),
    Bound("codecarbon over ours, fresh process, times", at_least=2.0),
)


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Fresh processes, starts and stops, and pairs of whole jobs."""
    repeats = 2 if quick else 7
    bare = spent_by("pass", repeats)
    ours, theirs = spent_by(OURS, repeats) - bare, spent_by(THEIRS, repeats) - bare
    pairs = [(spent(job), spent(lambda: metered(Meter()))) for _ in range(repeats)]
    plain = statistics.median(first for first, _ in pairs)
    empty = started_and_stopped(Meter)
    with tempfile.TemporaryDirectory() as name:
        machine = Machine(powercap=counted(Path(name)))
        counters = started_and_stopped(lambda: Meter(machine=machine))
    inside = spent(lambda: metered(Meter(also="codecarbon", country="FRA"), lambda: None))
    return {
        "the job, CPU s": plain,
        "ours, start and stop, CPU µs": 1e6 * empty,
        SHARE: 100 * empty / plain,
        "ours with processor counters, start and stop, CPU µs": 1e6 * counters,
        "ours with processor counters, share of the job, %": 100 * counters / plain,
        "job with the meter over without, median of pairs": statistics.median(last / first for first, last in pairs),
        "job with the meter over without, least of the pairs": min(last / first for first, last in pairs),
        "job with the meter over without, most of the pairs": max(last / first for first, last in pairs),
        "ours, import, start and stop, fresh process, CPU s": ours,
        "codecarbon, import, start and stop, fresh process, CPU s": theirs,
        "codecarbon over ours, fresh process, times": theirs / ours,
        "codecarbon, import, start and stop beside ours, CPU s": inside,
        "codecarbon, fresh process, share of the job, %": 100 * theirs / plain,
    }


def job() -> None:
    """Train a small network for about a second."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(100, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
    )
    optimizer = torch.optim.Adam(network.parameters())
    inputs, targets = torch.randn(32_000, 100), torch.randn(32_000, 1)
    for first in list(range(0, 32_000, 64)) * 4:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(network(inputs[first : first + 64]), targets[first : first + 64])
        torch.autograd.backward(loss)
        optimizer.step()


def metered(meter: AbstractContextManager[object], work: Callable[[], object] = job) -> None:
    """The same work within a meter."""
    with meter:
        work()


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of some work in this process."""
    before = cpu_seconds()
    work()
    return cpu_seconds() - before


def started_and_stopped(make: Callable[[], AbstractContextManager[object]]) -> float:
    """CPU seconds of one start and stop, over many."""
    metered(make(), lambda: None)
    many = 200

    def work() -> None:
        for _ in range(many):
            metered(make(), lambda: None)

    return spent(work) / many


def spent_by(code: str, repeats: int) -> float:
    """Median CPU seconds of a python process that runs this code, its children included."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "CODECARBON_TELEMETRY": "disabled"})  # noqa: S603 - our own code

    run()
    return statistics.median(spent(run) for _ in range(repeats))


def counted(root: Path) -> Path:
    """Two packages with memory, as Linux shows them."""
    for folder, name in (("0", "package-0"), ("0:0", "dram"), ("1", "package-1"), ("1:0", "dram")):
        place = root / f"intel-rapl:{folder}"
        place.mkdir()
        for file, text in (("name", name), ("energy_uj", "123456"), ("max_energy_range_uj", "262143328850")):
            (place / file).write_text(f"{text}\n", encoding="ascii")
    return root


if __name__ == "__main__":
    main("energy", measure_all, BOUNDS)
