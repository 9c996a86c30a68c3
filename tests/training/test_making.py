"""A recipe becomes a model that an audit takes at once; what is written is whole, or nothing is."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rai import intake
from rai.card import read_card
from rai.errors import InputError
from rai.files import ENDED, sha256
from rai.ledger import read_ledger
from rai.subject import Subject
from rai.training import checkpoint_of, train

FILES = {"model.pt", "model.toml", "ledger.json"}


def subject_of(model: Path) -> Subject:
    return intake.from_files(model, intake.Choices()).subject


@pytest.mark.parametrize("kind", ["table", "image", "sequence", "text"])
def test_every_kind_of_rows_is_learned_and_taken_by_an_audit(every_kind: dict[str, Path], kind: str) -> None:
    made = train(every_kind[kind])
    subject = subject_of(made.model)
    assert subject.data.kind == kind
    assert subject.reference is not None
    assert np.mean(subject.predicted == subject.data.labels) > 0.8
    assert set(subject.data.groups) == {"sex" if kind == "table" else "site"}
    ledger = read_ledger(made.ledger)
    assert ledger.model == sha256(made.model)
    assert ledger.data.rows == subject.reference.rows
    assert ledger.data.file == subject.reference.source.sha256


def test_training_and_audit_encode_alike(folder: Path) -> None:
    """The audit's inputs of the training rows have mean 0 and spread 1: it read the numbers that training used."""
    subject = subject_of(train(folder / "recipe.toml").model)
    assert subject.reference is not None
    numbers = subject.reference.inputs[:, :2]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-5)


