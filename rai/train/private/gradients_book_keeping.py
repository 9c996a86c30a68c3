"""Clipped gradients by keeping books: one forward and one backward pass, and the rows' lengths in closed form.

The backward pass stops at the outputs of layers; from there each row's length follows without holding its gradient, and
the clipped sum is formed at once. Source: Bu et al. 2023, book-keeping (arXiv:2210.00038).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from rai.errors import InputError
from rai.networks.transformer import Transformer
from rai.train.batches import Batch
from rai.train.gradients import answers
from rai.train.private import attention_rules, layer_rules, recurrent_rules, window_rules
from rai.train.private.clipped_sum import ClippedSum, Losses, coefficients, losses_of, of_no_rows
from rai.train.private.contributions import PerRow
from rai.train.private.tape import Contribution, Rule, Tape, Use, followed, refusal

RULES: Mapping[type[nn.Module], Rule] = MappingProxyType(
    {
        nn.Linear: layer_rules.linear,
        NonDynamicallyQuantizableLinear: layer_rules.linear,
        nn.Embedding: layer_rules.embedding,
        nn.LayerNorm: layer_rules.layer_norm,
        nn.GroupNorm: layer_rules.group_norm,
        nn.Conv1d: window_rules.convolution,
        nn.Conv2d: window_rules.convolution,
        nn.MultiheadAttention: attention_rules.attention,
        nn.LSTM: recurrent_rules.recurrent,
        nn.GRU: recurrent_rules.recurrent,
        nn.RNN: recurrent_rules.recurrent,
        Transformer: attention_rules.transformer,
    }
)
"""How each layer that can learn is followed; a subclass is another layer, for it may compute something else."""


def book_keeping(module: nn.Module, losses: Losses, batch: Batch, max_grad_norm: float) -> ClippedSum:
    """The clipped sum from one forward and one backward pass, exact, and with no row's gradient held.

    Raises `InputError` naming the layer that no rule knows, a parameter that was used past its layer, an input that was
    changed in place, or a gradient that is not finite. The module leaves as it came; no `.grad` is touched.
    """
    if not len(batch.inputs):
        return of_no_rows(module, batch)
    paths = {each: path for path, each in module.named_modules()}
    learning, rules = _learning(paths)
    tape = Tape(len(batch.inputs), paths)
    with followed(rules, tape):
        found = losses_of(answers(module, batch.inputs), losses, batch)
    parts = list(_contributions(found, tape.uses, learning))
    first, *others = [part.squares() for part in parts] or [torch.zeros_like(found)]
    norms = sum(others, start=first).sqrt()
    scale = coefficients(norms, max_grad_norm)
    sums: dict[Tensor, Tensor] = {}
    for part in parts:
        sums |= part.sums(scale)
    whole = {name: sums[each] if each in sums else torch.zeros_like(each) for name, each in learning.items()}
    return ClippedSum(whole, found.detach(), norms)


def _learning(paths: Mapping[nn.Module, str]) -> tuple[dict[str, nn.Parameter], dict[nn.Module, Rule]]:
    """What `trainable` finds, from modules already listed, and the rule of every layer that holds some of it.

    Raises `InputError` naming a layer that has no rule.
    """
    names: dict[nn.Parameter, str] = {}
    rules: dict[nn.Module, Rule] = {}
    for module, path in paths.items():
        held = module._parameters.items()  # noqa: SLF001 - parameters(recurse=False) is slow
        own = [(name, each) for name, each in held if each is not None and each.requires_grad]
        for name, each in own:
            names.setdefault(each, f"{path}.{name}" if path else name)
        if own:
            rules[module] = _rule(module, path)
    return {name: each for each, name in names.items()}, rules


def _rule(module: nn.Module, path: str) -> Rule:
    rule = RULES.get(type(module))
    if rule is None or "forward" in module.__dict__:
        raise refusal(path, module, "no rule tells its rows' gradients apart")
    return rule


def _contributions(losses: Tensor, uses: Sequence[Use], learning: Mapping[str, nn.Parameter]) -> Iterator[Contribution]:
    """What each use adds, those of one parameter joined; nothing when the loss depends on no parameter."""
    if not losses.requires_grad:
        return
    _require_unchanged(uses)
    edges = [edge for use in uses for edge in use.edges]
    asked: Sequence[Any] = (*edges, *learning.values())
    found = torch.autograd.grad(losses, asked, torch.ones_like(losses), allow_unused=True)
    _require_all_seen(found[len(edges) :], learning)
    gradients = iter(found[: len(edges)])
    often = Counter(id(each) for use in uses for each in use.parameters)  # a tensor's own hash is slow
    shared: list[Contribution] = []
    for use in uses:
        told = [next(gradients) for _ in use.edges]
        known = [each for each in told if each is not None]
        if not known:
            continue
        part = use.contribution(*(known if len(known) == len(told) else _filled(told, known[0])))
        if any(often[id(each)] > 1 for each in use.parameters):
            shared.append(part)
        else:
            yield part
    if shared:
        yield _joined(shared)


def _filled(told: Sequence[Tensor | None], like: Tensor) -> list[Tensor]:
    """Gradients with zeros where none was told."""
    return [torch.zeros_like(like) if each is None else each for each in told]


def _require_unchanged(uses: Sequence[Use]) -> None:
    if any(each._version != version for use in uses for each, version in use.read):  # noqa: SLF001 - torch's only word on changes in place
        raise InputError(
            "what a layer read was changed in place before the gradient was known",
            where="book-keeping",
            do="write x = x + y instead of x += y",
        )


def _joined(parts: Sequence[Contribution]) -> Contribution:
    """Several uses of the same parameters as one: rows' gradients add before their length is taken."""
    found: dict[Tensor, Tensor] = {}
    for part in parts:
        for known, each in part.per_row().items():
            found[known] = found[known] + each if known in found else each
    return PerRow(found)


def _require_all_seen(direct: Sequence[Tensor | None], learning: Mapping[str, nn.Parameter]) -> None:
    for name, gradient in zip(learning, direct, strict=True):
        if gradient is not None:
            raise InputError(
                "is used past the layer that holds it, where no rule tells rows apart",
                where=f"book-keeping, parameter '{name}'",
                do='choose gradients = "auto", "hooks" or "ghost"',
            )
