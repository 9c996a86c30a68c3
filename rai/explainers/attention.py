"""Where does a transformer look? Attention, attention rollout, and gradient x attention.

Attention is no explanation by itself: other maps can give the same answer (Jain & Wallace 2019, arXiv:1902.10186;
Wiegreffe & Pinter 2019, arXiv:1908.04626, on what it may still tell). Hold it against what moves the score.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rai.errors import InputError
from rai.explainers.attention_maps import (
    between,
    graded_alike,
    layers_of,
    maps,
    readable,
    recorded,
    require_attention,
    tensor,
)
from rai.explainers.attention_seats import Seats, seats
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.options import chosen
from rai.explainers.questions import Question, Target, named
from rai.subject import Floats

__all__ = ["averaged", "gradient", "maps", "raw", "rolled", "rollout"]

RESIDUAL = 0.5
NO_SHARES = "values are no shares of the score and do not add up to it"


def raw(question: Question) -> Attribution:
    """Attention that each token gets: the mean over all layers and heads; not specific to a class.

    Read from the first position where the model answers from it: where it says so (`pooling`), where every row begins
    with a special token, or where it puts a position of its own in front. Else the mean over all positions before the
    padding. Padding and special tokens get 0. Texts have a value for each
    token, sequences for each player of whole steps, images for each player of whole patches, where the model's patches
    form a square counted from top left. Raises `InputError` for other players, for tables, and for a model without
    attention layers that can be read.
    """
    return _read(question, averaged, "mean attention")


def rollout(question: Question) -> Attribution:
    """Attention followed from the last layer down to the tokens; not specific to a class.

    Each layer passes on half of what it attends to and half of what it had, the residual connection; layers are
    multiplied. Read and refused as `raw`. Source: Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers
    (arXiv:2005.00928).
    """
    return _read(question, rolled, "attention rollout")


def gradient(question: Question) -> Attribution:
    """Attention weighed by how much it raises the score, followed through the layers; for each output of its own.

    Of each map times the gradient of the score with respect to it, the positive part is averaged over the heads, and
    added up over the layers as R + M R from R = 1; what stays with a token itself is left out, so a token that adds
    nothing gets 0. Computed on a copy of the module. Read and refused as `raw`; a module whose maps come from a
    method of its own is refused too, unless it holds a transformers `model`. Source: Chefer, Gur & Wolf 2021, Generic
    Attention-model Explainability (arXiv:2103.15679).
    """
    chosen(question)
    where = seats(question.data)
    found = question.model.inside(_graded, question.data.inputs, where=where, target=question.target)
    return _named(question, found, "gradient x attention")


def averaged(layers: list[Floats]) -> Floats:
    """The mean over layers and heads, (rows, positions, positions)."""
    return np.asarray(sum(each.mean(axis=1, dtype=np.float64) for each in layers) / len(layers))


def rolled(layers: list[Floats]) -> Floats:
    """The product over layers of half the mean over heads and half the position itself."""
    itself = np.eye(layers[0].shape[-1])
    found = itself
    for each in layers:
        found = ((1 - RESIDUAL) * each.mean(axis=1, dtype=np.float64) + RESIDUAL * itself) @ found
    return found


def _read(question: Question, mix: Callable[[list[Floats]], Floats], method: str) -> Attribution:
    chosen(question)
    found = question.model.inside(_mixed, question.data.inputs, where=seats(question.data), mix=mix)
    outputs = question.full.shape[1]
    return _named(question, np.repeat(found[:, :, None], outputs, axis=2), method)


def _named(question: Question, values: Floats, method: str) -> Attribution:
    """An attribution without base and error: there is no score without tokens that the values would start from."""
    unknown = np.full(question.full.shape, np.nan)
    found = Shares(values.astype(np.float64), np.full(values.shape, np.nan))
    return named(question, found, unknown, method=method, rows_scored=2 * len(values), note=NO_SHARES)


def _mixed(module: Any, inputs: Any, *, where: Seats, mix: Callable[[list[Floats]], Floats]) -> Floats:
    """What each player gets, (rows, players)."""
    ready, seen = readable(module), where.pooled(module)
    found = [seen.take(part).read(mix(layers_of(ready, inputs[part]))) for part in seen.batches()]
    return np.concatenate(found)


def _graded(module: Any, inputs: Any, *, where: Seats, target: Target) -> Floats:
    """What each player gets, (rows, players, outputs)."""
    require_attention(module)
    if not graded_alike(module):
        expected = "layers of torch.nn.MultiheadAttention"
        raise InputError("gradients of this model's attention cannot be had", expected=expected, do="ask attention")
    twin = copy.deepcopy(module).requires_grad_(requires_grad=True)
    seen, found = where.pooled(module), []
    for part in seen.batches():
        relevant, mine = _relevance(twin, inputs[part], target), seen.take(part)
        found.append(np.stack([mine.read(each) for each in relevant], axis=2))
    return np.concatenate(found)


def _relevance(module: torch.nn.Module, inputs: Any, target: Target) -> list[Floats]:
    """For each output how much of each position is in each other one, (rows, positions, positions)."""
    with torch.enable_grad(), recorded(module, graded=True) as found:
        answer = module(tensor(module, inputs))
        answer = answer[0] if isinstance(answer, tuple | list) else answer
        explained = target.of(answer.reshape(len(inputs), -1))
        layers = between(found, len(inputs))
        return [_followed(each.sum(), layers) for each in explained.unbind(1)]


def _followed(score: torch.Tensor, layers: list[torch.Tensor]) -> Floats:
    slopes = torch.autograd.grad(score, layers, retain_graph=True, materialize_grads=True)
    itself = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device)
    found = itself
    for weights, slope in zip(layers, slopes, strict=True):
        found = found + (weights * slope).clamp(min=0).nan_to_num().mean(dim=1) @ found
    return np.asarray((found - itself).detach().double().cpu().numpy())
