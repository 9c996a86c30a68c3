"""Sites that learn at the same time end where each would by itself, and where that cannot be, the reason is told."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rai.errors import InputError
from rai.networks.cnn import cnn
from rai.networks.recurrent import recurrent
from rai.networks.transformer import transformer
from rai.train.batches import Rows
from rai.train.federated import vmap
from rai.train.federated.site import Task, arrays_of, learned
from rai.train.federated.vmap import learned_together
from rai.train.settings import Fit

CLOSE = 1e-6
FIT = Fit(optimizer="sgd", learning_rate=0.1, batch_size=8)


def mlp(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, outputs))


def site(size, seed, task="multiclass", outputs=2):
    rng = np.random.default_rng([7, seed])
    X = torch.tensor(rng.normal(size=(size, 5)) + rng.normal(size=5), dtype=torch.float32)
    if task == "multiclass":
        return Rows(X, torch.tensor(rng.integers(outputs, size=size)), task)
    kind = rng.normal(size=(size, outputs)) if task == "regression" else rng.integers(2, size=(size, outputs))
    return Rows(X, torch.tensor(kind.squeeze(1) if outputs == 1 else kind, dtype=torch.float32), task)


def double(rows):
    return replace(rows, inputs=rows.inputs.double())


def tasks_for(module, count, fit=FIT, **given):
    first = Task(arrays_of(module), **{"round": 1, "seed": 3, "fit": fit, "epochs": 1, **given})
    return [replace(first, site=place) for place in range(count)]


def require_same(module, rows, tasks):
    """The twin: one site after another."""
    found = learned_together(module, rows, tasks)
    assert not isinstance(found, str), found
    for together, own, task in zip(found, rows, tasks, strict=True):
        alone = learned(module, own, task)
        assert together.examples == alone.examples == len(own)
        assert together.loss == pytest.approx(alone.loss, abs=CLOSE)
        assert together.norm == pytest.approx(alone.norm, abs=CLOSE)
        assert together.arrays.keys() == alone.arrays.keys()
        for name, each in alone.arrays.items():
            assert together.arrays[name].dtype == each.dtype
            np.testing.assert_allclose(together.arrays[name], each, rtol=0, atol=CLOSE)
        assert alone.norm > 0


SIZES = (24, 8, 3, 17, 30, 1, 25)
"""Whole batches, one batch, less than one, a last row that joins the batch before, a last batch that is short."""


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_every_optimizer_with_sites_of_unequal_size(optimizer):
    fit = replace(FIT, optimizer=optimizer, learning_rate=0.01, weight_decay=0.05)
    module = mlp()
    require_same(module, [site(size, k) for k, size in enumerate(SIZES)], tasks_for(module, len(SIZES), fit, epochs=2))


@pytest.mark.parametrize(
    ("fit", "given"),
    [
        (FIT, {"proximal": 0.5, "epochs": 3}),
        (replace(FIT, momentum=0.0), {}),
        (replace(FIT, l1=0.01, max_grad_norm=0.3), {"proximal": 0.1}),
        (replace(FIT, schedule="cosine", warmup=3), {"epochs": 2, "round": 2, "rounds": 4}),
        (replace(FIT, schedule="step", step_size=1, gamma=0.5), {"epochs": 3, "round": 2, "rounds": 2}),
        (replace(FIT, freeze=("0.",)), {"round": 5, "rounds": 3}),
    ],
    ids=["proximal", "no momentum", "l1 and length", "cosine", "step", "frozen"],
)
def test_every_setting_that_moves_weights(fit, given):
    module = mlp()
    require_same(module, [site(size, k) for k, size in enumerate(SIZES)], tasks_for(module, len(SIZES), fit, **given))


@pytest.mark.parametrize(
    ("task", "outputs"), [("binary", 1), ("multiclass", 3), ("multilabel", 3), ("regression", 1), ("regression", 2)]
)
def test_every_task(task, outputs):
    module = mlp(outputs)
    rows = [site(size, k, task, outputs) for k, size in enumerate(SIZES)]
    require_same(module, rows, tasks_for(module, len(SIZES)))


def test_a_network_of_another_kind_of_number():
    module = mlp().double()
    require_same(module, [double(site(20, 0)), double(site(9, 1))], tasks_for(module, 2))


def test_one_weight_under_two_names():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)
            self.second.weight = self.first.weight
            self.register_buffer("scale", torch.full((5,), 0.5))

        def forward(self, inputs):
            return self.second(torch.tanh(self.first(inputs * self.scale)))

    torch.manual_seed(0)
    module = Tied()
    require_same(module, [site(size, k, outputs=5) for k, size in enumerate((12, 20))], tasks_for(module, 2))


def images(size, seed):
    rng = np.random.default_rng([8, seed])
    return Rows(
        torch.tensor(rng.normal(size=(size, 1, 8, 8)), dtype=torch.float32),
        torch.tensor(rng.integers(2, size=size)),
        "multiclass",
    )


def sequences(size, seed):
    rng = np.random.default_rng([9, seed])
    X = torch.tensor(rng.normal(size=(size, 6, 3)), dtype=torch.float32)
    return Rows(X, torch.tensor(rng.integers(2, size=size)), "multiclass")


def tokens(size, seed):
    rng = np.random.default_rng([9, seed])
    return Rows(
        torch.tensor(rng.integers(1, 9, size=(size, 6))), torch.tensor(rng.integers(2, size=size)), "multiclass"
    )


def test_tokens():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 2))
    require_same(module, [tokens(size, k) for k, size in enumerate((12, 9, 20))], tasks_for(module, 3))


def test_images():
    torch.manual_seed(0)
    module = cnn(inputs=1, size=(8, 8), outputs=2, channels=(3, 4))
    require_same(module, [images(size, k) for k, size in enumerate((12, 9, 20))], tasks_for(module, 3))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_memory_is_bounded_and_parts_give_the_same(count, monkeypatch):
    module, seen, made = mlp(), [], vmap.stacked
    rows, tasks = [site(20, k) for k in range(7)], tasks_for(module, 7)
    monkeypatch.setattr(vmap, "MOST_NUMBERS", count * vmap.numbers_of(module, rows[0], FIT))
    monkeypatch.setattr(vmap, "stacked", lambda *args, **words: seen.append(words["sites"]) or made(*args, **words))
    require_same(module, rows, tasks)
    assert max(seen) == count
    assert sum(seen) == 7


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), size=st.integers(1, 12), epochs=st.integers(1, 2))
def test_any_sizes_and_batches(sizes, size, epochs):
    module = mlp().double()  # small batches at a high rate make much of rounding
    rows = [double(site(each, k)) for k, each in enumerate(sizes)]
    require_same(module, rows, tasks_for(module, len(sizes), replace(FIT, batch_size=size), epochs=epochs))


def test_a_site_whose_loss_is_lost_gets_an_error_and_no_other_site_hears_of_it():
    module = mlp()
    rows = [site(20, 0), site(20, 1), site(30, 2)]
    wild = [rows[0], replace(rows[1], inputs=rows[1].inputs * 1e38), rows[2]]
    tasks = tasks_for(module, 3)
    found = learned_together(module, wild, tasks)
    assert isinstance(found[1], InputError)
    assert "no number" in str(found[1])
    with pytest.raises(InputError, match="no number"):
        learned(module, wild[1], tasks[1])
    for place in (0, 2):
        alone = learned(module, rows[place], tasks[place])
        for name, each in alone.arrays.items():
            np.testing.assert_allclose(found[place].arrays[name], each, rtol=0, atol=CLOSE)


def test_draws_hang_on_the_site_and_the_order_of_sites_changes_nothing():
    module = mlp()
    rows, tasks = [site(size, 0) for size in SIZES], tasks_for(module, len(SIZES))
    forth, back = learned_together(module, rows, tasks), learned_together(module, rows[::-1], tasks[::-1])
    for one, other in zip(forth, back[::-1], strict=True):
        assert one.loss == other.loss
        np.testing.assert_array_equal(one.arrays["0.weight"], other.arrays["0.weight"])
    same = learned_together(module, [rows[0]] * 2, tasks[:2])
    assert not np.array_equal(same[0].arrays["0.weight"], same[1].arrays["0.weight"])


def test_the_draws_of_the_caller_go_on():
    module = mlp()
    torch.manual_seed(5)
    undisturbed = torch.rand(2)
    torch.manual_seed(5)
    learned_together(module, [site(9, 0)], tasks_for(module, 1))
    assert torch.equal(torch.rand(2), undisturbed)


class Centred(nn.Module):
    """Looks at the other rows of a batch."""

    def forward(self, inputs):
        return inputs - inputs.mean(dim=0)


class Counting(nn.Module):
    """Remembers how often it was called."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, inputs):
        self.calls += 1
        return inputs


