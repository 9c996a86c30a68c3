"""Looks into a network while it learns, and names the layer where learning has stopped or runs away.

A look changes nothing: not the module, not its gradients, not the random streams of training. What is seen of training
rows is no part of a privacy promise; hand in rows that anybody may know where a promise is to hold for the curves too.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rai.errors import plain

VANISHING = 1e-5
"""House bound: a layer whose gradient is shorter than this share of the longest layer's learns nothing beside it."""
EXPLODING = 1e3
"""House bound: a gradient this many times as long as the layer's own weights (taken as 1 at least) wrecks them."""
DEAD = 0.9
"""House bound: a layer with more than this share of its units silent for every row seen has lost its use."""
SILENT = 1e-7
BINS = 30
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish)
NAMED = 3
WHOLE = "(network itself)"
MOST = 2**18
"""More numbers than this of one layer are not spread out; those of the first rows stand for all."""


@dataclass(frozen=True)
class Norm:
    """Length (L2) of a layer's gradient and of its weights, over the parameters it holds itself and may move."""

    gradient: float
    weights: float


@dataclass(frozen=True)
class Spread:
    """How the finite numbers that a layer puts out are spread: `counts` of them between successive `edges`.

    Of a layer that puts out more than 262,144 numbers, those of the first rows are counted.
    """

    mean: float
    deviation: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Observed:
    """What one look saw, each by the layer's name: gradients, share of dead units, and what layers put out.

    A layer that is used several times in one pass has an entry for each: "act", "act (2)".
    """

    norms: Mapping[str, Norm]
    dead: Mapping[str, float]
    activations: Mapping[str, Spread]
    epoch: int = 0


def observed(module: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor] | None = None) -> Observed:
    """Look at every layer while the module answers `inputs` in evaluation mode.

    `loss` turns outputs (rows, outputs) into losses (rows,), whose mean the gradients are of; without it, the mean of
    the squared outputs. A unit (a channel of an image, else a place along the last axis) is dead when a rectifier, such
    as `nn.ReLU`, answers 0 with it for every row; rectifiers that are called as functions cannot be seen. Afterwards
    the module has its own modes, buffers, gradients and hooks as before. Hand in at least one row.
    """
    spreads: dict[str, Spread] = {}
    dead: dict[str, float] = {}
    with _undisturbed(module), contextlib.ExitStack() as hooks, torch.enable_grad():
        for name, part in module.named_modules():
            if not any(True for _ in part.children()):
                hooks.enter_context(part.register_forward_hook(_noting(name or WHOLE, spreads, dead)))
        outputs = module(inputs)
        whole = outputs.square().mean() if loss is None else loss(outputs).mean()
        norms = _norms(module, whole)
    return Observed(norms, dead, spreads)


def warnings_of(history: Sequence[Observed]) -> tuple[str, ...]:
    """Say in a line each what went wrong in the looks so far, naming the layers; nothing went wrong: no line.

    Gradients vanish below `VANISHING` of the longest layer's, explode above `EXPLODING` times the layer's own weights
    or when they are no numbers, and a layer is dead above `DEAD`. These are bounds of this house, wide enough that
    training which works stays below them. A sigmoid layer divides a gradient by 4 or more (Hochreiter 1991; Glorot and
    Bengio 2010), so a dozen on top of each other are named.
    """
    found = [
        ("gradients vanish in {}: at worst {:.0e} of the longest layer's", _vanishing, min),
        ("gradients explode in {}: at worst {:.0e} times the layer's weights", _exploding, max),
        ("units are dead in {}: at worst {:.0%} of the layer's, silent for every row seen", _dead, max),
    ]
    return tuple(line for words, search, worst in found for line in _line(words, search, worst, history))


Found = dict[str, tuple[float, int]]
"""How bad it was at worst, and in which epoch it was first seen, by layer."""


def _line(
    words: str,
    search: Callable[[Observed], Mapping[str, float]],
    worst: Callable[..., float],
    history: Sequence[Observed],
) -> Iterator[str]:
    """One line on all layers that were ever found, the worst of them named first."""
    found: Found = {}
    for look in history:
        for name, value in search(look).items():
            before, first = found.get(name, (value, look.epoch))
            found[name] = (worst(before, value), first)
    if found:
        ranked = sorted(found, key=lambda name: found[name][0], reverse=worst is max)
        more = f" and {len(ranked) - NAMED} more" if len(ranked) > NAMED else ""
        named = ", ".join(repr(plain(name)) for name in ranked[:NAMED])
        first = min(epoch for _, epoch in found.values())
        yield f"{words.format(f'{named}{more}', found[ranked[0]][0])}; first seen in epoch {first}"


