"""What does privacy cost? Digits read with three promises, and their price: python -m examples.digits_private.

Data: 1,797 images of 8 × 8 pixels from scikit-learn (Alpaydin and Kaynak 1998). The story: the recipe beside this file
trains a network with differential privacy at ε 1, 3 and 8 (δ 1e-4). The ledger keeps the three runs, and the report
shows accuracy against ε, in which words the promise may be told, and that tuning was not free.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from examples.shared import audit, train_by

RECIPE = Path(__file__).with_name("recipe.toml")
TRAINED_ON = 1_437


def prepare(folder: Path, seed: int = 0) -> Path:
    """Write training and test scans and the recipe into a folder; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    for name, rows in (("train", order[:TRAINED_ON]), ("test", order[TRAINED_ON:])):
        images = np.round(digits.images[rows] / 16 * 255).astype(np.uint8)
        np.savez_compressed(folder / f"{name}.npz", images=images, digit=digits.target[rows])
    return Path(shutil.copy(RECIPE, folder / "recipe.toml"))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("examples/digits_private/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/digits_private"), help="where the report is written")
    chosen = parser.parse_args()
    code = audit(train_by(prepare(chosen.folder)), chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
