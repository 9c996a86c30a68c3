"""Two processes that start as torchrun starts them train one model: plain and private, one set of files, one ledger."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from rai import cli, intake
from rai.files import sha256
from rai.ledger import Ledger, read_ledger
from rai.train.private.accounting import Phase, spent
from rai.training import train

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rai", "train")
FILES = {"model.pt", "model.toml", "ledger.json", "rows_train.csv", "rows_test.csv", "rows.csv", "recipe.toml"}
FEW = {"epochs = 12": "epochs = 6"}
PLANTED = {"epsilon = 4.0": 'noise_multiplier = 1.1\ngradients = "book_keeping"\ncanaries = 10'}


@dataclass(frozen=True)
class Done:
    """How two processes ended, and what both said."""

    codes: list[int]
    out: str
    err: str


def torchrun(recipe: Path) -> Done:
    """The command line, in two processes that torchrun starts."""
    command = [sys.executable, *TORCHRUN, str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return Done([done.returncode], done.stdout, done.stderr)


@pytest.fixture
def two(in_two_processes: Callable[..., list[int]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Done]:
    """The command line, in two processes that have loaded torch already."""
    said = tmp_path_factory.mktemp("said")

    def run(recipe: Path) -> Done:
        def command(rank: int) -> None:
            sys.stdout, sys.stderr = ((said / f"{rank}.{name}").open("w", buffering=1) for name in ("out", "err"))
            sys.argv = ["rai", "train", str(recipe)]
            cli.run()

        codes = in_two_processes(command)
        return Done(
            codes, *("".join((said / f"{rank}.{name}").read_text() for rank in (0, 1)) for name in ("out", "err"))
        )

    return run


def ledger_after(done: Done, recipe: Path) -> Ledger:
    """See that one process alone wrote and spoke, and read what it wrote."""
    assert not any(done.codes), done.err
    assert {each.name for each in recipe.parent.iterdir()} == FILES
    assert done.out.count("trained on") == 1
    steps = [line for line in done.err.splitlines() if line.startswith("rai: [")]
    assert steps
    assert len(steps) == len(set(steps))
    ledger = read_ledger(recipe.parent / "ledger.json")
    assert ledger.model == sha256(recipe.parent / "model.pt")
    assert ledger.energy is not None
    assert ledger.energy.inputs["processes"] == 2
    return ledger


def test_two_processes_make_the_model_of_one(
    recipe_with: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = recipe_with(**FEW)
    alone = train(recipe, out=tmp_path_factory.mktemp("alone"))
    ledger, whole = ledger_after(torchrun(recipe), recipe), read_ledger(alone.ledger)
    assert [each.loss for each in ledger.epochs] == pytest.approx([each.loss for each in whole.epochs], abs=1e-5)
    assert (ledger.data, ledger.split, ledger.flops) == (whole.data, whole.split, whole.flops)
    first, second = (torch.load(path, weights_only=True) for path in (alone.model, recipe.parent / "model.pt"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-5)


def test_two_processes_keep_the_promise_of_one(private_with: Callable[..., Path], two: Callable[[Path], Done]) -> None:
    """One process draws all of the noise, and the ledger has the whole of it; both together look at every row."""
    recipe = private_with(**PLANTED)
    ledger = ledger_after(two(recipe), recipe)
    promise = ledger.privacy
    assert promise is not None
    assert (promise.noise_multiplier, promise.sample_rate, promise.steps, promise.delta) == (1.1, 0.25, 40, 1e-3)
    assert promise.epsilon == pytest.approx(spent((Phase(1.1, 0.25, 40),), 1e-3).value)
    assert promise.canaries is not None
    assert len(promise.canaries.included) == 10
    assert ledger.flops is not None
    seen = ledger.flops / (3 * 2 * (4 * 8 + 8))
    assert seen == pytest.approx(40 * 0.25 * ledger.data.rows, rel=0.15)
    subject = intake.from_files(recipe.parent / "model.pt", intake.Choices()).subject
    assert np.mean(subject.predicted == subject.data.labels) > 0.65


def test_a_search_is_not_shared(recipe_with: Callable[..., Path], two: Callable[[Path], Done]) -> None:
    """Both processes refuse it alike, before anything is written."""
    recipe = recipe_with(more='[search]\nspace = { "fit.learning_rate" = [0.01, 0.02] }\n')
    done = two(recipe)
    assert done.codes == [2, 2]
    assert "rai: search: is not shared among processes; start it without torchrun" in done.err
    assert {each.name for each in recipe.parent.iterdir()} == {"rows.csv", "recipe.toml"}
