"""Which patients' diabetes will progress? A small real model, audited: python -m examples.diabetes.

Data: 442 patients of Efron, Hastie, Johnstone and Tibshirani 2004 ("Least angle regression"), from scikit-learn.
The label is progression above the median after one year. Sex and age are kept from the model and declared as sensitive.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from examples.shared import Recipe, Story, audit, prepare

RECIPE = Recipe(hidden=(16,), epochs=60, batch=32, learning_rate=0.01, weight_decay=0.05)
CARD = """\
name = "diabetes-mlp"
version = "1.0"
task = "binary"
head = "logit"
classes = ["slow", "fast"]
positive = "fast"
purpose = "Show which patients' diabetes is likely to progress faster than the median within a year"
owner = "the rai examples"
intended_use = "Demonstration only; not for any decision about a patient"

[network]
kind = "mlp"
arguments = {{ inputs = {inputs}, outputs = 1, hidden = [16] }}

[data]
test = "test.csv"
reference = "train.csv"
target = "progression"
sensitive = ["sex", "age"]
bands = {{ age = [40, 55] }}

{columns}"""


def patients() -> pd.DataFrame:
    """All 442 patients with raw measurements and the label."""
    bunch = load_diabetes(scaled=False, as_frame=True)
    frame: pd.DataFrame = bunch.data.copy()
    frame["sex"] = np.where(frame["sex"] == 1, "sex 1", "sex 2")
    frame["progression"] = np.where(bunch.target > bunch.target.median(), "fast", "slow")
    return frame


def story() -> Story:
    """Half of the patients to train on, half to test with."""
    shuffled = patients().sample(frac=1.0, random_state=0)
    return Story(shuffled[:221], shuffled[221:], "progression", "fast", CARD, kept_from_model=("sex", "age"))


def main() -> None:
    """Train, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("examples/diabetes/out"), help="for model and data")
    parser.add_argument("--out", type=Path, default=Path("reports/diabetes"), help="where the report is written")
    chosen = parser.parse_args()
    code = audit(prepare(story(), RECIPE, chosen.folder), chosen.out, "--format", "html,json,md")
    print(f"\nThe report: {(chosen.out / 'report.html').resolve()}  (rai's exit code: {code})")


if __name__ == "__main__":
    main()
