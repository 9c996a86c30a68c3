"""Rules for attention: the same sums as torch's, made of weighted sums that the tape can follow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.networks.transformer import Transformer
from rai.train.private.contributions import PerRow, squared_lengths
from rai.train.private.layer_rules import affine
from rai.train.private.tape import Contribution, Tape, replaced, stand_in


def attention(  # noqa: PLR0913, PLR0917 - the signature is torch's
    tape: Tape,
    module: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,  # noqa: FBT001, FBT002 - the signature is torch's
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,  # noqa: FBT001, FBT002 - the signature is torch's
    is_causal: bool = False,  # noqa: ARG001, FBT001, FBT002 - only ever a hint: the mask says it too
) -> tuple[Tensor, Tensor | None]:
    """`nn.MultiheadAttention`: outputs as its `batch_first` has them, and weights (rows, [heads,] queries, keys)."""
    _require_known(tape, module, query)
    given = (query,) if query is key is value else (query, key, value)
    parts = _projected(tape, module, *(_rows_first(module, each) for each in given))
    q, k, v = (each.view(*each.shape[:2], module.num_heads, -1).transpose(1, 2) for each in parts)
    mask = _mask(attn_mask, key_padding_mask, q)
    dropout = module.dropout if module.training else 0.0
    weights = _weights(q, k, mask, dropout) if need_weights else None
    mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropout) if weights is None else weights @ v
    outputs = _rows_first(module, module.out_proj(mixed.transpose(1, 2).flatten(2)))
    return outputs, weights.mean(1) if weights is not None and average_attn_weights else weights


def _require_known(tape: Tape, module: nn.MultiheadAttention, query: Tensor) -> None:
    if module.bias_k is not None or module.bias_v is not None or module.add_zero_attn:
        raise tape.refusal(module, "adds keys of its own (add_bias_kv, add_zero_attn)")
    if query.dim() != 3:
        raise tape.refusal(module, f"is handed shape {tuple(query.shape)}, one sequence without rows")
    tape.require_rows(module, _rows_first(module, query))


def _rows_first(module: nn.MultiheadAttention, sequences: Tensor) -> Tensor:
    return sequences if module.batch_first else sequences.transpose(0, 1)


def _projected(tape: Tape, module: nn.MultiheadAttention, *given: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values, each (rows, places, width), from the one or the three sequences `given`."""
    if _together(module) and len(given) == 1:
        return affine(tape, given[0], module.in_proj_weight, module.in_proj_bias).chunk(3, dim=2)
    given = given * 3 if len(given) == 1 else given
    offset = stand_in(module.in_proj_bias)
    offsets = (None,) * 3 if offset is None else offset.chunk(3)
    found = tuple(map(functional.linear, given, _three(module), offsets))
    told = partial(_of_three, module, tuple(each.detach() for each in given))
    tape.keep(_learned(module), found, told, *given)
    return found


def _together(module: nn.MultiheadAttention) -> bool:
    """Whether one weight is for queries, keys and values."""
    return bool(module._qkv_same_embed_dim)  # noqa: SLF001 - torch's own word for it


def _learned(module: nn.MultiheadAttention) -> tuple[nn.Parameter | None, ...]:
    apart = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    return (module.in_proj_weight, module.in_proj_bias, *apart)


def _three(module: nn.MultiheadAttention) -> tuple[Tensor, ...]:
    """Stand-ins of the weights of queries, keys and values."""
    if _together(module):
        return replaced(module.in_proj_weight).chunk(3)
    return tuple(map(replaced, (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)))


def _of_three(module: nn.MultiheadAttention, given: tuple[Tensor, ...], *gradients: Tensor) -> Contribution:
    """Where queries, keys and values are read from different sequences, their gradients are held row by row."""
    weights = [told.mT @ read for told, read in zip(gradients, given, strict=True)]
    found: dict[nn.Parameter | None, Tensor] = {module.in_proj_bias: torch.cat([each.sum(1) for each in gradients], 1)}
    if _together(module):
        found[module.in_proj_weight] = torch.cat(weights, 1)
    else:
        found |= dict(zip(_learned(module)[2:], weights, strict=True))
    return PerRow({known: each for known, each in found.items() if known is not None and known.requires_grad})


def _mask(among: Tensor | None, unread: Tensor | None, query: Tensor) -> Tensor | None:
    """What is added to the scores, a shape that fits (rows, heads, queries, keys)."""
    added = None if among is None else _added(among, query)
    if added is not None and added.dim() == 3:
        added = added.view(*query.shape[:2], *added.shape[1:])
    if unread is None:
        return added
    rows = _added(unread, query)[:, None, None]
    return rows if added is None else added + rows


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers: where it is true, minus infinity."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """How much each place looks at each other, (rows, heads, queries, keys)."""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return functional.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)


@dataclass(frozen=True)
class Places:
    """What the first places of a table of `places` (length, width) are told: `gradient` (rows, places used, width)."""

    places: nn.Parameter
    gradient: Tensor

    def squares(self) -> Tensor:
        """The squared length of each row's part, (rows,)."""
        return squared_lengths(self.gradient.flatten(1))

    def sums(self, scale: Tensor) -> Mapping[Tensor, Tensor]:
        """The sum over rows, each multiplied by its `scale` (rows,)."""
        return {self.places: self._whole((scale @ self.gradient.flatten(1)).view(self.gradient.shape[1:]))}

    def per_row(self) -> Mapping[Tensor, Tensor]:
        """Each row's part outright, (rows, length, width)."""
        return {self.places: self._whole(self.gradient)}

    def _whole(self, used: Tensor) -> Tensor:
        return functional.pad(used, (0, 0, 0, len(self.places) - used.shape[-2]))


def transformer(tape: Tape, module: Transformer, inputs: Tensor) -> Tensor:
    """Our own transformer: the places that it adds to what it embedded reach the encoder, and are read off there."""
    places: Any = module.positions
    read = module.encoder.forward

    def encoder(embedded: Tensor, **arguments: Any) -> Tensor:
        tape.keep((places,), (embedded,), partial(Places, places))
        return read(embedded, **arguments)

    module._parameters["positions"] = stand_in(places)  # type: ignore[assignment]  # noqa: SLF001 - for this pass only
    module.encoder.__dict__["forward"] = encoder
    try:
        return type(module).forward(module, inputs)
    finally:
        module._parameters["positions"] = places  # noqa: SLF001 - as it was
        del module.encoder.__dict__["forward"]
