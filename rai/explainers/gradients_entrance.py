"""How gradients enter a torch module: numbers as they are, tokens by way of their embedding."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from rai.errors import InputError
from rai.explainers.parts import vocabulary_of
from rai.explainers.questions import Question, Target

OTHERS = "use shapley, shap, lime, lime_fast or occlusion"
BATCH_BYTES = 2**24
MOST_BATCH = 4096


@dataclass(frozen=True)
class Entrance:
    """A module as a function of numbers that gradients can flow into.

    `module` is a copy. `given` are rows as the module takes them, and `enter` maps them to numbers: themselves, or
    embedded tokens (rows, tokens, width). `answers` maps numbers and the rows they stand for to (rows, explained).
    """

    module: nn.Module
    answers: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    enter: Callable[[torch.Tensor], torch.Tensor]
    counts: list[int] = field(default_factory=list)

    def ask(self, numbers: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """The explained numbers, (rows, explained), with gradients where they are on."""
        self.counts.append(len(numbers))
        return self.answers(numbers, given)

    def level(self, numbers: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """The explained numbers, (rows, explained), without gradients."""
        with torch.no_grad():
            return self.ask(numbers, given)

    @property
    def scored(self) -> int:
        """How many rows the copy has answered."""
        return sum(self.counts)


@contextlib.contextmanager
def entered(module: nn.Module, rows: Any, target: Target) -> Iterator[Entrance]:
    """Open a copy of a module to gradients; the module itself is neither changed nor hooked.

    Recurrent layers run without cuDNN, whose backward pass needs training mode.
    """
    twin = _twin(module)
    given = tensor(twin, rows[:1])
    with torch.backends.cudnn.flags(enabled=False):
        if given.is_floating_point():
            yield Entrance(twin, lambda numbers, _: answered(twin(numbers.clone()), target), lambda rows: rows)
        else:
            yield _tokens(twin, given, target)


def tensor(module: nn.Module, rows: Any) -> torch.Tensor:
    """Rows as the module takes them: whole numbers stay, others get the number type of its weights."""
    held = [*module.parameters(), *module.buffers()]
    place = held[0].device if held else torch.device("cpu")
    if rows.dtype.kind in "iu":
        return torch.tensor(rows, dtype=torch.int64, device=place)
    kinds = [each.dtype for each in held if each.is_floating_point()]
    return torch.tensor(rows, dtype=kinds[0] if kinds else torch.float32, device=place)


def answered(outputs: Any, target: Target) -> torch.Tensor:
    """The explained numbers, (rows, explained), of what a module returned."""
    found = outputs[0] if isinstance(outputs, tuple | list) else outputs
    if not isinstance(found, torch.Tensor):
        raise InputError(f"the model answers with a {type(found).__name__}", expected="one tensor")
    explained: torch.Tensor = target.of(found.reshape(len(found), -1))
    return explained


def batch(numbers: torch.Tensor) -> int:
    """How many such rows a module is handed at a time."""
    width = max(1, numbers[0].numel() * numbers.element_size())
    return max(2, min(MOST_BATCH, BATCH_BYTES // width))


def floats(question: Question, *, background: bool = False) -> Any:
    """The rows, or those of the background, as an array that a module can be handed."""
    inputs = question.background.inputs if background else question.data.inputs
    if not hasattr(inputs, "iloc"):
        wide = inputs.dtype.kind in "iu" and question.data.kind != "text"
        return inputs.astype(np.float32) if wide else inputs
    try:
        return np.asarray(inputs.to_numpy(dtype=np.float32, na_value=np.nan))
    except (TypeError, ValueError):
        raise InputError("the columns are not all numbers", expected="numbers, for gradients", do=OTHERS) from None


def baseline(question: Question) -> Any:
    """What each row is compared with, shaped as its inputs: the mean of the background, or the mask token.

    Padding and special tokens stay; what a row lacks is lacking in its baseline too.
    """
    rows = floats(question)
    if question.data.kind == "text":
        words = vocabulary_of(question.data)
        return np.where(np.isin(rows, [words.pad, *words.special]), rows, words.mask)
    mean = backdrop(question).mean(axis=0)
    return np.where(np.isnan(rows), np.nan, mean).astype(rows.dtype)


def backdrop(question: Question) -> Any:
    """The background rows; steps that a sequence lacks hold the mean of their feature over all rows and steps."""
    known = floats(question, background=True)
    if question.data.kind != "sequence":
        return known
    return np.where(np.isnan(known), np.nanmean(known, axis=(0, 1)), known).astype(known.dtype)


def layer_of(module: nn.Module, name: str, probe: torch.Tensor) -> nn.Module:
    """The layer of this name; raise `InputError` where there is none that answers with one tensor."""
    layers: dict[str, nn.Module] = {each: layer for each, layer in module.named_modules() if each}
    if name not in layers:
        raise InputError(f"no layer is named {name!r}", where="option layer", expected=f"one of {', '.join(layers)}")
    single: list[bool] = []
    look = layers[name].register_forward_hook(lambda _, __, found: single.append(isinstance(found, torch.Tensor)))
    _watched([look], module, probe)
    if not single or not all(single):
        what = "answers with more than one tensor" if single else "takes no part in the answer"
        raise InputError(f"layer {name!r} {what}", where="option layer", do="name another")
    return layers[name]


def last_convolution(inside: Entrance, probe: torch.Tensor) -> nn.Module:
    """The convolution that runs last and still sees a picture; raise `InputError` where there is none."""
    found: list[nn.Module] = []

    def look(layer: nn.Module, _: Any, picture: torch.Tensor) -> None:
        if picture.dim() == 4 and picture[0, 0].numel() > 1:
            found.append(layer)

    layers = [each for each in inside.module.modules() if isinstance(each, nn.Conv2d)]
    _watched([each.register_forward_hook(look) for each in layers], inside.module, probe)
    if not found:
        raise InputError("the model has no nn.Conv2d layer that keeps a picture", do="name one: layer=…")
    return found[-1]


def _watched(hooks: list[Any], module: nn.Module, probe: torch.Tensor) -> None:
    try:
        with torch.no_grad():
            module(probe.clone())
    finally:
        for hook in hooks:
            hook.remove()


def _twin(module: nn.Module) -> nn.Module:
    """A copy without in-place activations, which would overwrite what captum looks at."""
    try:
        twin = copy.deepcopy(module)
    except Exception:  # noqa: BLE001 - whatever a stranger's module raises, it cannot be copied
        raise InputError("the module cannot be copied", do=OTHERS) from None
    if not isinstance(twin, torch.jit.ScriptModule):
        for each in twin.modules():
            if getattr(each, "inplace", False) is True:
                each.__dict__["inplace"] = False
    return twin.requires_grad_(requires_grad=False)


def _tokens(module: nn.Module, probe: torch.Tensor, target: Target) -> Entrance:
    layer = _embedding(module, probe)

    def enter(tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = layer(tokens)
        return found

    def answers(embedded: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        hook = layer.register_forward_hook(lambda *_: embedded.clone())
        try:
            return answered(module(tokens), target)
        finally:
            hook.remove()

    return Entrance(module, answers, enter)


def _embedding(module: nn.Module, probe: torch.Tensor) -> nn.Module:
    """The layer that is handed the tokens themselves."""
    found: list[nn.Module] = []

    def look(layer: nn.Module, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], torch.Tensor) and torch.equal(given[0], probe):
            found.append(layer)

    layers = [each for each in module.modules() if isinstance(each, nn.Embedding)]
    _watched([each.register_forward_pre_hook(look) for each in layers], module, probe)
    if not found:
        raise InputError("no nn.Embedding takes the tokens", expected="a model that embeds its tokens", do=OTHERS)
    return found[0]
