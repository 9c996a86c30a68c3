"""Which way of clipping is chosen, and that a way which counts wrongly never is."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.errors import InputError
from rai.networks.mlp import mlp
from rai.train.batches import Batch
from rai.train.private import clipped
from rai.train.private.clipped import chosen
from rai.train.private.clipped_sum import ClippedSum, Losses
from rai.train.private.gradients_book_keeping import book_keeping
from rai.train.private.gradients_loop import loop


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def batch(rows: int = 5) -> Batch:
    return Batch(torch.randn(rows, 3, generator=torch.Generator().manual_seed(2)), torch.arange(rows) % 2)


def test_the_fastest_way_that_works_is_chosen() -> None:
    found = chosen(mlp(inputs=3, outputs=2, dropout=0.5), losses, batch(), 1.0)
    assert set(found.seconds) == {"book_keeping", "ghost", "hooks"}
    assert found.seconds[found.name] == min(found.seconds.values())
    assert found.clipped is clipped.MODES[found.name]
    assert not found.refused


class Doubled(nn.Module):
    """A layer with its own weight, which our rules do not know."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


def test_a_layer_without_a_rule_falls_back_to_opacus_and_is_named() -> None:
    found = chosen(nn.Sequential(nn.Linear(3, 3), Doubled()), losses, batch(), 1.0)
    assert found.name in {"hooks", "ghost"}
    assert "layer '1' (Doubled)" in found.refused["book_keeping"]


def short_by_half(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum:
    found = book_keeping(module, losses, batch, max_grad_norm)
    return replace(found, norms=found.norms, sums={name: each * 0.5 for name, each in found.sums.items()})


def test_a_way_that_counts_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipped, "MODES", {"book_keeping": short_by_half})
    found = chosen(mlp(inputs=3, outputs=2), losses, batch(), 1.0)
    assert (found.name, found.clipped) == ("loop", loop)
    assert "differs from the explicit loop" in found.refused["book_keeping"]
    with pytest.raises(InputError, match="differs from the explicit loop"):
        chosen(mlp(inputs=3, outputs=2), losses, batch(), 1.0, "book_keeping")


class Steps(nn.Module):
    """Reads the steps of a sequence as if they were rows: right by accident where there are as many of both."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(inputs[:, None] + self.places(torch.arange(5))).sum(1)  # type: ignore[no-any-return]


def test_as_many_rows_as_places_do_not_pass_for_rows() -> None:
    found = chosen(Steps(), losses, batch(5), 1.0)
    assert found.name not in {"book_keeping", "ghost"}
    assert "layer 'places' (Embedding)" in found.refused["book_keeping"]


def test_generator_and_dropout_are_left_as_they_were() -> None:
    module = mlp(inputs=3, outputs=2, dropout=0.5)
    before = torch.get_rng_state()
    chosen(module, losses, batch(), 1.0)
    assert torch.equal(before, torch.get_rng_state())
    assert module[2].p == 0.5


class Together(nn.Module):
    """Cannot answer one row alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(self.layer(inputs))  # type: ignore[no-any-return]


def test_wrong_input_is_refused() -> None:
    module = mlp(inputs=3, outputs=2)
    with pytest.raises(InputError, match="private.gradients: is 'fast'; expected auto or one of"):
        chosen(module, losses, batch(), 1.0, "fast")
    with pytest.raises(InputError, match="no rows"):
        chosen(module, losses, batch(0), 1.0)
    with pytest.raises(InputError, match="fails on one row alone"):
        chosen(Together(), losses, batch(), 1.0)
    with pytest.raises(InputError, match=r"layer '0' \(Doubled\)"):
        chosen(nn.Sequential(Doubled()), losses, batch(), 1.0, "book_keeping")
