"""Does an explanation change when the model forgets all that it learned? One that stays the same never looked."""

import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.quality import Explain, picked, similarity
from rai.explainers.questions import Question
from rai.subject import Floats, Ints, Model

TINY = 1e-300


@dataclass(frozen=True)
class Randomisation:
    """How explanations change when the model's parameters are drawn anew, one entry a row; NaN where undefined.

    `similarity`: rank correlation of the sizes of the values before and after, 1 where nothing changes.
    `complexity_rise`: how much more evenly the values are spread after than before, as a share of before.
    """

    similarity: NDArray[np.float64]
    complexity_rise: NDArray[np.float64]


def randomisation(question: Question, explain: Explain, outputs: Ints, values: Floats, draws: int = 2) -> Randomisation:
    """Explain the same rows of the same model with parameters drawn anew, and compare with `values` (rows, players).

    The mean of `draws` draws counts. Sources: Adebayo et al. 2018 (arXiv:1810.03292); the repaired test is that of
    Hedström et al. 2024 (arXiv:2405.02383), which draws all parameters at once and reads the complexity of the values.
    Raises InputError for a model of which only answers can be seen.
    """
    others = [randomised(question.model, question.seed + draw) for draw in range(draws)]
    drawn = [picked(replace(question, model=each), explain, outputs) for each in others]
    before = complexity(values)
    rises = [
        np.divide(complexity(each) - before, before, out=np.full(len(before), np.nan), where=before > 0)
        for each in drawn
    ]
    return Randomisation(np.mean([similarity(values, each) for each in drawn], axis=0), np.mean(rises, axis=0))


def complexity(values: Floats) -> NDArray[np.float64]:
    """How evenly the sizes of the values, (rows, players), are spread: their entropy, (rows,); 0 is one feature alone.

    Source: Bhatt et al. 2020 (arXiv:2005.00631).
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    shares = sizes / np.maximum(sizes.sum(axis=1, keepdims=True), TINY)
    return np.asarray(-(shares * np.log(np.maximum(shares, TINY))).sum(axis=1))


def randomised(model: Model, seed: int) -> Model:
    """A copy of a PyTorch model with every parameter drawn anew; the model itself stays as it is.

    Raises InputError for a model of which only answers can be seen.
    """
    module, whole = model.inside(redrawn, None, seed=seed), cast("Any", model)
    if not hasattr(whole, "module"):
        raise InputError("parameters cannot be drawn anew", where="model", expected="a PyTorch model")
    return cast("Model", replace(whole, module=module))


def redrawn(module: Any, _inputs: Any, *, seed: int) -> Any:
    """A copy of a module whose weights are normal draws of the same size, and whose offsets and scales are shuffled."""
    import torch

    other, stream = copy.deepcopy(module), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in other.parameters():
            if each.is_floating_point():
                each.copy_(_drawn(each, stream))
    return other


def _drawn(tensor: Any, stream: Any) -> Any:
    import torch

    if tensor.dim() >= 2:
        size = tensor.double().pow(2).mean().sqrt().item()
        return torch.randn(tensor.shape, generator=stream) * size
    return tensor.flatten()[torch.randperm(tensor.numel(), generator=stream)].reshape(tensor.shape)
