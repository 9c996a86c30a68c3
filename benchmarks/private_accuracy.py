"""What does privacy cost in accuracy? The recipes of the examples, trained with five seeds each.

Digits at ε 1, 3 and 8 (δ 1e-4): test rows are dealt anew with every seed. Census income at ε 1 (δ 1e-5), sex and race
no inputs, on the official test rows, where the variable ADULT names a folder with adult.data and adult.test; each seed
also trains the twin without privacy.
"""

from benchmarks.common import Bound, fix_threads, main

fix_threads()

import os  # noqa: E402 - after the threads are fixed
import re  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from examples.digits_private import __main__ as digits  # noqa: E402
from examples.income import __main__ as income  # noqa: E402
from rai.intake import Choices, from_files  # noqa: E402
from rai.ledger import read_ledger  # noqa: E402
from rai.training import train  # noqa: E402

SEEDS, FEW = 5, 1
PROMISES = (1, 3, 8)
ADULT = "census income, ε 1"
TWIN = "accuracy of the twin"
BOUNDS = (
    Bound("digits, ε 3: accuracy, mean", at_least=0.88),
    Bound("digits, ε 8: accuracy, mean", at_least=0.94),
)


def tried(recipe: Path, epsilon: float, seed: int) -> dict[str, float]:
    """Share of the test rows decided right by a model of this promise, and by its twin where the recipe trains one."""
    text = re.split(r"(?m)^\[search\]", recipe.read_text(encoding="utf-8"))[0]
    recipe.write_text(re.sub(r"(?m)^epsilon = .*$", f"epsilon = {epsilon}", text), encoding="utf-8")
    made = train(recipe, seed=seed)
    subject, privacy = from_files(made.model, Choices()).subject, read_ledger(made.ledger).privacy
    twin = {} if privacy is None else {key: value for key, value in privacy.compared.items() if key == TWIN}
    return {"accuracy": float(np.mean(subject.predicted == subject.data.labels)), **twin}


def of_digits(epsilon: float, seed: int) -> dict[str, float]:
    """One training on scans dealt by this seed."""
    with tempfile.TemporaryDirectory() as folder:
        return tried(digits.prepare(Path(folder), seed), epsilon, seed)


def of_income(raw: Path, seed: int) -> dict[str, float]:
    """One training on census income."""
    with tempfile.TemporaryDirectory() as folder:
        return tried(income.prepare_private(income.from_folder(raw), Path(folder)), 1.0, seed)


def summed_up(name: str, found: list[dict[str, float]]) -> dict[str, float]:
    """Mean and range over seeds."""
    figures: dict[str, float] = {}
    for key in found[0]:
        values = [each[key] for each in found]
        ends = {"mean": float(np.mean(values)), "least": min(values), "most": max(values)}
        figures |= {f"{name}: {key}, {end}": value for end, value in ends.items()}
    return figures


def measure(quick: bool) -> dict[str, float]:  # noqa: FBT001 - the harness's signature
    """Accuracy of every promise."""
    seeds = range(FEW if quick else SEEDS)
    figures: dict[str, float] = {"seeds": len(seeds)}
    for epsilon in PROMISES:
        figures |= summed_up(f"digits, ε {epsilon}", [of_digits(epsilon, seed) for seed in seeds])
    raw = os.environ.get("ADULT")
    if raw is None:
        print(f"{ADULT}: not run, ADULT names no folder")
        return figures
    return figures | summed_up(ADULT, [of_income(Path(raw), seed) for seed in seeds])


if __name__ == "__main__":
    main("private_accuracy", measure, BOUNDS)
