"""Curves: what reaches TensorBoard and Weights & Biases, that nothing reaches the network, and metrics by group."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rai.errors import InputError
from rai.ledger import Epoch
from rai.subject import Groups
from rai.train.batches import Batch
from rai.train.losses import loss_of
from rai.train.monitor import metrics_of, observing
from rai.train.settings import Monitor

LOSS = loss_of("binary")
EPOCH = Epoch(1, 0.5, 0.75, {"accuracy": 0.9, "accuracy/sex=Female": 0.8}, epsilon=1.5)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Any attempt to reach another address is kept and refused."""
    tried: list[Any] = []

    def refuse(_self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no network here")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given: refuse(None, given))  # type: ignore[arg-type]
    yield tried
    assert tried == []


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def batch(rows: int = 32) -> Batch:
    inputs = torch.randn(rows, 4, generator=torch.Generator().manual_seed(1))
    return Batch(inputs, (inputs[:, 0] > 0).float())


def test_tensorboard_holds_what_was_seen_and_told_and_nobody_is_called(no_network: list[Any], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with observing(Monitor(tensorboard=str(tmp_path)), LOSS) as observer:
        look = observer.observe(net(), batch(), 1)
        observer.tell(EPOCH)
        observer.tell(Epoch(2, float("inf")))
    assert look is not None
    events = EventAccumulator(str(tmp_path)).Reload()
    curves = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    told = {"loss": 0.5, "validation loss": 0.75, "epsilon": 1.5, "accuracy": 0.9, "accuracy/sex=Female": 0.8}
    seen = {f"gradient norm/{name}": each.gradient for name, each in look.norms.items()} | {"dead units/1": 0.0}
    assert set(look.norms) == {"0", "2"}
    assert curves == {tag: [(1, pytest.approx(each))] for tag, each in (told | seen).items()}
    drawn = events.Histograms("activations/1")[0].histogram_value
    assert (drawn.num, drawn.min) == (32 * 8, 0.0)
    assert sum(drawn.bucket) == 32 * 8
    assert list(drawn.bucket_limit)[-1] == look.activations["1"].edges[-1] == drawn.max


def test_the_gradients_watched_are_those_of_the_training_loss() -> None:
    module, rows = net(), batch()
    with observing(Monitor(), LOSS) as observer:
        look = observer.observe(module, rows, 3)
    LOSS(module(rows.inputs), rows.targets).mean().backward()
    assert look is not None
    assert look.epoch == 3
    assert isinstance(module[2].bias.grad, torch.Tensor)
    joined = torch.cat([module[2].weight.grad.flatten(), module[2].bias.grad])
    assert look.norms["2"].gradient == pytest.approx(float(joined.norm()), rel=1e-5)


def test_epochs_between_and_batches_of_no_rows_are_passed_over() -> None:
    with observing(Monitor(every=3), LOSS) as observer:
        seen = [observer.observe(net(), batch(), epoch) is not None for epoch in range(1, 7)]
        assert observer.observe(net(), batch(0), 3) is None
    assert seen == [False, False, True, False, False, True]


def test_every_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="monitor.every: is 0; expected"), observing(Monitor(every=0), LOSS):
        pass


def fake(package: dict[str, Any]) -> Any:
    def init(**given: Any) -> Any:
        package["init"] = {**given, "mode in environment": os.environ["WANDB_MODE"]}
        package["log"] = []
        return SimpleNamespace(log=package["log"].append, finish=lambda: package.update(finished=True))

    return SimpleNamespace(init=init, Histogram=lambda np_histogram: np_histogram)


def test_weights_and_biases_stays_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "wandb", fake(package))
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    with observing(Monitor(wandb=str(tmp_path / "curves")), LOSS) as observer:
        look = observer.observe(net(), batch(), 1)
        observer.tell(EPOCH)
    assert look is not None
    folder = str(tmp_path / "curves")
    assert package["init"] == {"project": "rai", "dir": folder, "mode": "offline", "mode in environment": "offline"}
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    merged = {name: value for entry in package["log"] for name, value in entry.items()}
    assert merged["accuracy/sex=Female"] == 0.8
    assert merged["dead units/1"] == 0.0
    counts, edges = merged["activations/0"]
    assert counts.tolist() == list(look.activations["0"].counts)
    assert len(edges) == len(counts) + 1
    assert all(entry["epoch"] == 1 for entry in package["log"])
    assert package["finished"]


@pytest.mark.parametrize(("name", "module"), [("wandb", "wandb"), ("tensorboard", "torch.utils.tensorboard")])
def test_a_missing_package_is_one_clear_line(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught, observing(Monitor(**{name: str(tmp_path / "x")}), LOSS):  # type: ignore[arg-type]
        pass
    assert str(caught.value) == f"monitor.{name}: the package {name} is not installed; pip install {name}"
    assert not (tmp_path / "x").exists()


def test_writers_are_closed_when_training_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "wandb", fake(package))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    with pytest.raises(KeyError), observing(Monitor(wandb=str(tmp_path)), LOSS):
        raise KeyError
    assert package["finished"]


def groups() -> dict[str, Groups]:
    """Six rows a, five b, four c (too few to be shown), and one row nobody knows."""
    codes = np.array([0] * 6 + [1] * 5 + [2] * 4 + [-1])
    return {"team": Groups("team", ("a", "b", "c"), codes)}


def test_metrics_by_group_known_answers() -> None:
    targets = torch.ones(16)
    logits = torch.tensor([1.0] * 3 + [-1.0] * 3 + [2.0] * 4 + [-2.0] + [0.0] * 5)[:, None]
    found = metrics_of("binary", logits, targets, groups())
    assert found == {"accuracy": 12 / 16, "accuracy/team=a": 0.5, "accuracy/team=b": 0.8}
    both = torch.cat([-logits, logits], dim=1)
    both[logits[:, 0] == 0] = torch.tensor([0.0, 1.0])
    assert metrics_of("multiclass", both, targets.long(), groups()) == found
    errors = metrics_of("regression", logits, targets, groups())
    assert errors["absolute error/team=a"] == 1.0
    assert errors["absolute error/team=b"] == pytest.approx((4 * 1 + 3) / 5)
    several = metrics_of("multilabel", torch.cat([logits, -logits], dim=1), torch.ones(16, 2), groups())
    assert several["accuracy/team=a"] == 0.5
    assert several["accuracy"] == pytest.approx((11 * 0.5 + 5 * 1.0) / 16)


def test_no_rows_have_no_metrics() -> None:
    assert metrics_of("binary", torch.zeros(0, 1), torch.zeros(0), {}) == {}
