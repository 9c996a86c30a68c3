"""What does Flower without Ray cost beside a plain loop of torch, and beside Flower on Ray and pfl?

Each site learns for one pass a round (SGD, batches of 32), the weighted mean of all weights is the common model, and
each site measures it on rows held back. Toy: a perceptron 20-64-2, 500 rows a site. Census: the training rows of Adult,
where the variable ADULT names a folder with adult.data and adult.test, else of a generated table of that shape, dealt
out by label (Dirichlet, alpha .5). Each run is a fresh process, and ways take turns. A round's time is the median
after the first of each run: of wall time, and in ratios to the loop of CPU time where a way is one thread in one
process. The start is what the first round's end came later than a round takes. Peak memory is that of a process with
all its children, pages that they share counted once. `--ray VENV` and `--pfl VENV` name environments with
flwr[simulation] and pfl; Ray may use all cores.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

import argparse  # noqa: E402 - after the threads are fixed
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator, Mapping, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import partial  # noqa: E402
from itertools import product  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks import fair_ways  # noqa: E402
from benchmarks.federated_ways import HELD, SEED, Job, Part, network, write  # noqa: E402
from rai.train.federated.flower import SWITCHES  # noqa: E402
from rai.train.federated.partition import partition  # noqa: E402
from rai.train.splits import split, strata  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LEARN, CONCEPT = 20, 500, 7
ROUNDS: Mapping[int, int] = {10: 10, 100: 5, 1000: 4}
"""Rounds by how many sites there are; the job of 100 sites and 5 rounds is also held against Ray as a whole."""
TURNS: Mapping[int, int] = {10: 3, 100: 3, 1000: 1}
QUICK = (10, 100)
"""Sites in a quick run, which takes the toy alone."""
LOOK = 0.5
"""Seconds between two looks at the memory."""
MODULES = {"ray": "benchmarks.federated_ray", "pfl": "benchmarks.federated_pfl"}
KINDS = ("wall, s", "start, s", "start, CPU s", "round, s", "round, CPU s", "peak MiB", "loss - loop's")
WALL, START, ROUND, CPU = KINDS[0], KINDS[1], KINDS[3], KINDS[4]
Pythons = Mapping[str, str]
"""The interpreter of each way."""


@dataclass(frozen=True)
class Ran:
    """One run of a way: all of its wall time, its start, its rounds but the first, peak memory and the last loss.

    `start` and `rounds` are wall time, `start_cpu` and `cpu` the CPU time of its first process.
    """

    wall: float
    start: float
    start_cpu: float
    rounds: list[float]
    cpu: list[float]
    peak: float
    loss: float


def toy(sites: int) -> list[Part]:
    """Sites whose rows lie in different places and follow one concept."""
    concept, rows = np.random.default_rng(CONCEPT).normal(size=COLUMNS), round(LEARN / (1 - HELD))
    found = []
    for site in range(sites):
        rng = np.random.default_rng([SEED, site])
        inputs = rng.normal(size=(rows, COLUMNS)) + 0.5 * rng.normal(size=COLUMNS)
        labels = (inputs @ concept + 0.5 * rng.normal(size=rows) > 0).astype(np.int64)
        found.append(Part(torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(labels)))
    return found


def census(sites: int) -> list[Part]:
    """The census' training rows, dealt out by label."""
    folder = os.environ.get("ADULT")
    people = (fair_ways.generated() if folder is None else fair_ways.adult(Path(folder))).training
    dealt = partition("dirichlet", people.labels, clients=sites, seed=SEED, alpha=0.5, classes=2, smallest=10)
    whole = Part(torch.from_numpy(people.inputs), torch.from_numpy(people.labels))
    return [whole.at(torch.from_numpy(each)) for each in dealt]


def job_of(sites: Sequence[Part], rounds: int) -> Job:
    """The job of these sites, with the rows held back that rai holds back."""
    held = []
    for each in sites:
        mask = torch.zeros(len(each), dtype=torch.bool)
        mask[split(strata(each.labels.numpy(), {}), HELD, SEED).held] = True
        held.append(mask)
    rows = Part(torch.cat([each.inputs for each in sites]), torch.cat([each.labels for each in sites]))
    torch.manual_seed(SEED)
    return Job(rounds, rows, list(map(len, sites)), torch.cat(held), network(rows.inputs.shape[1]).state_dict())


CASES: Mapping[str, Callable[[int], list[Part]]] = {"toy": toy, "census": census}


def ran(way: str, python: str, job: Path) -> Ran:
    """Run a way on a job in a fresh process."""
    with tempfile.TemporaryDirectory() as name, (Path(name) / "log").open("w+", encoding="utf-8") as log:
        answer, module = Path(name) / "answer.json", MODULES.get(way, "benchmarks.federated_ways")
        command = [python, "-c", f"from {module} import run; run()", way, str(job), str(answer)]
        own = {**os.environ, **SWITCHES, "FLWR_HOME": f"{name}/flower", "PYTHONPATH": str(ROOT)}
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=log)  # noqa: S603 - our own modules
        peak = watched(process)
        wall = time.monotonic() - began
        if process.returncode or not answer.exists():
            log.seek(0)
            raise RuntimeError(f"{way} ended with {process.returncode}: {log.read()[-2000:]}")
        said = json.loads(answer.read_text(encoding="utf-8"))
    rounds, cpu = np.diff(said["wall"]).tolist(), np.diff(said["cpu"]).tolist()
    start, start_cpu = said["wall"][0] - began - statistics.median(rounds), said["cpu"][0] - statistics.median(cpu)
    return Ran(wall, start, start_cpu, rounds, cpu, peak, said["loss"])


