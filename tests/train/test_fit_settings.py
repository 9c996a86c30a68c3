"""What the settings of a training promise, held against slow twins and against torch's and sklearn's own."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR, StepLR

from rai import train
from rai.errors import InputError
from rai.networks import mlp
from rai.train.losses import balanced, losses
from rai.train.optimisers import rate_of
from rai.train.settings import Fit
from rai.train.setup import initialize

RNG = np.random.default_rng(5)


def network(**more):
    torch.manual_seed(1)
    return mlp.mlp(**{"inputs": 2, "outputs": 1, "hidden": (8,), **more})


def bits(module):
    return {name: each.numpy().tobytes() for name, each in module.state_dict().items()}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_balanced_weights_are_those_of_sklearn(task):
    labels = RNG.integers(0, 2 if task == "binary" else 4, size=50)
    labels[:20] = 0
    known = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    np.testing.assert_allclose(balanced(task, torch.tensor(labels)), known, rtol=1e-6)


def test_balanced_weights_of_several_labels_are_those_of_each_alone():
    labels = (RNG.random((60, 3)) < [0.1, 0.5, 0.8]).astype(np.float32)
    known = [compute_class_weight("balanced", classes=np.arange(2), y=column) for column in labels.T]
    np.testing.assert_allclose(balanced("multilabel", torch.tensor(labels)), np.transpose(known), rtol=1e-6)


def test_losses_are_those_of_an_explicit_loop():
    logits, labels = RNG.normal(size=(6, 3)), RNG.integers(0, 3, size=6)
    weights = np.array([0.5, 2.0, 1.0])
    slow = [-weights[k] * np.log(np.exp(z[k]) / np.exp(z).sum()) for z, k in zip(logits, labels, strict=True)]
    found = losses("multiclass", torch.tensor(logits), torch.tensor(labels), torch.tensor(weights))
    np.testing.assert_allclose(found, slow)
    several, per_label = RNG.integers(0, 2, size=(6, 3)), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    chances = 1 / (1 + np.exp(-logits))
    each = -np.where(several, np.log(chances) * per_label[1], np.log(1 - chances) * per_label[0])
    pair = torch.tensor(several, dtype=torch.float64), torch.tensor(per_label)
    np.testing.assert_allclose(losses("multilabel", torch.tensor(logits), *pair), each.mean(axis=1))
    np.testing.assert_allclose(losses("binary", torch.tensor(logits[:, :1]), pair[0][:, 0], pair[1][:, 0]), each[:, 0])
    squares = losses("regression", torch.tensor(logits), torch.tensor(chances))
    np.testing.assert_allclose(squares, ((logits - chances) ** 2).mean(axis=1))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_no_rows_have_no_losses(task):
    targets = torch.zeros((0, 3) if task == "multilabel" else 0, dtype=torch.int64 if task == "multiclass" else None)
    outputs = torch.zeros(0, 1 if task in {"binary", "regression"} else 3)
    assert losses(task, outputs, targets).shape == (0,)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
@pytest.mark.parametrize("warmup", [0, 7])
def test_rates_are_those_of_torch(schedule, warmup):
    settings = Fit(learning_rate=0.3, schedule=schedule, warmup=warmup, step_size=2, gamma=0.5)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    after = {
        "constant": lambda: StepLR(optimizer, 10_000),
        "step": lambda: StepLR(optimizer, 2 * 5, gamma=0.5),
        "cosine": lambda: CosineAnnealingLR(optimizer, 40 - warmup),
    }[schedule]()
    rise = [LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)] if warmup else []
    known = SequentialLR(optimizer, [*rise, after], [warmup]) if warmup else after
    rate = rate_of(settings, per_epoch=5, steps=40)
    for step in range(40):
        shift = (
            0 if schedule != "step" else warmup
        )  # torch counts epochs from the end of the warm-up, we from the start
        if step < warmup or step % 10 >= shift:
            assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        known.step()
    assert rate(39) > 0


def test_a_run_uses_the_rates_it_says(squares):
    seen = []
    settings = Fit(epochs=4, batch_size=100, validation=0.0, optimizer="sgd", momentum=0.0, schedule="cosine", warmup=3)
    weight = torch.zeros(1)

    def gradients(module, batch):
        for each in module.parameters():
            each.grad = torch.ones_like(each)
        seen.append(next(module.parameters()).flatten()[0].item())
        return torch.zeros(len(batch))

    train.fit(network(), squares, settings=settings, gradients=gradients)
    rate = rate_of(settings, per_epoch=4, steps=16)
    moved = -np.diff(seen)
    np.testing.assert_allclose(moved, [rate(step) for step in range(15)], atol=1e-6)
    assert weight.item() == 0


def test_the_loss_of_an_epoch_is_the_mean_over_its_own_rows(squares, quick):
    told, losses = [], iter(range(1000))
    watch = type("Watch", (), {"step": lambda _, moment: told.append(moment)})()

    def gradients(_module, batch):
        return torch.full((len(batch),), float(next(losses)))

    found = train.fit(network(), squares, settings=replace(quick, batch_size=200), gradients=gradients, watch=watch)
    each = [(200 * 2 * epoch + 140 * (2 * epoch + 1)) / 340 for epoch in range(3)]
    assert [epoch.loss for epoch in found.ledger.epochs] == pytest.approx(each)
    assert [moment.loss for moment in told[1::2]] == pytest.approx(each)
    assert [(moment.step, moment.epoch) for moment in told] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]


def test_max_grad_norm_bounds_each_step(squares):
    settings = Fit(epochs=1, batch_size=500, validation=0.0, optimizer="sgd", momentum=0.0, learning_rate=1.0)
    lengths = []
    for bound in (None, 0.01):
        before = network()
        found = train.fit(before, squares, settings=replace(settings, max_grad_norm=bound)).model
        pairs = zip(before.parameters(), found.parameters(), strict=True)
        lengths.append(torch.cat([(a - b).flatten() for a, b in pairs]).norm().item())
    assert lengths[0] > 0.02
    assert lengths[1] == pytest.approx(0.01, rel=1e-3)


def test_frozen_parameters_stay_and_later_learn(squares, quick):
    before = network(norm="batch", hidden=(8, 8))
    kept = ("0.", "1.")
    held = train.fit(before, squares, settings=replace(quick, freeze=kept, weight_decay=0.1, l1=0.1)).model
    thawed = train.fit(before, squares, settings=replace(quick, freeze=kept, unfreeze_after=2)).model
    for name, value in bits(before).items():
        assert (bits(held)[name] == value) == name.startswith(kept), name
        assert bits(thawed)[name] != value, name
    assert all(each.requires_grad for each in held.parameters())


def test_a_new_head_on_a_trained_body(squares, quick):
    body = train.fit(network(), squares, settings=quick).model
    fresh = train.replace_head(body, 3)
    assert fresh(torch.zeros(4, 2)).shape == (4, 3)
    assert body(torch.zeros(4, 2)).shape == (4, 1)
    assert bits(fresh)["0.weight"] == bits(body)["0.weight"]
    found = train.fit(fresh, (squares[0], RNG.integers(0, 3, 400)), settings=replace(quick, freeze=("0.",))).model
    assert bits(found)["0.weight"] == bits(body)["0.weight"]
    with pytest.raises(InputError, match="no linear layer"):
        train.replace_head(torch.nn.ReLU(), 2)


def test_the_same_seed_gives_the_same_bits_and_the_callers_draws_are_left_alone(squares, quick):
    before = network(dropout=0.3)
    own = copy.deepcopy(before.state_dict())
    torch.manual_seed(77)
    one = train.fit(before, squares, settings=quick)
    drawn = torch.rand(3)
    torch.manual_seed(77)
    assert torch.equal(drawn, torch.rand(3))
    torch.manual_seed(12)
    assert bits(train.fit(before, squares, settings=quick).model) == bits(one.model)
    assert bits(train.fit(before, squares, settings=replace(quick, seed=1)).model) != bits(one.model)
    assert all(torch.equal(own[name], each) for name, each in before.state_dict().items())


def test_who_looks_on_does_not_change_the_model(squares, quick):
    def curious(module, epoch):
        module(torch.randn(5, 2)).sum().backward()
        return {"drawn": float(torch.rand(1)), "number": epoch.number}

    before = network(dropout=0.3)
    alone, watched = (train.fit(before, squares, settings=quick, after_epoch=each) for each in (None, curious))
    assert bits(alone.model) == bits(watched.model)
    assert [each.metrics["number"] for each in watched.ledger.epochs] == [1, 2, 3]


def test_early_stopping_keeps_the_best_weights():
    X = RNG.normal(size=(60, 10)).astype(np.float32)
    y = RNG.integers(0, 2, size=60)  # noise: what is learned here helps nowhere
    settings = Fit(epochs=200, learning_rate=0.05, early_stopping=4, validation=0.5)
    weights, seen = [], []

    def note(module, epoch):
        weights.append(bits(module))
        seen.append(epoch.validation_loss)
        return {}

    found = train.fit(network(inputs=10, hidden=(32,)), (X, y), settings=settings, after_epoch=note)
    best = int(np.argmin(seen))
    assert len(seen) == best + 1 + 4 < 200
    assert bits(found.model) == weights[best] != weights[-1]
    assert found.ledger.epochs[best].validation_loss == min(seen)


@pytest.mark.parametrize(("how", "spread"), [("xavier", (2 / (400 + 300)) ** 0.5), ("he", (2 / 400) ** 0.5)])
def test_first_weights_have_the_spread_of_the_paper(how, spread):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(400, 300), torch.nn.LayerNorm(300))
    initialize(module, how)
    assert module[0].weight.std().item() == pytest.approx(spread, rel=0.01)
    assert not module[0].bias.any()
    assert module[1].weight.eq(1).all()


def test_the_ledger_accounts_for_the_run(squares, quick):
    found = train.fit(network(), squares, settings=quick, made="2026-01-02").ledger
    assert found.made == "2026-01-02"
    assert (found.split, found.parameters) == ({"train": 340, "validation": 60}, 33)
    assert found.flops == 3 * 3 * 340 * 2 * (2 * 8 + 8)  # passes, epochs, rows, and two for each of the weights
    assert found.recipe["batch_size"] == 50
    assert [each.number for each in found.epochs] == [1, 2, 3]
    assert {"python", "torch", "numpy", "rai"} == set(found.versions)
    assert found.cpu_seconds > 0
    assert found.data.rows == 400


def test_operations_that_cannot_be_counted_are_none_with_a_warning(squares, quick):
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

        def forward(self, inputs):
            return (inputs * self.weight).sum(dim=1)

    found = train.fit(Own(), squares, settings=quick).ledger
    assert found.flops is None
    assert "could not be counted" in found.warnings[0]
