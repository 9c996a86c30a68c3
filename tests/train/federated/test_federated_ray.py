"""Flower's simulation on Ray gives the same model from the same bundle, within this machine, and all of it is stopped.

Those that carry the mark start a SuperLink and Ray: about a minute each on a busy machine.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rai.card import Network
from rai.errors import InputError
from rai.ledger import Ledger, read_ledger
from rai.train.federated import deployment, fit_federated, simulation
from rai.train.federated.deployment import SEPARATE, Submitted
from rai.train.federated.flower import switched_off
from rai.train.federated.simulation import SITES, node_of
from rai.train.federated.superlink import Link, crew
from rai.train.loop import Moment
from rai.train.on_disk import fresh
from rai.train.settings import Federated, Fit, Private
from rai.train.trained import Trained
from rai.training import train

NETWORK = Network("mlp", {"inputs": 2, "hidden": (8,), "outputs": 1})
FIT = Fit(seed=3, batch_size=16)
PRIVATE = Private(sample_rate=0.2, steps=2, delta=1e-3, expected_batch=8, noise_multiplier=1.0)
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same within IPv6, and ::1, as the kernel writes them."""
SOCKET = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
RECIPE = """\
[data]
train = "rows.csv"
target = "ok"
sensitive = ["sex"]
[network]
arguments = { hidden = [8] }
[fit]
seed = 3
batch_size = 16
[federated]
clients = 3
rounds = 2
partition = "dirichlet"
strategy = "fedprox"
"""