def _vanishing(look: Observed) -> dict[str, float]:
    lengths = {name: each.gradient for name, each in look.norms.items() if math.isfinite(each.gradient)}
    longest = max(lengths.values(), default=0.0)
    return {name: each / longest for name, each in lengths.items() if each < VANISHING * longest}


def _exploding(look: Observed) -> dict[str, float]:
    shares = {name: each.gradient / max(each.weights, 1.0) for name, each in look.norms.items()}
    return {name: each if math.isfinite(each) else math.inf for name, each in shares.items() if not each <= EXPLODING}


def _dead(look: Observed) -> dict[str, float]:
    return {name: share for name, share in look.dead.items() if share > DEAD}


@contextlib.contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; modes, buffers and random streams are put back after."""
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(each, each.detach().clone()) for each in module.buffers()]
    cards = sorted({each.device.index or 0 for each in module.parameters() if each.device.type == "cuda"})
    with torch.random.fork_rng(devices=cards), torch.backends.cudnn.flags(enabled=False):  # cuDNN cannot learn in eval
        try:
            module.eval()
            yield
        finally:
            for part, training in modes:
                part.training = training
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


def _noting(name: str, spreads: dict[str, Spread], dead: dict[str, float]) -> Callable[..., None]:
    """A hook that notes what a layer puts out, at once, before a later layer may write into it."""

    def note(part: nn.Module, _inputs: Any, output: Any) -> None:
        while isinstance(output, tuple | list) and len(output):  # recurrent layers answer with several things
            output = output[0]
        if not isinstance(output, Tensor):
            return
        times = next(times for times in itertools.count(1) if _entry(name, times) not in spreads)
        spread = _spread(output.detach())
        if spread is not None:
            spreads[_entry(name, times)] = spread
        if isinstance(part, RECTIFIERS):
            dead[_entry(name, times)] = _silent(output.detach())

    return note


def _entry(name: str, times: int) -> str:
    return name if times == 1 else f"{name} ({times})"


def _spread(output: Tensor) -> Spread | None:
    """How finite outputs are spread, None where there are none; in float64, which float32 cannot overflow."""
    few = output[: max(1, MOST * len(output) // max(1, output.numel()))] if output.dim() else output
    values = few.float().double().cpu().numpy().ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = values.min(), values.max()
    margin = max(0.5, abs(low) / 2) if low == high else 0.0  # one number alone needs room around it, however large
    counts, edges = np.histogram(values, bins=BINS, range=(low - margin, high + margin))
    return Spread(float(values.mean()), float(values.std()), tuple(edges.tolist()), tuple(counts.tolist()))


def _silent(output: Tensor) -> float:
    """Share of units that answer 0 for every row, and at every place of an image or sequence."""
    units = 1 if output.dim() in {4, 5} else output.dim() - 1
    by_unit = output.movedim(units, 0).flatten(1) if output.dim() > 1 else output[None]
    return float((by_unit.abs() <= SILENT).all(dim=1).double().mean())


def _norms(module: nn.Module, loss: Tensor) -> dict[str, Norm]:
    layers = {
        name: [each for each in part.parameters(recurse=False) if each.requires_grad]
        for name, part in module.named_modules()
    }
    moving = list(dict.fromkeys(each for held in layers.values() for each in held))
    if not moving or not loss.requires_grad:
        return {}
    gradients = dict(zip(moving, torch.autograd.grad(loss, moving, allow_unused=True), strict=True))
    return {
        name or WHOLE: Norm(_length(gradients[each] for each in held), _length(held))
        for name, held in layers.items()
        if held
    }


def _length(tensors: Iterable[Tensor | None]) -> float:
    """Length of all numbers of some tensors as one vector; a tensor that is not there counts as 0."""
    return math.sqrt(sum(float(each.detach().double().square().sum()) for each in tensors if each is not None))
