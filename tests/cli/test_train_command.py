"""rai train, typed by a person: the files, what is said, the exit codes, and that rai audit works at once."""

import json
import os
import signal
from pathlib import Path

import pytest

import rai
from rai.train.loop import Moment

RECIPE = """\
name = "repaid"
positive = "yes"
[data]
train = "train.csv"
test = "test.csv"
target = "repaid"
sensitive = ["sex"]
[network]
arguments = { hidden = [8] }
[fit]
epochs = 3
learning_rate = 0.02
"""


@pytest.fixture
def recipe(loans: Path) -> Path:
    """A recipe beside the rows of the loans, in a folder without a model."""
    for name in ("model.pt", "model.toml"):
        (loans / name).unlink()
    (loans / "recipe.toml").write_text(RECIPE)
    return loans / "recipe.toml"


def test_train_then_audit_needs_no_further_flag(rai_command, recipe: Path) -> None:
    done = rai_command("train", recipe)
    assert done.code == 0, done.err
    model = recipe.with_name("model.pt")
    assert f"rai audit {model}" in done.out
    assert "epoch 3/3 · loss" in done.err
    audited = rai_command("audit", model, "--out", recipe.parent / "out")
    assert audited.code in (0, 1, 4), audited.err
    report = rai.Report.read(recipe.parent / "out" / "report.json")
    assert report.record.identity.name == "repaid"
    assert not any(section.crashed for section in report.sections)


def test_out_seed_and_quiet(rai_command, recipe: Path, tmp_path: Path) -> None:
    done = rai_command("train", recipe, "--out", tmp_path / "made", "--seed", 7, "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert json.loads((tmp_path / "made" / "ledger.json").read_text())["seed"] == 7
    assert not recipe.with_name("model.pt").exists()
    assert rai_command("audit", tmp_path / "made" / "model.pt", "--out", tmp_path / "out", "-q").code in (0, 1, 4)


def test_wrong_input_is_one_line_and_code_2(rai_command, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("epochs = 3", "epochs = -3"))
    done = rai_command("train", recipe)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"rai: {recipe}: fit.epochs: is -3; expected a whole number from 1\n"
    assert rai_command("train", recipe.with_name("other.toml")).code == 2
    assert rai_command("train").code == 2


def test_ctrl_c_says_how_to_go_on_and_that_works(rai_command, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(_self: object, moment: Moment) -> None:
        if moment.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr("rai.progress._Lines.step", stopping)
        stopped = rai_command("train", recipe)
    assert stopped.code == 3
    assert stopped.err.endswith(f"rai: interrupted; go on with: rai train {recipe} --resume\n")
    again = rai_command("train", recipe)
    assert (again.code, "go on with --resume" in again.err) == (2, True)
    resumed = rai_command("train", recipe, "--resume")
    assert resumed.code == 0, resumed.err
    assert recipe.with_name("model.pt").exists()


def test_a_ledger_of_another_model_is_refused_by_the_audit(rai_command, recipe: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        assert rai_command("train", recipe, "--seed", seed, "--out", tmp_path / str(seed), "-q").code == 0
    (tmp_path / "2" / "ledger.json").replace(tmp_path / "1" / "ledger.json")
    done = rai_command("audit", tmp_path / "1" / "model.pt", "--out", tmp_path / "out")
    assert done.code == 2
    assert "this ledger was written for the model file with SHA-256" in done.err


def test_a_changed_byte_of_the_ledger_is_refused_by_the_audit(rai_command, recipe: Path) -> None:
    assert rai_command("train", recipe, "-q").code == 0
    path = recipe.with_name("ledger.json")
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    done = rai_command("audit", recipe.with_name("model.pt"), "--out", recipe.parent / "out")
    assert done.code == 2
    assert "ledger.json" in done.err


def test_a_private_recipe_shows_what_was_spent_and_keeps_losses_out_of_logs(rai_command, recipe: Path) -> None:
    promise = "[private]\nepsilon = 5\ndelta = 1e-3\nsample_rate = 0.2\nsteps = 20\nexpected_batch = 100\n"
    recipe.write_text(RECIPE.replace("[network]", "public_columns = true\n[network]") + promise)
    done = rai_command("train", recipe)
    assert done.code == 0, done.err
    assert "promised: ε 5 at δ 0.001 for each record" in done.out
    assert "not covered by the promise: column means, scales, categories and fills were read" in done.out
    steps = [line for line in done.err.splitlines() if " · ε ≤ " in line]
    assert steps
    assert not any("loss" in line for line in steps)
    report = rai_command("audit", recipe.with_name("model.pt"), "--out", recipe.parent / "out", "-q")
    assert report.code in (0, 1, 4), report.err
