"""Attributions from inside a torch model by the package captum, which works on a copy of it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from rai.errors import InputError
from rai.explainers.attribution import Attribution
from rai.explainers.designs import Shares
from rai.explainers.games import Game
from rai.explainers.gradients_entrance import (
    OTHERS,
    Entrance,
    backdrop,
    baseline,
    batch,
    entered,
    floats,
    last_convolution,
    layer_of,
    tensor,
)
from rai.explainers.gradients_walks import Walked, Way, judged, numbers, walked
from rai.explainers.options import chosen
from rai.explainers.parts import solved
from rai.explainers.questions import Question, Target, gathered, named
from rai.models.guard import guarded

MOST_GAUSS = 256
MOST_CONDUCTED = 1024
DRAWS = 500
ROUNDS = 10
CAM_NOTE = "strength of the last convolution's evidence, in no unit; the values do not add up to the score"


def integrated_gradients(question: Question) -> Attribution:
    """Gradients along the straight way from a baseline to each row; they add up to the change of the score.

    The baseline is the mean of the background, for texts the mask token. Steps start at 32 and are doubled for rows
    whose values miss the change by more than 1 %, up to `budget` (default 16,384; for large images from 256 on); the
    note says where that was not enough. Source: Sundararajan et al. 2017 (arXiv:1703.01365).
    """
    chosen(question)
    found = _inside(question, integrated, against=baseline(question), most=question.budget)
    shares = _unsampled(gathered(question, found.values))
    return judged(_named(question, shares, found, "integrated_gradients"))


def gradient_shap(question: Question) -> Attribution:
    """Gradients at random places between each row and random background rows: expected gradients.

    They add up to the row's score less the background's mean on average. `budget`: draws a row (default 500), made in
    ten rounds, whose spread gives the standard errors. Source: Erion et al. 2021 (arXiv:1906.10670).
    """
    chosen(question)
    text, draws = question.data.kind == "text", question.budget or DRAWS
    against = baseline(question) if text else backdrop(question)
    found = _inside(question, expected, against=against, draws=draws, seed=question.seed)
    rounds = np.stack([gathered(question, each) for each in found.values])
    error = rounds.std(axis=0, ddof=1) / np.sqrt(len(rounds))
    return _named(question, Shares(rounds.mean(axis=0), error), found, "gradient_shap")


def grad_cam(question: Question) -> Attribution:
    """Where in an image the last convolution sees evidence for the score: Grad-CAM, summed over each patch.

    Option `layer` names another convolution. Source: Selvaraju et al. 2017 (arXiv:1610.02391).
    """
    options = chosen(question, layer=None)
    if question.data.kind != "image":
        raise InputError(
            f"grad_cam explains images, this is a {question.data.kind}", do=f"use integrated_gradients, or {OTHERS[4:]}"
        )
    found = _inside(question, mapped, layer=options["layer"])
    empty = question.ask(question.background.inputs).mean(axis=0)
    base = np.repeat(empty[None], question.data.rows, axis=0)
    scored = found.scored + len(question.background.inputs)
    shares = _unsampled(gathered(question, found.values))
    return replace(_named(question, shares, Walked(found.values, base, scored), "grad_cam"), note=CAM_NOTE)


def layer_conductance(question: Question) -> Attribution:
    """How much of the score's change flows through each unit of the layer that the option `layer` names.

    The players are its units: its channels for images, its features for steps and tokens. They add up to the
    change of the score where all of it passes through the layer. Steps and baseline as with integrated gradients, up to
    `budget` (default 1,024) steps. Source: Dhamdhere et al. 2018 (arXiv:1805.12233).
    """
    layer = chosen(question, layer=None)["layer"]
    if layer is None:
        raise InputError("is missing", where="option layer", do="name a layer, as in model.named_modules()")
    found = _inside(
        question, conducted, against=baseline(question), most=question.budget or MOST_CONDUCTED, layer=layer
    )
    units = tuple(f"unit {each + 1}" for each in range(found.values.shape[1]))
    named_ = _named(question, _unsampled(found.values), found, "layer_conductance")
    return judged(replace(named_, players=units))


def occlusion(question: Question) -> Attribution:
    """What the score loses when one feature alone is left out, the mean over the background rows in its place.

    Needs the model's answers alone. The same as captum's FeatureAblation, averaged over baselines.
    """
    chosen(question)
    return solved(question, _left_out, "occlusion")


def _left_out(asked: Game, _: np.random.Generator) -> Shares:
    others = ~np.eye(len(asked.players), dtype=bool)
    return _unsampled(asked.full[:, None] - asked.values(others))


def _unsampled(values: Any) -> Shares:
    return Shares(values, np.zeros_like(values))


def _named(question: Question, found: Shares, walk: Walked, method: str) -> Attribution:
    return named(question, found, walk.base, method=method, rows_scored=walk.scored + question.data.rows)


def _inside(question: Question, procedure: Callable[..., Walked], **arguments: Any) -> Walked:
    """Run a procedure where the module lives; raise `InputError` where only answers can be seen."""
    rows = floats(question)
    try:
        question.model.inside(_there, rows[:1])
    except InputError:
        raise InputError("only the model's answers can be seen", expected="a PyTorch module", do=OTHERS) from None
    with guarded("gradients cannot be taken through the model", where="method", do=OTHERS, name_error=True):
        found: Walked = question.model.inside(procedure, rows, target=question.target, **arguments)
        return found


def _there(_: nn.Module, __: Any) -> None:
    """Nothing: whether it can be run at all is the question."""


def integrated(module: nn.Module, rows: Any, *, target: Target, against: Any, most: int | None) -> Walked:
    """Integrated gradients of each input, (rows, *inputs, outputs), where the module lives."""
    from captum.attr import IntegratedGradients  # type: ignore[import-untyped]

    with entered(module, rows, target) as inside:
        return walked(inside, rows, against, most=most, walk=partial(_integrated, IntegratedGradients(inside.ask)))


def _integrated(method: Any, way: Way, output: int, steps: int) -> torch.Tensor:
    """Gauss-Legendre is exact for smooth scores; its nodes are slow to find beyond some hundreds."""
    found = method.attribute(
        way.numbers,
        way.start,
        target=output,
        additional_forward_args=(way.given,),
        n_steps=steps,
        method="gausslegendre" if steps <= MOST_GAUSS else "riemann_middle",
        internal_batch_size=max(len(way.numbers), batch(way.numbers)),
    )
    return _tidy(found, way)


def conducted(module: nn.Module, rows: Any, *, target: Target, against: Any, most: int, layer: str) -> Walked:
    """Conductance of each unit of a layer, (rows, units, outputs), where the module lives."""
    from captum.attr import LayerConductance

    with entered(module, rows, target) as inside:
        method = LayerConductance(inside.ask, layer_of(inside.module, layer, tensor(inside.module, rows[:1])))
        return walked(inside, rows, against, most=most, walk=partial(_conducted, method))


def _conducted(method: Any, way: Way, output: int, steps: int) -> torch.Tensor:
    """Conductance takes differences of neighbouring steps, so the steps must include both ends."""
    found = method.attribute(
        way.numbers,
        way.start,
        target=output,
        additional_forward_args=(way.given,),
        n_steps=steps,
        method="riemann_trapezoid",
        internal_batch_size=max(2 * len(way.numbers), batch(way.numbers)),
    )
    found = found[0] if isinstance(found, tuple) else found
    if found.dim() == 4:
        return torch.as_tensor(found.sum(dim=(2, 3)))
    return torch.as_tensor(found.sum(dim=1) if found.dim() == 3 else found)


def mapped(module: nn.Module, rows: Any, *, target: Target, layer: str | None) -> Walked:
    """Grad-CAM of each pixel, (rows, channels, height, width, outputs), where the module lives."""
    from captum.attr import LayerGradCam

    with entered(module, rows, target) as inside:
        given = tensor(inside.module, rows)
        seen = layer_of(inside.module, layer, given[:1]) if layer else last_convolution(inside, given[:1])
        method, outputs = LayerGradCam(inside.ask, seen), inside.level(given[:1], given[:1]).shape[1]
        parts = [_maps(method, part, outputs) for part in torch.split(given, batch(given))]
        return Walked(np.concatenate(parts), np.zeros((len(rows), outputs)), inside.scored)


def _maps(method: Any, given: torch.Tensor, outputs: int) -> Any:
    """Each map in the size of the picture, every channel with its equal part of it."""
    from captum.attr import LayerAttribution

    found = []
    for output in range(outputs):
        small = method.attribute(given, output, additional_forward_args=(given,), relu_attributions=True)
        if small.dim() != 4:
            raise InputError("keeps no picture", where="option layer", expected="a convolution")
        large = LayerAttribution.interpolate(small.detach(), tuple(given.shape[2:]), "bilinear")
        found.append(numbers(large.expand_as(given) / given.shape[1]))
    return np.stack(found, axis=-1)


def expected(module: nn.Module, rows: Any, *, target: Target, against: Any, draws: int, seed: int) -> Walked:
    """Expected gradients of each round, (rounds, rows, *inputs, outputs), where the module lives.

    Rows that have a baseline of their own (texts, and rows that lack some values) are walked one by one.
    """
    from captum.attr import GradientShap

    with entered(module, rows, target) as inside, _seeded(seed):
        method = GradientShap(inside.ask)
        given = tensor(inside.module, rows)
        size = batch(inside.enter(given[:1]))
        each = min(max(1, draws // ROUNDS), size)
        own = not given.is_floating_point() or bool(given.isnan().any())
        ways = _ways(inside, given, tensor(inside.module, against), 1 if own else max(1, size // each))
        found = [(_rounds(method, way, inside, each, max(2, draws // each)), _base(inside, way)) for way in ways]
        values, base = np.concatenate([each for each, _ in found], axis=1), np.concatenate([each for _, each in found])
        return Walked(values, base, inside.scored)


def _ways(inside: Entrance, given: torch.Tensor, against: torch.Tensor, step: int) -> Iterator[Way]:
    """Some rows at a time, and the numbers of all backgrounds that they may start from."""
    for first in range(0, len(given), step):
        part = given[first : first + step]
        start = against if part.is_floating_point() else inside.enter(against[first : first + step])
        if len(part) == 1 and part.is_floating_point():
            start = torch.where(part.isnan(), part, start)
        yield Way(inside.enter(part), start, part)


def _base(inside: Entrance, way: Way) -> Any:
    """The mean score of the starts, once for each row, (rows, outputs)."""
    given = way.given[:1].expand(len(way.start), *way.given.shape[1:])
    mean = numbers(inside.level(way.start, given)).mean(axis=0)
    return np.repeat(mean[None], len(way.given), axis=0)


def _rounds(method: Any, way: Way, inside: Entrance, draws: int, rounds: int) -> Any:
    outputs = inside.level(way.numbers[:1], way.given[:1]).shape[1]

    def once(output: int) -> Any:
        found = method.attribute(
            way.numbers,
            way.start,
            n_samples=draws,
            stdevs=0.0,
            target=output,
            additional_forward_args=(way.given,),
        )
        return numbers(_tidy(found, way))

    return np.stack([np.stack([once(each) for each in range(outputs)], axis=-1) for _ in range(rounds)])


def _tidy(found: torch.Tensor, way: Way) -> torch.Tensor:
    """One value for each input: a token's is the sum over its embedding, and what a row lacks gets 0."""
    if not way.given.is_floating_point():
        return found.sum(dim=-1)
    return torch.where(way.numbers.isnan(), 0, found)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """With the global random numbers of torch and NumPy, which captum draws from, seeded and then put back."""
    before = np.random.get_state()  # noqa: NPY002 - captum draws from the global generator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002 - as above
