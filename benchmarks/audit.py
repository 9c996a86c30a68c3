"""How long does a whole `rai audit` take from process start, and how much memory, on a table the size of UCI Adult?

Generated rows in Adult's shape (32,561 reference and 16,281 test rows, 6 numbers and 6 categories, two sensitive
attributes of 2 and 5 groups) and an MLP of 64 hidden units, two threads; every audit of the default run. No rival takes
a torch checkpoint and a table to a report, so there is no ratio; `rai --help` stands beside `python -c pass`.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import Bound, main, median_seconds
from examples.shared import Recipe, Story, prepare

RECIPE = Recipe(hidden=(64,), epochs=1, batch=512, learning_rate=0.01)
REFERENCE, TEST = 32_561, 16_281
CATEGORIES = (8, 16, 7, 14, 6, 41)
BOUNDS = (
    Bound("rai audit, 16,281 rows, wall seconds", at_most=15.0),
    Bound("rai audit, peak memory, MiB", at_most=1200.0),
    Bound("rai --help, milliseconds", at_most=150.0),
)
CARD = """\
task = "binary"
classes = ["no", "yes"]
positive = "yes"
[network]
kind = "mlp"
arguments = {{ inputs = {inputs}, outputs = 1, hidden = [64] }}
[data]
test = "test.csv"
reference = "train.csv"
target = "label"
sensitive = ["sex", "race"]
{columns}"""


def people(rows: int, seed: int) -> pd.DataFrame:
    """Rows in Adult's shape; the label depends on some columns and on nothing else."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"number {i}": rng.normal(40, 12, rows).round(1) for i in range(6)})
    for i, count in enumerate(CATEGORIES):
        frame[f"category {i}"] = np.char.add("value ", rng.integers(0, count, rows).astype(str))
    frame["sex"] = rng.choice(["Female", "Male"], rows, p=[0.33, 0.67])
    frame["race"] = rng.choice(list("abcde"), rows, p=[0.855, 0.096, 0.031, 0.01, 0.008])
    chance = 1 / (1 + np.exp(-(frame["number 0"] + frame["number 1"] - 95) / 10))
    frame["label"] = np.where(rng.random(rows) < chance, "yes", "no")
    return frame


def measure_all(quick: bool) -> Mapping[str, float]:  # noqa: FBT001 - the harness hands it over
    """Whole processes, timed from outside."""
    with tempfile.TemporaryDirectory() as name:
        story = Story(people(REFERENCE, 0), people(TEST, 1), "label", "yes", CARD, kept_from_model=("sex", "race"))
        model = prepare(story, RECIPE, Path(name))
        words = ["audit", str(model), "--out", str(Path(name) / "out"), "-q"]
        audit = median_seconds(lambda: run("-m", "rai", *words), 1 if quick else 5)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        page = (Path(name) / "out" / "report.html").stat().st_size / 1000
    helped = median_seconds(lambda: run("-m", "rai", "--help"), 5 if quick else 15)
    bare = median_seconds(lambda: run("-c", "pass"), 5 if quick else 15)
    return {
        "rai audit, 16,281 rows, wall seconds": audit,
        "rai audit, peak memory, MiB": peak,
        "report.html, kB": page,
        "rai --help, milliseconds": 1000 * helped,
        "python -c pass, milliseconds": 1000 * bare,
    }


def run(*words: str) -> None:
    """Run python with these words; 0 to 4 are rai's own exit codes, and input errors are ours."""
    command = [sys.executable, *words]
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "2"})  # noqa: S603 - our own command line
    if done.returncode == 2:
        raise SystemExit(done.stderr.decode())


if __name__ == "__main__":
    main("audit", measure_all, BOUNDS)
