"""A federation in one process: the same as an obvious loop, the same bytes twice, and honest about who was left out."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Network
from rai.errors import InputError
from rai.ledger import Ledger
from rai.networks import build
from rai.subject import Data
from rai.train import Fit, fit
from rai.train.federated import fit_federated, flower
from rai.train.federated.site import Task, Update, learned, load, seed_of
from rai.train.loop import Moment
from rai.train.settings import Federated
from rai.train.splits import split, strata

Pair = tuple[np.ndarray, np.ndarray]
Some = Callable[..., Pair]


def weights(module: nn.Module) -> list[bytes]:
    return [each.numpy().tobytes() for each in module.state_dict().values()]


def federation(ledger: Ledger) -> object:
    found = ledger.federation
    assert found is not None
    return replace(found, rounds=tuple(replace(each, seconds=0.0) for each in found.rounds))


def test_fedavg_is_the_obvious_loop(network: nn.Module, some: Some, quick: Federated, plain_fit: Fit) -> None:
    sites = [some(60 + 20 * place, seed=place) for place in range(4)]
    trained = fit_federated(network, sites, federated=replace(quick, local_epochs=2), settings=plain_fit)
    assert trained.ledger.federation is not None
    common = {name: each.clone() for name, each in network.state_dict().items()}
    for number in range(1, 4):
        total = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in common.items()}
        seen = 0
        for place, (X, y) in enumerate(sites):
            kept = split(strata(y, {}), 0.2, 0).kept
            inputs, targets = torch.from_numpy(X[kept]), torch.from_numpy(y[kept])
            network.load_state_dict(common)
            _walk(network, inputs, targets, seed_of(Task({}, number, 0, plain_fit, 2, site=place)))
            for name, each in network.state_dict().items():
                total[name] += len(kept) * each.double()
            seen += len(kept)
        common = {name: (each / seen).float() for name, each in total.items()}
    for name, each in trained.model.state_dict().items():
        assert torch.allclose(each, common[name], rtol=0, atol=1e-6)


def _walk(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> None:
    from rai.train.batches import shuffled, steps_in

    positions = shuffled(len(inputs), 16, seed)
    for step in range(2 * steps_in(len(inputs), 16)):
        loss = nn.functional.cross_entropy(module(inputs[positions(step)]), targets[positions(step)])
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for each, gradient in zip(module.parameters(), gradients, strict=True):
                each.sub_(0.1 * gradient)


def test_one_site_with_whole_batches_is_plain_training(network: nn.Module, some: Some, quick: Federated) -> None:
    settings = Fit(optimizer="sgd", learning_rate=0.2, momentum=0.0, batch_size=1000, schedule="cosine", l1=1e-4)
    together = fit_federated(network, some(), clients=1, rounds=8, federated=quick, settings=settings)
    alone = fit(network, some(), settings=replace(settings, epochs=8))
    for one, other in zip(together.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
    pairs = zip(together.ledger.epochs, alone.ledger.epochs, strict=True)
    for round_, epoch in pairs:
        assert round_.loss == pytest.approx(epoch.loss, abs=1e-6)
        assert round_.validation_loss == pytest.approx(epoch.validation_loss, abs=1e-6)


def test_the_same_seed_gives_the_same_bytes(network: nn.Module, grouped: Data, quick: Federated) -> None:
    dropping = nn.Sequential(*network, nn.Dropout(0.0))
    dropping.insert(1, nn.Dropout(0.3))
    settings = replace(quick, share=0.5, rounds=4)
    one, other = (fit_federated(dropping, grouped, federated=settings, settings=Fit(seed=3)) for _ in range(2))
    assert weights(one.model) == weights(other.model)
    assert federation(one.ledger) == federation(other.ledger)
    third = fit_federated(dropping, grouped, federated=settings, settings=Fit(seed=4))
    assert weights(one.model) != weights(third.model)


def test_the_callers_own_randomness_and_network_stay(network: nn.Module, some: Some, quick: Federated) -> None:
    before = weights(network)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002 - the old generator is the one looked at
    expected = (random.random(), np.random.random(), float(torch.rand(1)))  # noqa: NPY002, S311
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    fit_federated(network, some(), federated=quick)
    assert (random.random(), np.random.random(), float(torch.rand(1))) == expected  # noqa: NPY002, S311
    assert weights(network) == before


def test_a_site_that_crashes_is_left_out_by_name(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(module: nn.Module, rows: object, task: Task) -> Update:
        if task.site == 2 and task.round == 2:
            raise ZeroDivisionError("row 17 of Ms Miller")
        return learned(module, rows, task)  # type: ignore[arg-type]

    monkeypatch.setattr(flower, "learned", failing)
    found = fit_federated(network, some(), federated=quick).ledger.federation
    assert found is not None
    reasons = [{name: each.excluded for name, each in one.replies.items() if each.excluded} for one in found.rounds]
    assert reasons == [{}, {"site 3": "it stopped with a ZeroDivisionError"}, {}]
    assert found.rounds[1].replies["site 3"].examples == 0
    assert found.rounds[1].replies["site 3"].accuracy is not None


@pytest.mark.parametrize("odd", ["nan", "shape", "missing", "count"])
def test_an_update_that_is_no_use_is_left_out(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    honest = fit_federated(network, [some(80, seed) for seed in range(3)], federated=quick)

    def spoiled(module: nn.Module, rows: object, task: Task) -> Update:
        found = learned(module, rows, task)  # type: ignore[arg-type]
        if task.site < 3:
            return found
        if odd == "count":
            return replace(found, examples=10**6)
        arrays = dict(found.arrays)
        name = next(iter(arrays))
        arrays[name] = {"nan": arrays[name] * np.nan, "shape": arrays[name][:1]}.get(odd, arrays[name])
        if odd == "missing":
            del arrays[name]
        return replace(found, arrays=arrays)

    monkeypatch.setattr(flower, "learned", spoiled)
    sites = [some(80, seed) for seed in range(4)]
    trained = fit_federated(network, sites, federated=replace(quick, most_examples=500))
    assert trained.ledger.federation is not None
    assert weights(trained.model) == weights(honest.model)
    reasons = [each.replies["site 4"].excluded for each in trained.ledger.federation.rounds]
    part = {"nan": "NaN", "shape": "shape", "missing": "missing", "count": "1,000,000"}[odd]
    assert all(part in each for each in reasons)
    assert not any(each.replies["site 1"].excluded for each in trained.ledger.federation.rounds)


def test_when_nobody_can_be_joined_the_first_reason_is_told(network: nn.Module, some: Some, quick: Federated) -> None:
    with pytest.raises(InputError, match="site 1 in round 1: training: the loss is no number any more"):
        fit_federated(network, some(), federated=quick, settings=Fit(optimizer="sgd", learning_rate=1e30, batch_size=8))


def test_counts_are_exact_over_all_sites_and_one_may_lack_a_group(
    network: nn.Module, grouped: Data, quick: Federated
) -> None:
    men, rest = np.flatnonzero(grouped.groups["sex"].codes == 1), np.arange(240)
    sites = {"men": grouped.take(men[:40]), "north": grouped.take(np.setdiff1d(rest, men[:40]))}
    trained = fit_federated(network, sites, federated=quick)
    last = trained.ledger.federation.rounds[-1]  # type: ignore[union-attr]
    assert list(last.replies) == ["men", "north"]
    assert last.replies["men"].counts["sex"]["f"] == (0, 0, 0, 0)
    tn, fp, fn, tp = np.sum(
        [sum(np.array(each.counts["sex"][level]) for level in "fm") for each in last.replies.values()], axis=0
    )
    held = sum(round(0.15 * len(each.labels)) for each in sites.values() if each.labels is not None)
    assert tn + fp + fn + tp == held
    assert last.values["accuracy"] == pytest.approx((tn + tp) / held)
    gaps = []
    for name, levels in last.replies["men"].counts.items():
        rates = [_positive([each.counts[name][level] for each in last.replies.values()]) for level in levels]
        gaps.append(max(rates) - min(rates))
    assert last.values["demographic_parity_difference"] == pytest.approx(max(gaps), abs=1e-12)


def _positive(fours: list[tuple[int, int, int, int]]) -> float:
    _, fp, _, tp = np.sum(fours, axis=0)
    return float((fp + tp) / np.sum(fours))


def test_sites_may_come_from_a_column_and_have_its_names(network: nn.Module, grouped: Data, quick: Federated) -> None:
    trained = fit_federated(network, grouped, federated=replace(quick, partition="column", column="clinic"))
    found = trained.ledger.federation
    assert found is not None
    assert [(each.name, each.rows) for each in found.sites] == [("A", 80), ("B", 80), ("C", 80)]
    assert sum(sum(each.classes.values()) for each in found.sites) == 240
    with pytest.raises(InputError, match="there is no column 'ward'"):
        fit_federated(network, grouped, federated=replace(quick, partition="column", column="ward"))


def test_each_round_is_an_epoch_and_bytes_are_counted(network: nn.Module, some: Some, quick: Federated) -> None:
    heard: list[Moment] = []

    class Listening:
        def step(self, moment: Moment) -> None:
            heard.append(moment)

    trained = fit_federated(network, some(), federated=replace(quick, share=0.5), watch=Listening())
    found, size = trained.ledger.federation, sum(len(each) for each in weights(network))
    assert found is not None
    assert [(each.step, each.steps) for each in heard] == [(1, 3), (2, 3), (3, 3)]
    assert [each.number for each in trained.ledger.epochs] == [1, 2, 3]
    assert [each.validation_loss for each in trained.ledger.epochs] == [each.loss for each in found.rounds]
    assert trained.ledger.epochs[-1].loss < trained.ledger.epochs[0].loss
    assert all(each.bytes_down == (2 + 4) * size for each in found.rounds)  # two learn, all four evaluate
    assert all(0 < each.bytes_up - 2 * size < 500 for each in found.rounds)
    assert all(sum(r.examples > 0 for r in each.replies.values()) == 2 for each in found.rounds)


def test_a_site_alone_is_measured_on_the_rows_it_held_back(network: nn.Module, some: Some, quick: Federated) -> None:
    rng = np.random.default_rng(0)
    odd = rng.normal(size=(80, 6)).astype(np.float32), rng.integers(0, 2, 80)  # one site whose labels are noise
    sites = [some(80, 1), some(80, 2), odd]
    settings = replace(quick, rounds=12, alone=True)
    found = fit_federated(network, sites, federated=settings, settings=Fit(learning_rate=0.02)).ledger.federation
    assert found is not None
    good = [each for each in found.sites if each.name != "site 3"]
    assert all(each.alone is not None and each.alone > 0.8 for each in good)
    assert found.sites[2].together is not None
    assert found.sites[2].together < 0.8
    last = found.rounds[-1].replies
    assert [each.together for each in found.sites] == [last[each.name].accuracy for each in found.sites]


def test_contributions_sum_to_what_the_training_gained(network: nn.Module, some: Some, quick: Federated) -> None:
    settings = replace(quick, contributions=True)
    sites = [some(80, seed) for seed in range(4)]
    trained = fit_federated(network, sites, federated=settings, settings=Fit(learning_rate=0.01, validation=0.25))
    found = trained.ledger.federation
    assert found is not None
    held = [split(strata(y, {}), 0.25, 0).held for _, y in sites]
    X = torch.from_numpy(np.concatenate([X[each] for (X, _), each in zip(sites, held, strict=True)]))
    y = np.concatenate([y[each] for (_, y), each in zip(sites, held, strict=True)])
    with torch.no_grad():
        before, after = (float((module(X).argmax(1).numpy() == y).mean()) for module in (network, trained.model))
    values = [each.contribution for each in found.sites]
    assert sum(each for each in values if each is not None) == pytest.approx(after - before, abs=1e-9)


KINDS = ("binary", "several", "regression", "multilabel", "image", "sequence", "text")


class Bag(nn.Module):
    """The mean of what stands for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Embedding(10, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.each(tokens).mean(dim=1)  # type: ignore[no-any-return]


def rows_of_kinds() -> dict[str, tuple[nn.Module, Pair]]:
    """Rows of each kind whose label hangs on their inputs, and a network that takes them."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(160, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    images = np.repeat(X[:, :1], 25, axis=1).reshape(-1, 1, 5, 5) + 0.1 * rng.normal(size=(160, 1, 5, 5))
    steps = np.repeat(X[:, None, :1], 4, axis=1)
    steps[::3, 3:] = np.nan
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    return {
        "binary": (nn.Linear(6, 1), (X, y)),
        "several": (nn.Linear(6, 3), (X, np.digitize(X[:, 0], [-0.5, 0.5]))),
        "regression": (nn.Linear(6, 1), (X, X[:, 0] - X[:, 1])),
        "multilabel": (nn.Linear(6, 2), (X, (X[:, :2] > 0).astype(np.int64))),
        "image": (network, (images.astype(np.float32), y)),
        "sequence": (build(Network("recurrent", {"inputs": 1, "hidden": 8, "outputs": 2})), (steps, y)),
        "text": (Bag(), (rng.integers(0, 5, (160, 4)) + 5 * y[:, None], y)),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rows_can_be_learned_from(quick: Federated, kind: str) -> None:
    torch.manual_seed(0)
    network, data = rows_of_kinds()[kind]
    settings = Fit(learning_rate=0.1, batch_size=8)
    trained = fit_federated(network, data, federated=replace(quick, rounds=8, alone=True), settings=settings)
    found = trained.ledger.federation
    assert found is not None
    last = found.rounds[-1]
    assert trained.ledger.epochs[-1].loss < trained.ledger.epochs[0].loss
    assert (last.values.get("accuracy") is None) == (kind == "regression")
    assert all(each.together is not None and each.together > 0.5 for each in found.sites)
    assert all(each.alone is not None for each in found.sites)
    assert any("averaged" in each for each in trained.ledger.warnings) == (kind == "image")


def test_no_connection_is_tried(
    network: nn.Module, some: Some, quick: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trapped(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, trapped)
    monkeypatch.setattr(socket, "getaddrinfo", trapped)
    trained = fit_federated(network, some(), federated=quick)
    assert trained.ledger.federation is not None


def test_flower_comes_late_silent_and_writes_nothing(tmp_path: Path) -> None:
    program = """
import socket, sys
def trapped(*_, **__): raise SystemExit("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = socket.getaddrinfo = trapped
import rai, rai.train, rai.audits, rai.train.federated
assert "flwr" not in sys.modules and "ray" not in sys.modules
import numpy as np
from torch import nn
X = np.random.default_rng(0).normal(size=(60, 3)); y = (X[:, 0] > 0).astype(int)
rai.train.fit_federated(nn.Linear(3, 2), (X, y), clients=3, rounds=2)
assert "flwr" in sys.modules and "ray" not in sys.modules
"""
    own = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", program], env=own, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [each for each in tmp_path.iterdir() if "torchinductor" not in each.name] == []  # that one is torch's


def test_stopping_leaves_nothing_behind(network: nn.Module, some: Some, quick: Federated) -> None:
    import logging

    from flwr.supercore.task_identity import TaskIdentity

    class Stopping:
        def step(self, moment: Moment) -> None:
            if moment.step == 2:
                raise KeyboardInterrupt

    level, state = logging.getLogger("flwr").level, random.getstate()
    with pytest.raises(KeyboardInterrupt):
        fit_federated(network, some(), federated=quick, watch=Stopping())
    assert logging.getLogger("flwr").level == level
    assert random.getstate() == state
    assert TaskIdentity._run_id is None


def test_a_common_state_of_another_network_is_named(network: nn.Module) -> None:
    with pytest.raises(InputError, match="shape"):
        load(network, {name: np.zeros(1) for name in network.state_dict()})
    with pytest.raises(InputError, match="differ in"):
        load(network, {})