class Idle(nn.Module):
    """Has a weight that nothing reaches; weight decay would move it here, and does not in a site by itself."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return inputs


class Branching(nn.Module):
    """Decides by what it sees."""

    def forward(self, inputs):
        return inputs if float(inputs.sum()) > 0 else -inputs


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: nn.BatchNorm1d(5), "mixes the rows"),
        (lambda: nn.Dropout(0.5), "cannot compute"),
        (Centred, "hangs on the other rows"),
        (Counting, "buffer|cannot compute"),
        (Idle, "does not reach 0.idle"),
        (Branching, "cannot compute"),
    ],
)
def test_a_network_that_cannot_be_batched_gives_the_reason_and_is_left_as_it_was(layer, reason):
    torch.manual_seed(0)
    module = nn.Sequential(layer(), nn.Linear(5, 2))
    before = arrays_of(module)
    found = learned_together(module, [site(12, 0), site(12, 1)], tasks_for(module, 2))
    assert isinstance(found, str)
    assert re.search(reason, found), found
    for name, each in arrays_of(module).items():
        np.testing.assert_array_equal(each, before[name])


@pytest.mark.parametrize(
    "network",
    [
        lambda: recurrent(inputs=3, outputs=2, hidden=4, kind="gru"),
        lambda: transformer(inputs=3, outputs=2, width=8, heads=2, layers=1, feedforward=8, dropout=0.0, length=6),
    ],
)
def test_sequences_give_the_reason(network):
    torch.manual_seed(0)
    module = network()
    found = learned_together(module, [sequences(9, 0), sequences(20, 1)], tasks_for(module, 2))
    assert found == "torch would compute this network for one site after another"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tasks: [tasks[0], replace(tasks[1], proximal=1.0)], "proximal"),
        (lambda tasks: [tasks[0], replace(tasks[1], epochs=2)], "epochs"),
        (lambda tasks: [tasks[0], replace(tasks[1], state={n: v + 1 for n, v in tasks[1].state.items()})], "weights"),
        (lambda tasks: [replace(each, fit=replace(FIT, class_weight="balanced")) for each in tasks], "class_weight"),
        (lambda tasks: [replace(each, fit=replace(FIT, augment=("noise",))) for each in tasks], "augment"),
    ],
)
def test_tasks_that_do_not_go_together_give_the_reason(change, reason):
    module = mlp()
    found = learned_together(module, [site(9, 0), site(9, 1)], change(tasks_for(module, 2)))
    assert isinstance(found, str)
    assert reason in found


def test_rows_that_do_not_go_together_give_the_reason():
    module = mlp()
    assert "kind" in learned_together(module, [site(9, 0), double(site(9, 1))], tasks_for(module, 2))
    none = site(9, 1).take(torch.zeros(0, dtype=torch.int64))
    assert "no rows" in learned_together(module, [site(9, 0), none], tasks_for(module, 2))


def test_no_sites():
    assert learned_together(mlp(), [], []) == []
