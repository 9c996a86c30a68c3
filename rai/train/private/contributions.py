"""What one use of a layer adds to each row's gradient, in the form that is cheapest to measure, scale and add up."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rai.train.private.tape import Contribution, learns

FLOPS_A_NUMBER = 8
"""Roughly how many multiplications take as long as writing a number to memory and reading it twice."""


def squared_lengths(rows: Tensor) -> Tensor:
    """The squared length of each row, (rows,)."""
    return torch.linalg.vecdot(rows, rows)  # type: ignore[no-any-return]


class PerRow(NamedTuple):
    """Each row's gradient held outright: `gradients` maps a parameter to (rows, *its shape)."""

    gradients: Mapping[Tensor, Tensor]

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        return torch.stack([squared_lengths(each.flatten(1)) for each in self.gradients.values()]).sum(0)

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        return {known: (scale @ each.flatten(1)).view_as(known) for known, each in self.gradients.items()}

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, *the parameter's shape)."""
        return self.gradients


class Affine(NamedTuple):
    """The weight and bias of y = W x + b, either of which may be missing or frozen."""

    weight: Tensor
    bias: Tensor | None

    def learning(self) -> tuple[bool, bool]:
        """Whether the weight, and whether the bias is trained."""
        return learns(self.weight), learns(self.bias)


class Outer(NamedTuple):
    """One position a row: the weight's gradient is the outer product of gradient (rows, out) and input (rows, in).

    So its squared length is the product of both squared lengths, and the bias adds the gradient's own.
    Source: Goodfellow 2015 (arXiv:1510.01799).
    """

    affine: Affine
    inputs: Tensor
    gradient: Tensor

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        weight, bias = self.affine.learning()
        lengths = squared_lengths(self.gradient)
        if not weight:
            return lengths
        read = squared_lengths(self.inputs)
        return torch.addcmul(lengths, lengths, read) if bias else lengths * read

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        weight, bias = self.affine.learning()
        found: dict[Tensor, Tensor] = {}
        scaled = self.gradient.T * scale
        if weight:
            found[self.affine.weight] = (scaled @ self.inputs).view_as(self.affine.weight)
        if bias and self.affine.bias is not None:
            found[self.affine.bias] = scaled.sum(1)
        return found

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, *the parameter's shape)."""
        return positions(self.affine, self.inputs[:, None], self.gradient[:, None])


class Ghost(NamedTuple):
    """Several positions a row, whose weight gradient is never held: ‖Σ gₜ aₜᵀ‖² = Σₛₜ (gₛ·gₜ)(aₛ·aₜ).

    `inputs` (rows, positions, in) and `gradient` (rows, positions, out). Source: Li et al. 2022 (arXiv:2110.05679).
    """

    affine: Affine
    inputs: Tensor
    gradient: Tensor

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        alike = self.inputs @ self.inputs.mT
        if learns(self.affine.bias):
            alike += 1.0
        return ((self.gradient @ self.gradient.mT) * alike).sum((1, 2)).clamp(min=0.0)

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        scaled = (self.gradient * scale[:, None, None]).flatten(0, 1)
        found = {self.affine.weight: (scaled.T @ self.inputs.flatten(0, 1)).view_as(self.affine.weight)}
        if self.affine.bias is not None and learns(self.affine.bias):
            found[self.affine.bias] = scaled.sum(0)
        return found

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, *the parameter's shape)."""
        return positions(self.affine, self.inputs, self.gradient)


def positions(affine: Affine, inputs: Tensor, gradient: Tensor) -> dict[Tensor, Tensor]:
    """Each row's gradient of weight and bias, summed over its positions: (rows, positions, in) and (…, out)."""
    weight, bias = affine.learning()
    found: dict[Tensor, Tensor] = {}
    if weight:
        found[affine.weight] = (gradient.mT @ inputs).view(-1, *affine.weight.shape)
    if bias and affine.bias is not None:
        found[affine.bias] = gradient.sum(1)
    return found


def of_affine(affine: Affine, inputs: Tensor, gradient: Tensor) -> Contribution:
    """The contribution of y = W x + b at any number of positions, in the form that should take least time.

    `inputs` (rows, …, in) and `gradient` (rows, …, out).
    """
    if gradient.dim() == 2:
        return Outer(affine, inputs, gradient)
    read, told = inputs.flatten(1, -2), gradient.flatten(1, -2)
    count, known, answers = read.shape[1], read.shape[2], told.shape[2]
    if count == 1:
        return Outer(affine, read[:, 0], told[:, 0])
    cheaper = count * count * (known + answers) < FLOPS_A_NUMBER * known * answers
    if learns(affine.weight) and cheaper:
        return Ghost(affine, read, told)
    return PerRow(positions(affine, read, told))
