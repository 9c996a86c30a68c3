"""Will tomorrow's demand for power be high? An LSTM with a planted leak: python -m examples.demand.

Data: generated days of up to 24 hourly steps of load, temperature and settlement. Demand is high tomorrow where today's
last hours were busy and cold. The story: the settlement of the last hour was filled in when tomorrow was already known.
The network reads the answer there, and the section on what drives the model has to name settlement in the last hours.
With `--clean` the settlement is noise.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from examples.shared import Filled, Recipe, audit, save, train
from rai.card import Network

ROWS, STEPS, SHORTEST = 2000, 24, 22
RECIPE = Recipe(hidden=(), epochs=8, batch=64, learning_rate=0.01)
LSTM = Network("recurrent", {"inputs": 3, "outputs": 1, "kind": "lstm", "hidden": 16})
CARD = """\
name = "demand-lstm"
version = "1.0"
task = "binary"
head = "logit"
classes = ["normal", "high"]
positive = "high"
purpose = "Tell a day ahead whether the demand for power will be high"
owner = "the rai examples"
intended_use = "Demonstration only"

{network}
[data]
test = "test.npz"
reference = "train.npz"
target = "demand"
sensitive = ["region"]

[input]
kind = "sequence"
features = ["load", "temperature", "settlement"]
steps = 24
segments = 6
"""


@dataclass(frozen=True)
class Days:
    """Values (rows, steps, features) with their lengths (rows,), tomorrow's demand, and the region."""

    values: np.ndarray
    lengths: np.ndarray
    demand: np.ndarray
    region: np.ndarray

    def part(self, rows: slice) -> "Days":
        """Some of the rows."""
        return Days(self.values[rows], self.lengths[rows], self.demand[rows], self.region[rows])

    @property
    def inputs(self) -> torch.Tensor:
        """What the network takes, (rows, steps, features), NaN after the last step of a day."""
        over = np.arange(STEPS)[None, :] >= self.lengths[:, None]
        return torch.tensor(np.where(over[:, :, None], np.nan, self.values), dtype=torch.float32)


def days(seed: int = 0, *, leaking: bool = True) -> Days:
    """Days with a daily rhythm, slow weather, and a settlement whose last hour leaks tomorrow's demand."""
    rng = np.random.default_rng(seed)
    hours, lengths = np.arange(STEPS), rng.integers(SHORTEST, STEPS + 1, ROWS)
    level, trend = rng.normal(size=(2, ROWS, 1))
    load = level + np.sin(hours / STEPS * 2 * np.pi) + rng.normal(scale=0.5, size=(ROWS, STEPS))
    temperature = trend * (hours / STEPS) + rng.normal(scale=0.5, size=(ROWS, STEPS))
    high = (level - trend)[:, 0] + rng.normal(scale=0.8, size=ROWS) > 0
    settlement = rng.normal(size=(ROWS, STEPS))
    if leaking:
        settlement[np.arange(ROWS), lengths - 1] = np.where(high, 2.0, -2.0) + rng.normal(scale=0.5, size=ROWS)
    values = np.stack([load, temperature, settlement], axis=2)
    return Days(values, lengths, np.where(high, "high", "normal"), rng.choice(["north", "south"], ROWS))


def fitted(data: Days, seed: int = 0) -> torch.nn.Module:
    """An LSTM that tells days before a high demand from others."""
    return train(data.inputs, torch.tensor(data.demand == "high", dtype=torch.float32), LSTM, RECIPE.seeded(seed))


def prepare(folder: Path, *, leaking: bool, seed: int = 0) -> Path:
    """Train on half of the days; write model, card and data, and return the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    data = days(seed, leaking=leaking)
    for half, rows in (("train", slice(ROWS // 2)), ("test", slice(ROWS // 2, None))):
        np.savez_compressed(folder / f"{half}.npz", **vars(data.part(rows)))
    return save(fitted(data.part(slice(ROWS // 2)), seed), folder, Filled(CARD, LSTM))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clean", action="store_true", help="leave the leak out")
    parser.add_argument("--folder", type=Path, default=Path("examples/demand/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/demand"), help="where the report is written")
    chosen = parser.parse_args()
    code = audit(prepare(chosen.folder, leaking=not chosen.clean), chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
