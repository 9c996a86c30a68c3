"""Rules for layers that see each row by itself: weighted sums, tables of tokens, norms."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.train.private.contributions import Affine, PerRow, of_affine, squared_lengths
from rai.train.private.tape import Contribution, Tape, learns, replaced, stand_in


def linear(tape: Tape, module: nn.Linear, inputs: Tensor) -> Tensor:
    """`nn.Linear` on rows of numbers, or of sequences of them, (rows, …, in)."""
    tape.require_rows(module, inputs)
    return affine(tape, inputs, module.weight, module.bias)


def affine(tape: Tape, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A weighted sum of (rows, …, in), written down on the tape."""
    outputs = functional.linear(inputs, replaced(weight), stand_in(bias))
    used = Affine(weight, bias)
    tape.keep((weight, bias), (outputs,), partial(of_affine, used, inputs.detach()), inputs)
    return outputs


def embedding(tape: Tape, module: nn.Embedding, tokens: Tensor) -> Tensor:
    """`nn.Embedding` on token numbers (rows, …)."""
    tape.require_rows(module, tokens)
    if module.max_norm is not None or module.scale_grad_by_freq:
        raise tape.refusal(module, "max_norm and scale_grad_by_freq let rows act on each other")
    outputs = functional.embedding(tokens, replaced(module.weight), module.padding_idx)
    tape.keep((module.weight,), (outputs,), partial(_of_tokens, module, tokens), tokens)
    return outputs


def layer_norm(tape: Tape, module: nn.LayerNorm, inputs: Tensor) -> Tensor:
    """`nn.LayerNorm` over the last dimensions of (rows, …)."""
    tape.require_rows(module, inputs)
    shape = module.normalized_shape
    outputs = functional.layer_norm(inputs, shape, stand_in(module.weight), stand_in(module.bias), module.eps)
    normed = partial(functional.layer_norm, inputs.detach(), shape, eps=module.eps)
    tape.keep((module.weight, module.bias), (outputs,), partial(_of_scaling, module, normed, -len(shape)), inputs)
    return outputs


def group_norm(tape: Tape, module: nn.GroupNorm, inputs: Tensor) -> Tensor:
    """`nn.GroupNorm` on (rows, channels, …)."""
    tape.require_rows(module, inputs)
    groups = module.num_groups
    outputs = functional.group_norm(inputs, groups, stand_in(module.weight), stand_in(module.bias), module.eps)
    normed = partial(functional.group_norm, inputs.detach(), groups, eps=module.eps)
    tape.keep((module.weight, module.bias), (outputs,), partial(_of_channels, module, normed), inputs)
    return outputs


def _of_scaling(module: nn.LayerNorm, normed: "partial[Tensor]", dims: int, gradient: Tensor) -> Contribution:
    """A scale and an offset for each place of the last `-dims` dimensions."""

    def added(each: Tensor) -> Tensor:
        return each.flatten(1, dims - 1).sum(1) if each.dim() > 1 - dims else each

    return _of_scale_and_offset(module, added(gradient * normed()) if learns(module.weight) else None, added(gradient))


def _of_channels(module: nn.GroupNorm, normed: "partial[Tensor]", gradient: Tensor) -> Contribution:
    """A scale and an offset for each channel."""

    def added(each: Tensor) -> Tensor:
        return each.flatten(2).sum(2) if each.dim() > 2 else each

    return _of_scale_and_offset(module, added(gradient * normed()) if learns(module.weight) else None, added(gradient))


def _of_scale_and_offset(module: nn.LayerNorm | nn.GroupNorm, weight: Tensor | None, bias: Tensor) -> Contribution:
    found: dict[Tensor, Tensor] = {} if weight is None else {module.weight: weight}
    return PerRow({**found, module.bias: bias} if learns(module.bias) else found)


@dataclass(frozen=True)
class Lookups:
    """What a table of tokens is told: for each pair of a row and a token in it, one gradient.

    `rows` and `tokens` (pairs,) say which, `gradient` (pairs, width) what; a token that stands in a row several times
    is one pair. `count` is how many rows there are.
    """

    table: Tensor
    count: int
    rows: Tensor
    tokens: Tensor
    gradient: Tensor

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        lengths = squared_lengths(self.gradient)
        return lengths.new_zeros(self.count).index_add_(0, self.rows, lengths)

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        scaled = self.gradient * scale[self.rows, None]
        return {self.table: torch.zeros_like(self.table).index_add_(0, self.tokens, scaled)}

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, tokens known, width)."""
        outright = self.gradient.new_zeros(self.count, *self.table.shape)
        outright[self.rows, self.tokens] = self.gradient
        return {self.table: outright}


def _of_tokens(module: nn.Embedding, tokens: Tensor, gradient: Tensor) -> Contribution:
    flat, told = tokens.flatten(), gradient.reshape(-1, module.embedding_dim)
    rows = torch.arange(len(tokens), device=tokens.device).repeat_interleave(tokens[:1].numel())
    if module.padding_idx is not None:
        read = flat != module.padding_idx
        flat, told, rows = flat[read], told[read], rows[read]
    pairs, which = torch.unique(rows * module.num_embeddings + flat, return_inverse=True)
    added = told.new_zeros(len(pairs), module.embedding_dim).index_add_(0, which, told)
    row, token = pairs // module.num_embeddings, pairs % module.num_embeddings
    return Lookups(module.weight, len(tokens), row, token, added)
