"""What in a network would break the promise, found before the first step and named: where, why and what to do.

One row's gradient can only be clipped where it is that row's alone, and noise only hides what passes through the
clipped sum. Layers that look at other rows, or remember rows in buffers, get past both. The network is tried on a copy
and never changed: nothing in it is replaced.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rai.errors import InputError
from rai.train.batches import Batch
from rai.train.gradients import answers
from rai.train.losses import Loss

FEW = 2
SAME = 1e-4
"""Two runs of one row that differ by a larger share of the largest number differ by more than rounding."""
WAIVABLE: Mapping[str, str] = MappingProxyType(
    {
        "buffer": "a buffer may count steps or hold anything else that no row enters",
        "unused": "a parameter without a gradient moves by noise alone",
    }
)
"""Holes that somebody can answer for, and why; the others break the promise whatever anybody says."""


@dataclass(frozen=True)
class Hole:
    """A thing that would break the promise: its kind, the path of module or tensor, the reason and the way out."""

    kind: str
    path: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason} ({self.kind})"


def require_tight(
    module: nn.Module, loss: Loss, batch: Batch, *, gradients: str, waive: Iterable[str]
) -> tuple[str, ...]:
    """Return what was waived, in words for the ledger; raise `InputError` naming every hole that was not.

    `batch` holds some rows, of which two are tried. `waive` holds kinds ("buffer") or kinds with a path
    ("buffer:counter.calls") among those that can be waived.
    """
    waived = frozenset(waive)
    for each in waived:
        if each.split(":")[0] not in WAIVABLE:
            raise InputError(
                f"{each!r} cannot be waived", where="private.waive", expected=f"among {', '.join(WAIVABLE)}"
            )
    found = holes(module, loss, batch, gradients=gradients)
    left = [each for each in found if not waived & {each.kind, f"{each.kind}:{each.path}"}]
    if left:
        others = (
            f" (and {len(left) - 1} more: {', '.join(f'{e.path} ({e.kind})' for e in left[1:])})" if left[1:] else ""
        )
        raise InputError(f"{left[0]}{others}", where="network", do=left[0].fix)
    return tuple(str(each) for each in found)


def holes(module: nn.Module, loss: Loss, batch: Batch, *, gradients: str) -> tuple[Hole, ...]:
    """Return every hole that can be seen: first by looking at the layers, then by trying a copy on two rows.

    A copy with holes that are plain to see is not tried, for it may fail to run.
    """
    seen = (*_batch_norms(module), *_in_place(module), *_by_engine(module, gradients))
    if seen:
        return seen
    two = torch.arange(FEW, device=batch.inputs.device) % len(batch)
    pair = Batch(batch.inputs[two], batch.targets[two])
    return (*_buffers(module, pair), *_mixing(module, pair), *_unused(module, loss, pair))


def _batch_norms(module: nn.Module) -> Iterator[Hole]:
    """Every batch norm in training mode: exact or a subclass, frozen or not, with weights or without."""
    for path, each in module.named_modules():
        if isinstance(each, _BatchNorm) and each.training:
            reason = f"{type(each).__name__} mixes the rows of a batch, and remembers them without noise"
            yield Hole("batch_norm", path or "(the network)", reason, 'choose norm = "group" or "layer"')


def _in_place(module: nn.Module) -> Iterator[Hole]:
    for path, each in module.named_modules():
        if getattr(each, "inplace", False) is True:
            reason = f"{type(each).__name__} overwrites what a row's gradient is computed from"
            yield Hole("in_place", path or "(the network)", reason, "set inplace=False")


def _by_engine(module: nn.Module, gradients: str) -> Iterator[Hole]:
    """What only our own book-keeping computes rightly, where it is not asked for by name."""
    if gradients == "book_keeping":
        return
    fix = 'set gradients = "book_keeping"'
    for path, each in module.named_modules():
        if isinstance(each, nn.RNN):
            reason = "Opacus, which is or may be chosen, cannot tell the gradients of a plain RNN's rows apart"
            yield Hole("rnn", path or "(the network)", reason, f'{fix}, or choose kind = "gru" or "lstm"')
    for names in _shared(module):
        reason = "tied weights: one parameter under several names, whose uses Opacus may clip one by one"
        yield Hole("tied", " = ".join(names), reason, f"{fix}, or give each layer weights of its own")


def _shared(module: nn.Module) -> Iterator[list[str]]:
    """Names of trainable parameters that share memory."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, each in module.named_parameters(remove_duplicate=False):
        if each.requires_grad and each.numel():
            names[each.untyped_storage().data_ptr()].append(name)
    return (found for found in names.values() if len(found) > 1)


def _buffers(module: nn.Module, pair: Batch) -> Iterator[Hole]:
    """Buffers that a forward pass in training mode changes."""
    tried = copy.deepcopy(module)
    before = {name: each.clone() for name, each in tried.named_buffers()}
    _run(tried, pair.inputs)
    for name, each in tried.named_buffers():
        if name not in before or not torch.equal(before[name], each):
            owner = type(tried.get_submodule(name.rpartition(".")[0])).__name__
            reason = f"a buffer of {owner} that changes in training, without clipping or noise"
            yield Hole("buffer", name, reason, "take it out, or make it hold still; waive it where no row enters it")


def _mixing(module: nn.Module, pair: Batch) -> Iterator[Hole]:
    """The first layer whose answer for a row hangs on the other row of the batch."""
    alike = pair.inputs[[0, 0]]
    first, second = (_traced(copy.deepcopy(module), each) for each in (pair.inputs, alike))
    for path in first:
        if path in second and not _same(first[path], second[path]):
            reason = "what it answers for a row hangs on the other rows of the batch"
            yield Hole("mixing", path or "(the network)", reason, "take each row by itself")
            return


def _traced(module: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """What each layer answers for the first row, in the order in which the layers end."""
    found: dict[str, Tensor] = {}

    def noting(path: str) -> Callable[..., None]:
        def note(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.dim() and len(output) == len(inputs):
                found.setdefault(path, output[0].detach().clone())

        return note

    for path, each in module.named_modules():
        each.register_forward_hook(noting(path))
    _run(module, inputs)
    return found


def _same(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    apart = (first - second).abs().nan_to_num().max() if first.numel() else torch.zeros(())
    return bool(apart <= SAME * (1 + first.abs().nan_to_num().max() if first.numel() else 1))


def _unused(module: nn.Module, loss: Loss, pair: Batch) -> Iterator[Hole]:
    """Parameters that should learn and that the loss does not reach."""
    tried = copy.deepcopy(module)
    tried.zero_grad(set_to_none=True)
    with torch.random.fork_rng(), torch.enable_grad():
        total = loss(answers(tried, pair.inputs), pair.targets).sum()
        if total.requires_grad:
            torch.autograd.backward(total)
    for name, each in tried.named_parameters():
        if each.requires_grad and each.grad is None:
            reason = "a parameter that the loss does not reach"
            yield Hole("unused", name, reason, "freeze it, or take it out of the network")


def _run(module: nn.Module, inputs: Tensor) -> None:
    """One forward pass that draws the same dropout each time."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        answers(module, inputs)