def squares() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def those_of(folder: Path) -> list[Path]:
    """Processes that work in a folder, name it, or found it in their environment."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            said = b" ".join((each / name).read_bytes() for name in ("cmdline", "environ")).decode(errors="replace")
            place = str((each / "cwd").readlink())
        except OSError:
            continue
        if each.name != str(os.getpid()) and f"{folder}{os.sep}" in f"{said} {place}":
            found.append(each)
    return found


def listening(processes: list[Path]) -> set[str]:
    """Addresses at which any of the processes accepts connections, as the kernel writes them."""
    sockets = {each.readlink().name for one in processes for each in (one / "fd").iterdir() if each.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


@dataclass
class Looking:
    """Listens to rounds, and sees what runs and where it listens."""

    folder: Path
    stop: bool = False
    rounds: list[int] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)

    def step(self, moment: Moment) -> None:
        self.rounds.append(moment.epoch)
        running = those_of(self.folder)
        words = [word for each in running for word in (each / "cmdline").read_text().split("\0")]
        self.named |= {Path(word).name for word in words if word}
        self.addresses |= listening(running)
        if self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, its name short enough for sockets; in the end nothing is or runs there any more."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)
        assert those_of(Path(name)) == []
        assert list(Path(name).glob("rai-*")) == []


def same(one: Trained, other: Trained) -> None:
    for name, tensor in one.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], tensor, atol=1e-6, rtol=0)


def rounds_of(ledger: Ledger) -> list[tuple[float | None, dict[str, str | None]]]:
    assert ledger.federation is not None
    return [
        (each.loss, {name: one.excluded for name, one in each.replies.items()}) for each in ledger.federation.rounds
    ]


@pytest.mark.servers
def test_one_recipe_gives_the_same_model_here_and_on_ray(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    X, y = squares()
    sex = np.random.default_rng(1).choice(["f", "m"], len(y))
    rows = [f"{a},{b},{s},{label}" for (a, b), s, label in zip(X.tolist(), sex, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["age,pay,sex,ok", *rows]))
    heard = Looking(temporary)
    near = train(tmp_path / "recipe.toml", out=tmp_path / "near")
    far = train(tmp_path / "recipe.toml", out=tmp_path / "far", runtime="ray", watch=heard)
    one, other = (torch.load(each.model, weights_only=True) for each in (near, far))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, atol=1e-6, rtol=0)
    expected, told = read_ledger(near.ledger).federation, read_ledger(far.ledger).federation
    assert told is not None
    assert expected is not None
    assert told.rounds[-1].loss == pytest.approx(expected.rounds[-1].loss, abs=1e-6)
    assert (told.sites, told.runtime, len(told.bundle)) == (expected.sites, "ray", 3)
    assert heard.rounds == [1, 2]
    assert "raylet" in heard.named


@pytest.mark.servers
def test_a_site_that_fails_is_left_out_there_as_here(temporary: Path) -> None:
    """One row is too few for a batch norm."""
    X, y = squares()
    data = {"north": (X[:90], y[:90]), "south": (X[90:91], y[90:91]), "west": (X[91:], y[91:])}
    norms = Network("mlp", {"inputs": 2, "hidden": (8,), "outputs": 1, "norm": "batch"})
    chosen = Federated(rounds=2, alone=False, contributions=False)
    fit = replace(FIT, validation=0.0)
    near = fit_federated(fresh(norms, 3), data, federated=chosen, settings=fit)
    far = fit_federated(
        fresh(norms, 3), data, federated=replace(chosen, vmap=True), settings=fit, runtime="ray", described=norms
    )
    same(near, far)
    assert rounds_of(far.ledger) == rounds_of(near.ledger)
    assert [each["south"] for _, each in rounds_of(far.ledger)] == ["it stopped with a ValueError"] * 2
    assert SEPARATE in far.ledger.warnings


@pytest.mark.servers
def test_promises_to_rows_go_on_from_accounts_on_disk(tmp_path: Path, temporary: Path) -> None:
    """A second training on the same rows has spent as much there as here."""
    chosen, spent = Federated(clients=2, rounds=1, alone=False, contributions=False), {}
    for folder, runtime in (("near", "local"), ("near", "local"), ("far", "local"), ("far", "ray")):
        done = fit_federated(
            fresh(NETWORK, 3),
            squares(),
            federated=chosen,
            settings=replace(FIT, optimizer="sgd"),
            private=PRIVATE,
            accounts=tmp_path / folder,
            runtime=runtime,
            described=NETWORK,
        )
        assert done.ledger.privacy is not None
        spent.setdefault(folder, []).append(done.ledger.privacy.epsilon)
    assert spent["far"] == spent["near"]
    assert spent["far"][1] > spent["far"][0] > 0


@pytest.mark.servers
def test_stopping_leaves_nothing_behind_and_no_network_is_listened_to(temporary: Path) -> None:
    heard = Looking(temporary, stop=True)
    with pytest.raises(KeyboardInterrupt):
        fit_federated(fresh(NETWORK, 3), squares(), clients=2, rounds=50, runtime="ray", described=NETWORK, watch=heard)
    assert len(heard.rounds) == 1
    assert {"raylet", "gcs_server", "flower-superlink"} <= heard.named
    assert heard.addresses
    assert heard.addresses <= LOOPBACK


def test_a_simulated_site_is_told_what_its_node_would_be_and_no_other_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps([{"partition-id": 0, "data": "a.npz"}, {"partition-id": 1, "data": "b.npz"}]))
    bare, own = {"partition-id": 1, "num-partitions": 2}, {"partition-id": 1, "data": "own.csv"}
    assert node_of(bare) == bare
    monkeypatch.setenv(SITES, str(path))
    assert node_of(bare) == {**bare, "data": "b.npz"}
    assert node_of(own) == own


@pytest.mark.parametrize(("sites", "workers"), [(1, 1), (3, 3), (50, 7)])
def test_there_are_as_many_workers_as_cores(monkeypatch: pytest.MonkeyPatch, sites: int, workers: int) -> None:
    switched_off()
    from flwr.common.config import parse_config_args

    monkeypatch.setattr(simulation, "_cores", lambda: 7)
    expected = {"num-supernodes": sites, "client-resources-num-cpus": 1, "init-args-num-cpus": workers}
    assert parse_config_args([simulation._size(sites)]) == expected


@pytest.mark.parametrize("name", ["s", "l" * 60])
def test_rays_files_lie_where_its_sockets_have_room_and_go_at_the_end(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as short:
        folder = Path(short) / name
        folder.mkdir()
        with simulation._ray_folder(folder) as place:
            (place / "ray").mkdir()
            assert len(str(place / "ray" / SOCKET)) <= 103
            assert (place == folder) == (name == "s")
        assert list(folder.iterdir()) == []
        assert place.exists() == (name == "s")


def test_without_ray_it_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "find_spec", lambda _: None)
    monkeypatch.setattr(simulation, "run_on_servers", lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(InputError, match=r"Ray is not installed; pip install 'rai\[ray\]'"):
        fit_federated(fresh(NETWORK, 3), squares(), clients=2, rounds=1, runtime="ray", described=NETWORK)


def test_what_is_started_finds_nobody_beyond_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of every process of the simulation, whatever this one has in its own."""
    monkeypatch.setenv("RAY_ADDRESS", "ray.example:6379")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with crew(tmp_path, simulation._variables(tmp_path, tmp_path / "nodes.json")) as ours:
        ours.start("asked", [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"])
        ours.started["asked"].wait()
    found = json.loads((tmp_path / "asked.log").read_text())
    assert found["RAY_USAGE_STATS_ENABLED"] == found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert found["RAY_ADDRESS"] == "local"
    assert found["HTTPS_PROXY"] == found["http_proxy"] == "http://127.0.0.1:9"
    assert "127.0.0.1" in found["NO_PROXY"].split(",")
    assert os.environ["RAY_ADDRESS"] == "ray.example:6379"


def test_a_worker_that_died_ends_the_run_and_is_no_failing_site() -> None:
    """Flower would go on handing out work to it, and each site would seem to fail."""
    switched_off()
    from flwr.app import Error, Message

    from rai.train.federated.grid import identified
    from rai.train.federated.seats import Seated

    class Lost:
        def get_node_ids(self) -> list[int]:
            return [7]

        def push_messages(self, messages: Iterable[Message]) -> list[str]:
            for each in messages:
                each.metadata.__dict__["_message_id"] = "m"
                self.replies = [Message(Error(0, "<class 'ActorDiedError'>:<'at /a/path'>"), reply_to=each)]
            return ["m"]

        def pull_messages(self, _: object) -> list[Message]:
            return self.replies

    with identified(), pytest.raises(InputError) as caught:
        Seated(Lost(), 1).take_seats()  # type: ignore[arg-type]
    assert "federated.runtime: a worker of the simulation died; see that there is memory" in str(caught.value)
    assert "/a/path" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "words"),
    [("result/problem.txt", "too few rows"), ("superlink.log", "see the logs in"), ("flwr.log", "of the SuperLink")],
)
def test_a_run_that_failed_says_why_or_where_to_look(tmp_path: Path, written: str, words: str) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / written).write_text("too few rows")
    assert words in deployment._why(Submitted(Link("127.0.0.1:1"), "7", tmp_path, tmp_path / "result"))
