"""Attention maps: how much each position of a row attends to each other one, layer by layer and head by head."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rai.errors import InputError
from rai.subject import Floats

NONE = "the model has no attention layers that can be read"


def maps(module: nn.Module, inputs: Any) -> list[Floats]:
    """How much each position attends to each other one: one array a layer, (rows, heads, positions, positions).

    A line of a map says where one position looks and adds up to 1; a position without anything to look at gets zeros.
    Layers are `torch.nn.MultiheadAttention`, in the order in which they are called, or whatever a module's own method
    `maps(inputs)` returns. Attention to a second sequence is left out. The module is asked by PyTorch's plain path,
    as its fast path computes no maps; its output stays bit for bit the plain path's, because the maps are computed
    beside it. All hooks are gone afterwards. Raises `InputError` for a module without such layers.
    """
    return layers_of(readable(module), inputs)


def readable(module: Any) -> Any:
    """The module to read maps from: itself, or a copy where its own method may leave hooks (transformers' does).

    Raises `InputError` for a module without attention layers.
    """
    require_attention(module)
    return copy.deepcopy(module) if callable(getattr(module, "maps", None)) else module


def layers_of(module: Any, inputs: Any) -> list[Floats]:
    """The maps of a module that is known to be readable; see `maps`."""
    with torch.inference_mode():
        if callable(own := getattr(module, "maps", None)):
            return [_array(each) for each in between(own(tensor(module, inputs)), len(inputs))]
        with recorded(module) as found:
            module(tensor(module, inputs))
        return [_array(each) for each in between(found, len(inputs))]


def require_attention(module: Any, inputs: Any = None) -> None:  # noqa: ARG001 - a procedure is handed inputs
    """Raise `InputError` for a module without attention layers; nothing is computed."""
    layers = any(isinstance(each, nn.MultiheadAttention) for each in module.modules())
    if not layers and not callable(getattr(module, "maps", None)):
        raise InputError(NONE, expected="layers of torch.nn.MultiheadAttention")


@contextmanager
def recorded(module: nn.Module, *, graded: bool = False) -> Iterator[list[torch.Tensor]]:
    """Collect the maps of every call of the module inside the block; afterwards it is as it was.

    With `graded` the output is computed from the maps collected, so that gradients reach them; it then differs from
    the plain output by rounding.
    """
    found: list[torch.Tensor] = []
    with ExitStack() as undo:
        undo.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(value=False)
        for hook in _hooks(module, found, graded=graded):
            undo.callback(hook.remove)
        yield found


def graded_alike(module: Any) -> bool:
    """Whether `recorded` can reach the maps of this module: not where they come from a method that it alone knows."""
    return not callable(getattr(module, "maps", None)) or hasattr(getattr(module, "model", None), "config")


def _hooks(module: Any, found: list[torch.Tensor], *, graded: bool) -> Iterator[Any]:
    """Hooks that collect maps: those a transformers model gives when asked to, or those of each attention layer."""
    if callable(getattr(module, "maps", None)):
        yield module.model.register_forward_pre_hook(_wanting, with_kwargs=True)
        yield module.model.register_forward_hook(lambda _model, _args, answer: found.extend(answer.attentions))
        return
    for each in module.modules():
        if isinstance(each, nn.MultiheadAttention):
            yield each.register_forward_hook(partial(_record, found=found, graded=graded), with_kwargs=True)


def _wanting(_model: Any, args: Any, kwargs: Any) -> Any:
    return args, {**kwargs, "output_attentions": True}


def between(found: Sequence[Any], rows: int) -> list[torch.Tensor]:
    """The maps between positions of the same row; raise `InputError` where there are none or they differ in size."""
    layers = [torch.as_tensor(each) for each in found]
    if not layers:
        raise InputError("no attention layer was asked", expected="layers of torch.nn.MultiheadAttention")
    own = [each for each in layers if each.dim() == 4 and len(each) == rows and each.shape[2] == each.shape[3]]
    sizes = sorted({each.shape[2] for each in own})
    if len(sizes) != 1:
        told = f"layers over {' and '.join(map(str, sizes))} positions" if sizes else "no layer looks at its own row"
        raise InputError(
            f"the attention cannot be read: {told}", expected="positions of one row, as many in each layer"
        )
    return own


def tensor(module: nn.Module, inputs: Any) -> torch.Tensor:
    """Rows as the module takes them: token numbers as they are, other numbers in the type of its weights."""
    weights = next((each for each in module.parameters() if each.is_floating_point()), torch.zeros(()))
    given = torch.from_numpy(np.array(inputs))
    kind = weights.dtype if given.is_floating_point() else torch.int64
    return given.to(weights.device, kind)


def _record(
    layer: nn.MultiheadAttention, args: Any, kwargs: Any, output: Any, *, found: list[torch.Tensor], graded: bool
) -> Any:
    asked = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
    weights: Any = layer.forward(**{**asked, "need_weights": True, "average_attn_weights": False})[1]
    found.append(weights)
    return (_mixed(layer, weights, asked["value"]), output[1]) if graded else None


def _mixed(layer: nn.MultiheadAttention, weights: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The layer's output, values mixed as the map says.

    The map that torch hands out is a copy beside the way to torch's own output: no gradient would reach it.
    """
    joint, shift = layer.in_proj_weight, layer.in_proj_bias
    matrix = layer.v_proj_weight if joint is None else joint[-layer.embed_dim :]
    bias = None if shift is None else shift[-layer.embed_dim :]
    flat = functional.linear(value if layer.batch_first else value.transpose(0, 1), matrix, bias)
    heads = flat.reshape(*flat.shape[:2], layer.num_heads, -1).transpose(1, 2)
    mixed: torch.Tensor = layer.out_proj((weights @ heads).transpose(1, 2).flatten(2))
    return mixed if layer.batch_first else mixed.transpose(0, 1)


def _array(layer: torch.Tensor) -> Floats:
    return np.asarray(np.nan_to_num(layer.detach().float().cpu().numpy()))