def watched(process: subprocess.Popen[bytes]) -> float:
    """Wait until a process ends, and return the most memory that it and its children held at a look, MiB."""
    peak = 0.0
    while True:
        try:
            process.wait(LOOK)
        except subprocess.TimeoutExpired:
            peak = max(peak, sum(map(held_by, family(process.pid))))
        else:
            return peak


def family(first: int) -> list[int]:
    """A process with its children and theirs."""
    parents = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(each.parent.name)] = int(each.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    found = [first]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def held_by(process: int) -> float:
    """Memory of a process, each page that several share counted in part, MiB."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measure(pythons: Pythons, quick: bool) -> dict[str, float]:  # noqa: FBT001 - the harness's signature
    """Every way on every case, in turns, and the ratios that are promised."""
    figures: dict[str, float] = {}
    print(f"{'medians over runs':<28}" + "".join(f"{each:>15}" for each in KINDS))
    with tempfile.TemporaryDirectory() as folder:
        for case, sites in product(("toy",), QUICK) if quick else product(CASES, ROUNDS):
            path = Path(folder) / "job"
            write(job_of(CASES[case](sites), ROUNDS[sites]), path)
            figures |= compared(f"{case}, {sites}", pythons, path, 1 if quick else TURNS[sites])
    return figures


def compared(name: str, pythons: Pythons, job: Path, turns: int) -> dict[str, float]:
    """All ways on one job."""
    found: dict[str, list[Ran]] = {way: [] for way in pythons}
    for _ in range(turns):
        for way, python in pythons.items():
            found[way].append(ran(way, python, job))
    figures: dict[str, float] = {}
    for way, runs in found.items():
        values = summed_up(runs, found["loop"][0].loss)
        print(f"{name + ' sites: ' + way:<28}" + "".join(f"{values[each]:>15.4g}" for each in KINDS), flush=True)
        figures |= {f"{name}: {way}, {kind}": value for kind, value in values.items()}
    return figures | ratios(name, figures, list(found))


def summed_up(runs: Sequence[Ran], limit: float) -> dict[str, float]:
    """Medians over runs, and over their rounds; the largest peak."""
    values = (
        statistics.median(each.wall for each in runs),
        statistics.median(each.start for each in runs),
        statistics.median(each.start_cpu for each in runs),
        statistics.median([each for run in runs for each in run.rounds]),
        statistics.median([each for run in runs for each in run.cpu]),
        max(each.peak for each in runs),
        runs[-1].loss - limit,
    )
    return dict(zip(KINDS, values, strict=True))


def ratios(name: str, figures: Mapping[str, float], ways: Sequence[str]) -> dict[str, float]:
    """A round beside the loop's, and the whole job beside that of Flower on Ray."""
    kinds = {way: ROUND if way == "ray" else CPU for way in ways}
    found = {
        f"{name}: {way} / loop, round": figures[f"{name}: {way}, {kind}"] / figures[f"{name}: loop, {kind}"]
        for way, kind in kinds.items()
        if way != "loop"
    }
    for way in ("local", "vmap") if "ray" in ways else ():
        found[f"{name}: ray / {way}, whole job"] = figures[f"{name}: ray, {WALL}"] / figures[f"{name}: {way}, {WALL}"]
    return found


def bounds(pythons: Pythons, *, quick: bool) -> Iterator[Bound]:
    """What is promised of the toy; the whole job only where Ray was run."""
    for sites in QUICK if quick else ROUNDS:
        yield Bound(f"toy, {sites}: local / loop, round", at_most=1.3)
        yield Bound(f"toy, {sites}: local, {START}", at_most=4.0)
    if not quick:
        yield Bound("toy, 1000: vmap / loop, round", at_most=0.25)
    if "ray" in pythons:
        yield Bound("toy, 100: ray / local, whole job", at_least=4.0)
        yield Bound("toy, 100: ray / vmap, whole job", at_least=7.0)


def named() -> tuple[Pythons, bool]:
    """The interpreters that the command line names, taken out of it, and whether it asks for a quick run."""
    parser = argparse.ArgumentParser(add_help=False)
    for each in MODULES:
        parser.add_argument(f"--{each}", metavar="VENV", type=Path)
    chosen, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    others = {way: venv.absolute() / "bin" / "python" for way, venv in vars(chosen).items() if venv is not None}
    ours = dict.fromkeys(("loop", "local", "vmap"), sys.executable)
    return {**ours, **{way: str(python) for way, python in others.items()}}, "--quick" in rest


if __name__ == "__main__":
    PYTHONS, IN_SHORT = named()
    main("federated", partial(measure, PYTHONS), tuple(bounds(PYTHONS, quick=IN_SHORT)))
