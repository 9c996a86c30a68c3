"""Who earns over $50,000? An income model without sex and race among its inputs, audited: python -m examples.income.

Data: UCI Adult (Becker and Kohavi 1996, CC BY 4.0), official split: 32,561 training and 16,281 test rows. With
`--raw FOLDER` from a local copy of adult.data and adult.test; else from OpenML, which needs a network.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.datasets import fetch_openml

from examples.shared import Recipe, Story, audit, prepare

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


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw", type=Path, help="folder with adult.data and adult.test (default: fetch from OpenML)")
    parser.add_argument("--folder", type=Path, default=Path("examples/income/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/income"), help="where the report is written")
    chosen = parser.parse_args()
    split = from_folder(chosen.raw) if chosen.raw else from_openml()
    code = audit(prepare(story(split), RECIPE, chosen.folder), chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
