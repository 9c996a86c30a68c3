"""Who earns over $50,000? An income model without sex and race among its inputs, audited: python -m examples.income.

Data: UCI Adult (Becker and Kohavi 1996, CC BY 4.0), official split: 32,561 training and 16,281 test rows. With
`--raw FOLDER` from a local copy of adult.data and adult.test; else from OpenML, which needs a network. With `--private`
trained by the recipe beside this file, which promises differential privacy (ε 1, δ 1e-5) to each person.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.datasets import fetch_openml

from examples.shared import Recipe, Story, audit, prepare, train_by

RECIPE = Recipe(hidden=(64,), epochs=8, batch=256, learning_rate=0.002, weight_decay=0.01)
TEST_ROWS = 16_281
FIRST_TEST_WEIGHT = 226_802
TARGET = "income"
HIDDEN = ("sex", "race")
NAMES = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    TARGET,
)
CARD = """\
name = "income-mlp"
version = "1.0"
task = "binary"
head = "logit"
classes = ["<=50K", ">50K"]
positive = ">50K"
purpose = "Predict from census answers whether a person earns over $50,000 a year"
owner = "the rai examples"
intended_use = "Research and demonstration only; not for any decision about a person"

[network]
kind = "mlp"
arguments = {{ inputs = {inputs}, outputs = 1, hidden = [64] }}

[data]
test = "test.csv"
reference = "train.csv"
target = "income"
sensitive = ["sex", "race"]
missing_values = ["?"]

{columns}"""


@dataclass(frozen=True)
class Split:
    """Official training and test rows."""

    training: pd.DataFrame
    test: pd.DataFrame


def from_folder(raw: Path) -> Split:
    """Read adult.data and adult.test as the archive ships them."""
    return Split(_read(raw / "adult.data", skip=0), _read(raw / "adult.test", skip=1))


def _read(path: Path, *, skip: int) -> pd.DataFrame:
    frame = pd.read_csv(
        path, names=list(NAMES), skiprows=skip, skipinitialspace=True, keep_default_na=False, comment="|"
    )
    frame[TARGET] = frame[TARGET].str.rstrip(".")
    return frame


def from_openml() -> Split:
    """Fetch Adult from OpenML (version 2), where the official test rows come first."""
    frame: pd.DataFrame = fetch_openml("adult", version=2, as_frame=True).frame.rename(columns={"class": TARGET})
    if int(frame["fnlwgt"].iloc[0]) != FIRST_TEST_WEIGHT:
        raise SystemExit("OpenML's adult no longer starts with the official test rows; use --raw FOLDER")
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), "?").astype(str)
    return Split(frame[TEST_ROWS:][list(NAMES)], frame[:TEST_ROWS][list(NAMES)])


def story(split: Split) -> Story:
    """Sex and race are kept from the model; "?" is a category of its own."""
    texts = split.training.select_dtypes(exclude="number").columns
    fill = {str(name): "?" for name in texts if "?" in set(split.training[name])}
    return Story(split.training, split.test, TARGET, ">50K", CARD, kept_from_model=HIDDEN, fill=fill)


def prepare_private(split: Split, folder: Path) -> Path:
    """Write the rows and the private recipe into a folder; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    split.training.to_csv(folder / "train.csv", index=False)
    split.test.to_csv(folder / "test.csv", index=False)
    return Path(shutil.copy(Path(__file__).with_name("private.toml"), folder / "recipe.toml"))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw", type=Path, help="folder with adult.data and adult.test (default: fetch from OpenML)")
    parser.add_argument("--private", action="store_true", help="train with differential privacy")
    parser.add_argument("--folder", type=Path, help="for model and data (default: examples/income/out)")
    parser.add_argument("--out", type=Path, help="where the report is written (default: reports/income, or …_private)")
    chosen = parser.parse_args()
    end = "_private" if chosen.private else ""
    folder, out = (
        chosen.folder or Path("examples/income/out") / ("private" if chosen.private else ""),
        chosen.out or Path(f"reports/income{end}"),
    )
    split = from_folder(chosen.raw) if chosen.raw else from_openml()
    model = train_by(prepare_private(split, folder)) if chosen.private else prepare(story(split), RECIPE, folder)
    code = audit(model, out, "--format", "html,json,md")
    print(f"\nThe report: {(out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
