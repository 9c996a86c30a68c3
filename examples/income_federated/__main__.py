"""Fifty sites learn from census answers that none of them shows: python -m examples.income_federated.

Data: UCI Adult as in `examples.income`, with `--raw FOLDER` from a local copy, else from OpenML. The training rows are
dealt out to 50 sites by Dirichlet shares of each label, so that some sites hold few high incomes and others many. All
of it is simulated in one process by `rai train`; the report says whom the common model serves worse, and who would do
better with a model of its own rows alone. Then it is tried what dishonest sites would cost.
"""

import argparse
import shutil
from pathlib import Path

from examples.income.__main__ import Split, from_folder, from_openml
from examples.shared import audit, train_by

FOLDER, REPORT = Path("examples/income_federated/out"), Path("reports/income_federated")


def prepare(rows: Split, folder: Path) -> Path:
    """Write the rows and the recipe into a folder; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.training.to_csv(folder / "train.csv", index=False)
    rows.test.to_csv(folder / "test.csv", index=False)
    return Path(shutil.copy(Path(__file__).with_name("recipe.toml"), folder / "recipe.toml"))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw", type=Path, help="folder with adult.data and adult.test (default: fetch from OpenML)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for model and data")
    parser.add_argument("--out", type=Path, default=REPORT, help="where the report is written")
    chosen = parser.parse_args()
    rows = from_folder(chosen.raw) if chosen.raw else from_openml()
    code = audit(train_by(prepare(rows, chosen.folder)), chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
