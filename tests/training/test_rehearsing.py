"""rai federated up: servers of a rehearsal start on this machine, say where they are, and are gone after Ctrl-C."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rai.errors import InputError
from rai.train.federated.superlink import listens
from rai.training.rehearsing import rehearsed

UP = [sys.executable, "-c", "from rai.cli.federating import federated; federated()", "up"]
SITES = "\n[federated]\nclients = 3\nrounds = 1\n"


@pytest.fixture
def recipe(folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_text(path.read_text() + SITES)
    return path


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_servers_run_until_they_are_stopped_and_leave_no_rows(recipe: Path, number: signal.Signals) -> None:
    recipe.write_text(recipe.read_text().replace("clients = 3", "clients = 1"))
    with subprocess.Popen([*UP, str(recipe)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line, advice = process.stdout.readline(), process.stdout.readline()
        address = re.findall(r"SuperLink at (\S+), and 1 sites: site 1", line)[0]
        assert f"rai train {recipe} --runtime deployment --superlink {address}" in advice
        assert listens(address)
        assert len(list(recipe.parent.glob("rehearsal/servers/site-*.npz"))) == 1
        process.send_signal(number)
    assert process.returncode == 0
    assert not listens(address)
    assert list(recipe.parent.rglob("*.npz")) == []


def test_a_recipe_without_sites_is_refused_before_anything_starts(folder: Path) -> None:
    with pytest.raises(InputError, match="federated: names no sites"), rehearsed(folder / "recipe.toml", folder / "up"):
        pass
    assert not (folder / "up").exists()


def test_more_sites_than_rows_are_refused_before_anything_starts(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("clients = 3", "clients = 999"))
    with pytest.raises(InputError, match="no more sites than rows"), rehearsed(recipe, recipe.parent / "up"):
        pass
    assert not list((recipe.parent / "up").rglob("*.log"))


def test_servers_that_do_not_start_leave_no_rows(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rai.train.federated import superlink

    monkeypatch.setattr(superlink, "tethered", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(InputError, match="stopped before it was ready"), rehearsed(recipe, recipe.parent / "up"):
        pass
    assert list(recipe.parent.rglob("*.npz")) == []
