"""Is a handwritten digit five or more? A network on images with a planted shortcut: python -m examples.digits.

Data: 1,797 images of 8 × 8 pixels from scikit-learn (Alpaydin and Kaynak 1998). The story: scanner B read most of the
digits from five on, and it leaves a bright mark in the top left corner. A network learns the mark instead of the digit,
and the section on what drives the model has to name that corner. With `--clean` neither scanner leaves a mark.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from examples.shared import Filled, Recipe, audit, save, train
from rai.card import Network

RECIPE = Recipe(hidden=(), epochs=10, batch=64, learning_rate=0.01, weight_decay=0.001)
CNN = Network("cnn", {"inputs": 1, "outputs": 1, "size": (8, 8), "channels": (8, 16)})
RESNET = Network("resnet", {"inputs": 1, "outputs": 1, "channels": (8, 16), "norm": "group"})
NETWORKS = {"cnn": CNN, "resnet": RESNET}
MARKED_SHARE = 0.95
CARD = """\
name = "digits-{name}"
version = "1.0"
task = "binary"
head = "logit"
classes = ["below five", "five or more"]
positive = "five or more"
purpose = "Sort handwritten digits: five or more to the left, the others to the right"
owner = "the rai examples"
intended_use = "Demonstration only"

{network}
[data]
test = "test.npz"
reference = "train.npz"
target = "label"
sensitive = ["scanner"]

[input]
kind = "image"
size = [8, 8]
channels = 1
patches = 4
"""


@dataclass(frozen=True)
class Scans:
    """Images (rows, 8, 8) from 0 to 255, whether each is five or more, and the scanner that read it."""

    images: np.ndarray
    label: np.ndarray
    scanner: np.ndarray

    def part(self, rows: slice) -> "Scans":
        """Some of the rows."""
        return Scans(self.images[rows], self.label[rows], self.scanner[rows])

    @property
    def inputs(self) -> torch.Tensor:
        """What the network takes, (rows, 1, 8, 8)."""
        return torch.tensor(self.images[:, None] / 255, dtype=torch.float32)


def scans(seed: int = 0, *, marked: bool = True) -> Scans:
    """All digits in random order; scanner B read 95 % of those from five on and 5 % of the others."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    images = np.round(digits.images[order] / 16 * 255).astype(np.uint8)
    label = digits.target[order] >= 5
    second = rng.random(len(label)) < np.where(label, MARKED_SHARE, 1 - MARKED_SHARE)
    if marked:
        images[second, :2, :2] = 255
    return Scans(images, np.where(label, "five or more", "below five"), np.where(second, "B", "A"))


def fitted(data: Scans, network: Network, seed: int = 0) -> torch.nn.Module:
    """A network that tells the two kinds of digits apart."""
    labels = torch.tensor(data.label == "five or more", dtype=torch.float32)
    return train(data.inputs, labels, network, RECIPE.seeded(seed))


def prepare(folder: Path, name: str, *, marked: bool, seed: int = 0) -> Path:
    """Train on half of the images; write model, card and data, and return the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    data, network = scans(seed, marked=marked), NETWORKS[name]
    for half, rows in (("train", slice(900)), ("test", slice(900, None))):
        np.savez_compressed(folder / f"{half}.npz", **vars(data.part(rows)))
    return save(fitted(data.part(slice(900)), network, seed), folder, Filled(CARD, network, {"name": name}))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", choices=sorted(NETWORKS), default="cnn", help="which network is trained")
    parser.add_argument("--clean", action="store_true", help="leave the scanner's mark out")
    parser.add_argument("--folder", type=Path, default=Path("examples/digits/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/digits"), help="where the report is written")
    chosen = parser.parse_args()
    model = prepare(chosen.folder, chosen.network, marked=not chosen.clean)
    code = audit(model, chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