def test_the_same_recipe_twice_gives_the_same_weights_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    weights = [
        torch.load(train(folder / "recipe.toml", out=tmp_path / name, seed=seed).model, weights_only=True)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_training_rows_and_test_rows_are_apart_and_all_there(folder: Path) -> None:
    train(folder / "recipe.toml")
    parts = [(folder / f"rows_{name}.csv").read_text().splitlines()[1:] for name in ("train", "test")]
    whole = (folder / "rows.csv").read_text().splitlines()[1:]
    assert len(parts[0]) + len(parts[1]) == len(whole)
    assert len(parts[1]) == pytest.approx(0.2 * len(whole), abs=2)


def test_a_test_file_of_ones_own_is_named_by_the_card(
    folder: Path, recipe_with: Callable[..., Path], tmp_path: Path
) -> None:
    rows = (folder / "rows.csv").read_text().splitlines(keepends=True)
    (folder / "mine.csv").write_text("".join([rows[0], *rows[300:]]))
    made = train(recipe_with(**{'train = "rows.csv"': 'train = "rows.csv"\ntest = "mine.csv"'}), out=tmp_path / "made")
    card = read_card(made.card)
    assert (made.card.parent / str(card.data.test)).resolve() == (folder / "mine.csv").resolve()
    assert {each.name for each in (tmp_path / "made").iterdir()} == FILES
    assert subject_of(made.model).data.rows == len(rows) - 300


def test_a_positive_class_that_comes_first_is_still_the_one_the_logit_speaks_of(
    recipe_with: Callable[..., Path],
) -> None:
    made = train(recipe_with(**{'positive = "yes"': 'positive = "no"'}))
    subject = subject_of(made.model)
    assert subject.card.classes[subject.positive] == "no"
    assert np.mean(subject.predicted == subject.data.labels) > 0.8


def test_several_classes_and_amounts_are_learned(folder: Path, recipe_with: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    kinds = np.array(["low", "mid", "top"])[np.digitize(x, [-0.5, 0.5])]
    lines = [
        f"{a:.4f},{b},{3 * a + 100:.3f},{c}" for a, b, c in zip(x, kinds, rng.choice(["f", "m"], 300), strict=True)
    ]
    (folder / "rows.csv").write_text("\n".join(["x,level,amount,sex", *lines]))
    text = '[data]\ntrain = "rows.csv"\ntarget = "{}"\nsensitive = ["sex"]\nignore = ["{}"]\n[fit]\nepochs = 40\n'
    text += "learning_rate = 0.05\n"
    several = subject_of(train(recipe_with(text.format("level", "amount")), out=folder / "level").model)
    assert several.card.classes == ("low", "mid", "top")
    assert np.mean(several.predicted == several.data.labels) > 0.85
    amounts = subject_of(train(recipe_with(text.format("amount", "level")), out=folder / "amount").model)
    assert amounts.card.task == "regression"
    assert np.corrcoef(amounts.predicted, np.asarray(amounts.data.labels))[0, 1] > 0.9


def test_what_is_no_input_is_left_out_and_said(folder: Path) -> None:
    rows = (folder / "rows.csv").read_text().splitlines()
    (folder / "rows.csv").write_text("\n".join(["id," + rows[0], *(f"{i},{row}" for i, row in enumerate(rows[1:]))]))
    made = train(folder / "recipe.toml")
    assert [each.name for each in read_card(made.card).columns] == ["income", "years", "job"]
    assert any("'id' is no input: row numbers" in each for each in read_ledger(made.ledger).warnings)


def test_a_failure_leaves_everything_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(folder / "recipe.toml")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rai.training.making.write_ledger", broken)
    with pytest.raises(OSError, match="No space"):
        train(folder / "recipe.toml", seed=5)
    after = {each.name: each.read_bytes() for each in folder.iterdir()}
    after.pop("checkpoint.pt")
    assert after == before


def test_a_recipe_that_is_refused_leaves_no_new_folder(folder: Path, tmp_path: Path) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(re.sub("(?m)^target = .*$", 'target = "nowhere"', recipe.read_text()))
    with pytest.raises(InputError, match="nowhere"):
        train(recipe, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_model_of_another_maker_is_not_written_over(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"model\.pt that rai train did not write"):
        train(folder / "recipe.toml")
    assert (folder / "model.pt").read_bytes() == b"mine"


def test_the_model_comes_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    whole = Path.replace

    def seen(self: Path, target: Path) -> Path:
        if self.parent.name == ENDED and Path(target).parent == folder:
            moved.append(self.name)
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", seen)
    train(folder / "recipe.toml")
    assert moved[-1] == "model.pt"
    assert set(moved) >= FILES


def test_the_ledger_keeps_the_whole_recipe_energy_and_curves(folder: Path, recipe_with: Callable[..., Path]) -> None:
    made = train(recipe_with(**{"[fit]": '[energy]\ncountry = "FRA"\n[fit]'}))
    ledger = read_ledger(made.ledger)
    assert ledger.recipe["fit"]["epochs"] == 12
    assert ledger.recipe["network"]["arguments"]["hidden"] == [8]
    assert ledger.energy is not None
    assert ledger.energy.place == "France"
    assert len(ledger.epochs) == 12
    assert ledger.epochs[-1].loss < ledger.epochs[0].loss
    assert "accuracy/sex=f" in ledger.epochs[-1].metrics
    assert not checkpoint_of(folder / "recipe.toml").exists()
    assert json.loads(made.ledger.read_text())["seal"]


LOADED = """
import sys
from pathlib import Path
from rai.energy import Meter
from rai.training import train

def entered(self, begin=Meter.__enter__):
    self.before = set(sys.modules)
    return begin(self)

def left(self, *given, end=Meter.__exit__):
    print(*sorted(name for name in set(sys.modules) - self.before if name.startswith("torch")))
    return end(self, *given)

Meter.__enter__, Meter.__exit__ = entered, left
train(Path(sys.argv[1]))
"""


def test_torch_is_loaded_before_the_meter_starts(folder: Path) -> None:
    """What loading costs is no training: at most a few small parts of torch come after."""
    done = subprocess.run([sys.executable, "-c", LOADED, folder / "recipe.toml"], capture_output=True, check=True)
    late = done.stdout.decode().split()
    assert not {"torch", "torch.optim", "torch._dynamo"} & set(late)
    assert len(late) < 20


def test_a_search_enters_every_run_and_keeps_the_best(recipe_with: Callable[..., Path]) -> None:
    space = '"fit.learning_rate" = [0.0000001, 0.02]\n"network.arguments.hidden" = [[4], [8]]'
    search = f'[search]\nmethod = "grid"\n[search.space]\n{space}\n[fit]'
    made = train(recipe_with(**{"[fit]": search}))
    ledger = read_ledger(made.ledger)
    assert len(ledger.runs) == 4
    best = max(ledger.runs, key=lambda run: run.results["quality"])
    assert ledger.recipe["fit"]["learning_rate"] == best.settings["fit.learning_rate"] == 0.02
    network = read_card(made.card).network
    assert network is not None
    assert list(network.arguments["hidden"]) == list(best.settings["network.arguments.hidden"])
    assert any("best of 4 runs" in each for each in ledger.warnings)
    assert all("energy" in run.results for run in ledger.runs)
    assert subject_of(made.model).scores.shape[1] == 1
