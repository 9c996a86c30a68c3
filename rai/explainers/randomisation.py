"""Does an explanation change when the model forgets all that it learned? One that stays the same never looked."""

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.explainers.quality import Explain, picked, similarity
from rai.explainers.questions import Question
from rai.subject import Floats, Ints, Model


def randomisation(
    question: Question, explain: Explain, outputs: Ints, values: Floats, draws: int = 2
) -> NDArray[np.float64]:
    """How alike explanations are before and after the model's parameters are drawn anew, (rows,).

    The rank correlation of the sizes of `values` (rows, players) with those of the same rows explained in the model
    that forgot: 1 where nothing changes, NaN where undefined, the mean over `draws` draws. Sources: Adebayo et al. 2018
    (arXiv:1810.03292); drawing all parameters at once follows the repaired test of Hedström et al. 2024
    (arXiv:2405.02383). Raises InputError for a model of which only answers can be seen.
    """
    others = [randomised(question.model, question.seed + draw) for draw in range(draws)]
    drawn = [picked(replace(question, model=each), explain, outputs) for each in others]
    return np.asarray(np.mean([similarity(values, each) for each in drawn], axis=0))


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
