"""What does it cost to select women and men more alike? Census income, in two models: python -m examples.income_fair.

Data: UCI Adult as in `examples.income`, with `--raw FOLDER` from a local copy, else from OpenML. The story: `rai train`
makes a model that knows neither sex nor race, and selects men three times as often as women. `rai.frontier` shows on
training rows held back what three methods give at several strengths with five seeds. The most accurate point with a gap
of at most 0.02 goes into the recipe; `rai train` makes that model and its baseline, and the report holds one against
the other. The criterion is demographic parity, which shows that a narrower gap is not free: another one grows wider.

With `--small` the same on 442 patients from scikit-learn, in seconds and without a network. What was trained before can
be mitigated without a recipe: rai mitigate examples/income_fair/out/before/model.pt --sensitive sex
"""

import argparse
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import rai
from examples.diabetes.__main__ import story
from examples.income.__main__ import Split, from_folder, from_openml
from examples.shared import audit, train_by
from rai.card import read_card
from rai.data import load
from rai.ledger import Ledger, Mitigation, Trial, read_ledger, write_ledger
from rai.train.fair.choice import chosen
from rai.train.fair.points import Point
from rai.train.on_disk import fresh
from rai.train.splits import split, strata
from rai.training.recipe import read_recipe
from rai.training.strengths import MEASURED, run_of

SEEDS, HELD = 5, 0.25
"""How many seeds each point is tried with, and the share of training rows that points are measured on."""
METHODS = ("none", "adversarial", "gap_penalty", "threshold")


@dataclass(frozen=True)
class Case:
    """A recipe beside this file, which strengths are tried, how small a gap is asked for, and where things go."""

    recipe: str
    strengths: Mapping[str, tuple[float, ...]]
    at_most: float
    folder: str
    report: str


CENSUS = Case(
    "recipe.toml",
    {
        "adversarial": (0.05, 0.1, 0.15, 0.2),
        "gap_penalty": (0.25, 0.5, 0.75, 1.0, 1.25),
        "threshold": (0.25, 0.5, 0.75, 0.9, 1.0),
    },
    0.02,
    "examples/income_fair/out",
    "reports/income_fair",
)
SMALL = Case(
    "small.toml",
    {"adversarial": (0.1, 0.3), "gap_penalty": (0.5, 1.0), "threshold": (0.5, 1.0)},
    0.1,
    "examples/income_fair/out/small",
    "reports/diabetes_fair",
)


def prepare(rows: Split, case: Case, folder: Path) -> Path:
    """Write the rows and the recipe into a folder; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.training.to_csv(folder / "train.csv", index=False)
    rows.test.to_csv(folder / "test.csv", index=False)
    return Path(shutil.copy(Path(__file__).with_name(case.recipe), folder / "recipe.toml"))


def before(recipe: Path) -> Path:
    """Train as the recipe says without its criterion; return the model's path."""
    folder = recipe.with_name("before")
    folder.mkdir(exist_ok=True)
    text = recipe.read_text(encoding="utf-8").split("[fair]")[0]
    text = re.sub(r'"(train|test)\.csv"', r'"../\1.csv"', text).replace('-fair"', '-before"')
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    return train_by(folder / "recipe.toml")


def tried(model: Path, recipe: Path, case: Case) -> rai.Frontier:
    """The trade-off curve, on training rows held back; test rows are not read."""
    card, wanted = read_card(model.with_suffix(".toml")), read_recipe(recipe)
    if card.network is None or wanted.fair is None:
        raise SystemExit("the recipe names no criterion")
    rows = load(recipe.with_name("train.csv"), card)
    parts = split(strata(np.asarray(rows.labels), rows.groups), HELD, 0)
    return rai.frontier(
        fresh(card.network, 0),
        rows.take(parts.kept),
        test=rows.take(parts.held),
        sensitive=wanted.fair.sensitive,
        criterion=wanted.fair.criterion,
        methods=METHODS,
        strengths=case.strengths,
        seeds=SEEDS,
        settings=replace(wanted.fit, validation=0.0),
        task=card.task,
        jobs=2,
        cache=recipe.with_name("trials"),
        watch=_tell,
    )


def _tell(done: int, of: int, trial: Trial) -> None:
    print(
        f"\rtrial {done} of {of}: {trial.method} {trial.strength:g}   ", end="\n" if done == of else "", file=sys.stderr
    )


def trained(recipe: Path, curve: rai.Frontier, point: Point) -> Path:
    """Train as the recipe says with the chosen method and strength, and let the ledger tell of all that was tried."""
    text = recipe.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^method = .*$", f'method = "{point.method}"', text)
    recipe.write_text(re.sub(r"(?m)^strength = .*$", f"strength = {point.strength}", text), encoding="utf-8")
    model = train_by(recipe)
    ledger = read_ledger(model.with_name("ledger.json"))
    write_ledger(entered(ledger, curve), model.with_name("ledger.json"))
    return model


def entered(ledger: Ledger, curve: rai.Frontier) -> Ledger:
    """The ledger with every trial: tuning looked at the same rows, and the best of many flatters itself."""
    told = ledger.mitigation or Mitigation(curve.criterion, (), "", 0.0)
    runs = tuple(map(run_of, curve.trials))
    best = f"the method and its strength are the best of {len(curve.points) - 1} on rows held back"
    mitigation = replace(told, trials=curve.trials, measured_on=MEASURED)
    return replace(ledger, mitigation=mitigation, runs=(*ledger.runs, *runs), warnings=(*ledger.warnings, best))


def main() -> None:
    """Train, try, choose, train again, audit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw", type=Path, help="folder with adult.data and adult.test (default: fetch from OpenML)")
    parser.add_argument("--small", action="store_true", help="442 patients in place of the census")
    parser.add_argument("--folder", type=Path, help="for model and data (default: examples/income_fair/out)")
    parser.add_argument("--out", type=Path, help="where the report is written (default: reports/income_fair)")
    asked = parser.parse_args()
    case = SMALL if asked.small else CENSUS
    out = asked.out or Path(case.report)
    recipe = prepare(rows(asked.raw, small=asked.small), case, asked.folder or Path(case.folder))
    curve = tried(before(recipe), recipe, case)
    point = chosen(curve, case.at_most).point
    print(curve, f"chosen: {point.label}", sep="\n")
    code = audit(trained(recipe, curve, point), out, "--format", "html,json,md")
    print(f"\nThe report: {(out / 'report.html').resolve()}  (rai's exit code: {code})")


def rows(raw: Path | None, *, small: bool) -> Split:
    """Training and test rows."""
    if small:
        return Split(story().training, story().test)
    return from_folder(raw) if raw else from_openml()


if __name__ == "__main__":
    main()
