"""The same federation on Flower's own servers gives the same model; its sites read their own files, and all is stopped.

These start a SuperLink and two SuperNodes on this machine: about half a minute each on a quiet one.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rai.card import Card, Column, Files, Network
from rai.data import load
from rai.errors import InputError
from rai.train.federated import fit_federated
from rai.train.federated.at_sites import fit_at_sites
from rai.train.federated.client_privacy import client_promise
from rai.train.federated.superlink import Link, Node, crew, start_executors, start_superlink, start_supernodes
from rai.train.on_disk import fresh
from rai.train.settings import ClientPrivacy, Federated, Fit

NETWORK = Network("mlp", {"inputs": 2, "hidden": (8,), "outputs": 1})
FIT = Fit(seed=3, batch_size=16)
CARD = Card(
    "binary",
    classes=("0", "1"),
    positive="1",
    network=NETWORK,
    data=Files(target="ok", sensitive=("sex",)),
    columns=(Column("age", "number"), Column("pay", "number", scale=2.0)),
)


def processes_below(folder: Path) -> list[str]:
    """Command lines of processes that work in a folder, or name it."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            words = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = (each / "cwd").readlink()
        except OSError:
            continue
        if each.name != str(os.getpid()) and str(folder) in f"{words} {place}":
            found.append(words)
    return found


def squares() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


@pytest.mark.servers
def test_a_deployment_gives_the_model_and_ledger_of_the_run_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    federated = Federated(clients=2, rounds=1, strategy="fedprox")
    near = fit_federated(fresh(NETWORK, 3), squares(), federated=federated, settings=FIT)
    far = fit_federated(
        fresh(NETWORK, 3), squares(), federated=federated, settings=FIT, runtime="deployment", described=NETWORK
    )
    for name, tensor in near.model.state_dict().items():
        torch.testing.assert_close(far.model.state_dict()[name], tensor, atol=1e-6, rtol=0)
    told, expected = far.ledger.federation, near.ledger.federation
    assert told is not None
    assert expected is not None
    assert told.rounds[0].loss == pytest.approx(expected.rounds[0].loss, abs=1e-6)
    assert (told.rounds[0].replies, told.sites) == (expected.rounds[0].replies, expected.sites)
    assert (told.runtime, set(told.bundle)) == ("deployment", {"pyproject.toml", "job.json", "start.json"})
    assert processes_below(tmp_path) == []
    assert list(tmp_path.glob("rai-federation-*")) == []


@pytest.mark.parametrize(
    ("described", "match"),
    [
        (None, "described: is missing"),
        (Network("mlp", {"inputs": 2, "hidden": (9,), "outputs": 1}), "use one network"),
    ],
)
def test_a_deployment_is_told_truly_what_the_network_is(described: Network | None, match: str) -> None:
    with pytest.raises(InputError, match=match):
        fit_federated(
            fresh(NETWORK, 3), squares(), clients=2, rounds=1, settings=FIT, runtime="deployment", described=described
        )


def own_file(path: Path, rows: int, sexes: str, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    x, sex = rng.normal(size=(rows, 2)), rng.choice(list(sexes), rows)
    lines = [f"{a},{b},{s},{int(a > 0)}" for (a, b), s in zip(x.tolist(), sex, strict=True)]
    path.write_text("\n".join(["age,pay,sex,ok", *lines]))
    return path


@pytest.mark.servers
def test_sites_that_keep_their_own_files_learn_what_they_would_in_one_process(tmp_path: Path) -> None:
    files = [own_file(tmp_path / "north.csv", 90, "M", 1), own_file(tmp_path / "south.csv", 130, "FM", 2)]
    names, federated = ("north", "south"), Federated(clients=2, rounds=1, alone=False, contributions=False)
    with crew(tmp_path / "servers") as ours:
        link = start_superlink(ours)
        backwards = [Node({"partition-id": at, "data": str(files[at]), "name": names[at]}) for at in (1, 0)]
        addresses = start_supernodes(ours, link, backwards)
        start_executors(ours, [link, *map(Link, addresses)])
        far = fit_at_sites(CARD, link, tmp_path / "run", federated=federated, settings=FIT)
    assert processes_below(tmp_path) == []
    own = [replace(CARD, data=replace(CARD.data, reference=str(path))) for path in files]
    data = {name: load(path, card) for name, path, card in zip(names, files, own, strict=True)}
    near = fit_federated(fresh(NETWORK, 3), data, federated=federated, settings=FIT, task="binary")
    for name, tensor in near.model.state_dict().items():
        torch.testing.assert_close(far.model.state_dict()[name], tensor, atol=1e-6, rtol=0)
    told, expected = far.ledger.federation, near.ledger.federation
    assert told is not None
    assert expected is not None
    assert told.rounds[0].replies == expected.rounds[0].replies
    assert [(each.name, each.rows, each.classes) for each in told.sites] == [
        (each.name, each.rows, each.classes) for each in expected.sites
    ]
    assert set(told.bundle) == {"pyproject.toml", "job.json", "start.json"}
    assert told.runtime == "deployment"


def test_sites_beyond_this_machine_are_not_joined_in_the_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without encryption"):
        fit_at_sites(CARD, Link("site.example:8000"), tmp_path, federated=Federated(), settings=FIT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.servers
def test_a_promise_to_whole_sites_is_kept_by_the_server_and_nobody_is_told_who_took_part(tmp_path: Path) -> None:
    """The noise on a mean of updates of length 1 at most is some hundred times that: sites cannot have made it."""
    own = [own_file(tmp_path / f"{at}.csv", 90 + 20 * at, "FM", at) for at in range(3)]
    promise = ClientPrivacy(noise_multiplier=100.0, max_grad_norm=1.0)
    federated = Federated(clients=3, rounds=2, share=0.5, client_privacy=promise)
    with crew(tmp_path / "servers") as ours:
        link = start_superlink(ours)
        nodes = [Node({"partition-id": at, "data": str(path)}) for at, path in enumerate(own)]
        addresses = start_supernodes(ours, link, nodes)
        start_executors(ours, [link, *map(Link, addresses)])
        far = fit_at_sites(CARD, link, tmp_path / "run", federated=federated, settings=FIT)
    start, end = fresh(NETWORK, 3).state_dict(), far.model.state_dict()
    moved = torch.cat([(end[name] - start[name]).flatten() for name in start])
    expected = 100.0 * 1.0 / (0.5 * 3) * 2**0.5
    assert 0.5 * expected < float(moved.std()) < 2.0 * expected
    told = far.ledger.federation
    assert told is not None
    assert told.client_privacy is not None
    whole = told.client_privacy
    assert (whole.unit, whole.sample_rate, whole.steps, whole.noise_multiplier) == ("site", 0.5, 2, 100.0)
    near = client_promise(promise, share=0.5, clients=3, rounds=2)
    assert whole.epsilon == pytest.approx(near.epsilon)
    assert [(each.bytes_up, each.bytes_down, each.seconds) for each in told.rounds] == [(0, 0, 0.0)] * 2
    for each in told.rounds:
        assert {(reply.examples, reply.norm, reply.excluded) for reply in each.replies.values()} == {(0, None, "")}
        assert set(each.replies) == {"site 1", "site 2", "site 3"}
    assert [each.rows for each in told.sites] == [90, 110, 130]
