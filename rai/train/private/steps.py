"""One private step: draw units, clip what each would change, add up, add noise, divide by a public number."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from rai.train.batches import Batch
from rai.train.losses import Loss
from rai.train.private.clipped_sum import Clipped, ClippedSum, coefficients, losses_of, of_no_rows, trainable
from rai.train.private.noise import LOSS_NOISE, add_noise, gradient_multiplier, set_gradients
from rai.train.private.sampling import Units, poisson, secret, sizes_of
from rai.train.settings import Private

LARGEST_LOSS = 4.0
"""A row's loss counts at most this much in the noisy curve of losses."""


@dataclass
class Curve:
    """The noisy sum of losses since the last reading; each loss counts between -4 and 4."""

    total: float = 0.0
    steps: int = 0

    def read(self, expected_batch: float) -> float:
        """Return the noisy mean loss since the last reading, and begin anew."""
        found = self.total / (expected_batch * max(1, self.steps))
        self.total, self.steps = 0.0, 0
        return found


@dataclass
class Steps:
    """Draws batches and turns them into noisy gradients; hand `draw` and `gradients` to the loop.

    Both random generators come from the operating system when this is made; they are written nowhere. `sizes` remembers
    how many rows each drawn unit has, from a draw to its gradients.
    """

    units: Units
    promise: Private
    noise_multiplier: float
    loss: Loss
    clipped: Clipped
    curve: Curve = field(default_factory=Curve)
    coins: np.random.Generator = field(default_factory=secret)
    noise: np.random.Generator = field(default_factory=secret)
    sizes: list[int] = field(default_factory=list)

    def draw(self, _step: int) -> Tensor:
        """Return the positions of the rows of a step: all rows of every unit whose coin fell so."""
        drawn = poisson(self.units.count, self.promise.sample_rate, self.coins)
        if self.units.members is None:
            return drawn
        members = [self.units.members[unit] for unit in drawn.tolist()]
        self.sizes = [len(each) for each in members]
        return torch.cat(members) if members else drawn

    def gradients(self, module: nn.Module, batch: Batch) -> Tensor:
        """Set every trainable parameter's gradient to (clipped sum + noise) / expected batch; return losses (rows,)."""
        found = self._clipped_sum(module, batch)
        limit, each = self.promise.max_grad_norm, gradient_multiplier(self.noise_multiplier)
        batch_size = self.promise.expected_batch
        set_gradients(module, add_noise(found.sums, each * limit, self.noise, expected_batch=batch_size))
        spread = each * LOSS_NOISE * LARGEST_LOSS
        self.curve.total += self._shown(found.losses) + float(self.noise.normal(0.0, spread))
        self.curve.steps += 1
        return found.losses

    def _clipped_sum(self, module: nn.Module, batch: Batch) -> ClippedSum:
        if not len(batch):
            return of_no_rows(module, batch)
        if self.units.members is not None:
            return by_group(module, self.loss, list(_cut(batch, self.sizes)), self.promise)
        most, limit = self.promise.physical_batch, self.promise.max_grad_norm
        parts = _cut(batch, sizes_of(len(batch), most))
        return _added([self.clipped(module, self.loss, part, limit) for part in parts])

    def _shown(self, losses: Tensor) -> float:
        """What the units' losses add to the curve, no unit more than the largest loss."""
        if self.units.members is None:
            return float(losses.clamp(-LARGEST_LOSS, LARGEST_LOSS).sum())
        means = (
            [each.mean().clamp(-LARGEST_LOSS, LARGEST_LOSS) for each in torch.split(losses, self.sizes)]
            if len(losses)
            else []
        )
        return float(sum(means))


def by_group(module: nn.Module, loss: Loss, groups: list[Batch], promise: Private) -> ClippedSum:
    """The clipped sum where a unit is a group of rows: each group's summed gradient is clipped as a whole.

    One backward pass a group and `physical_batch` rows, so it is slow and plain. `norms` has one number a group.
    """
    named = trainable(module)
    sums, norms, losses = {name: torch.zeros_like(each) for name, each in named.items()}, [], []
    for group in groups:
        found, gradient = _gradient(module, loss, group, promise.physical_batch)
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(each) for each in gradient]))
        scale = coefficients(norm[None], promise.max_grad_norm)[0]
        for total, more in zip(sums.values(), gradient, strict=True):
            total.add_(more * scale)
        norms.append(norm)
        losses.append(found)
    return ClippedSum(sums, torch.cat(losses), torch.stack(norms))


def _gradient(module: nn.Module, loss: Loss, group: Batch, most: int) -> tuple[Tensor, list[Tensor]]:
    """Losses of a group's rows, and the gradient of their sum."""
    parameters = list(trainable(module).values())
    total, losses = [torch.zeros_like(each) for each in parameters], []
    for part in _cut(group, sizes_of(len(group), most)):
        found = losses_of(module(part.inputs), loss, part)
        each = torch.autograd.grad(found.sum(), parameters, allow_unused=True, materialize_grads=True)
        total = [old + new for old, new in zip(total, each, strict=True)]
        losses.append(found.detach())
    return torch.cat(losses), total


def _cut(batch: Batch, sizes: list[int]) -> Iterator[Batch]:
    for inputs, targets in zip(torch.split(batch.inputs, sizes), torch.split(batch.targets, sizes), strict=True):
        yield Batch(inputs, targets)


def _added(parts: list[ClippedSum]) -> ClippedSum:
    """Clipped sums of parts of a batch as that of the whole."""
    if len(parts) == 1:
        return parts[0]
    sums = {name: torch.stack([each.sums[name] for each in parts]).sum(dim=0) for name in parts[0].sums}
    return ClippedSum(sums, torch.cat([each.losses for each in parts]), torch.cat([each.norms for each in parts]))
