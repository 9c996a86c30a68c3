"""A network made ready to be trained: a copy of it, its first weights, what is frozen, and a new head."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from rai.errors import InputError
from rai.train.settings import Fit

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase)  # noqa: SLF001 - torch's own base of all convolutions


def copied(network: nn.Module) -> nn.Module:
    """Return a copy, so that the caller's module stays as it is; raise `InputError` for what cannot be copied."""
    if not isinstance(network, nn.Module):
        raise InputError(f"is a {type(network).__name__}", where="network", expected="a torch.nn.Module")
    try:
        return copy.deepcopy(network)
    except Exception:  # noqa: BLE001 - a stranger's module may raise anything here
        raise InputError("cannot be copied", where="network", do="hand in a freshly made module") from None


def initialize(module: nn.Module, how: str) -> None:
    """Draw new weights for all linear, convolution and recurrent layers; "default" leaves them as they are.

    "xavier" is Glorot & Bengio 2010 (uniform), "he" He et al. 2015 (arXiv:1502.01852, normal); offsets become 0.
    """
    for layer in module.modules() if how != "default" else ():
        if isinstance(layer, WEIGHTED):
            for each in layer.parameters(recurse=False):
                _draw(each, how)


def freeze(module: nn.Module, settings: Fit, epoch: int) -> None:
    """Put the module into training mode for an epoch (from 0), with what the settings freeze held still.

    Layers whose names begin with a frozen name also run as in use: no dropout, and batch norms keep their statistics.
    From epoch `unfreeze_after` on, all of it learns too.
    """
    module.train()
    held = settings.freeze if settings.unfreeze_after is None or epoch < settings.unfreeze_after else ()
    for name, each in module.named_parameters():
        if name.startswith(settings.freeze):
            each.requires_grad_(not name.startswith(held))
    for name, layer in module.named_modules():
        if f"{name}.".startswith(held):
            layer.eval()


def thaw(module: nn.Module, like: nn.Module) -> None:
    """Let exactly those parameters learn that could learn in the module `like`."""
    for each, other in zip(module.parameters(), like.parameters(), strict=True):
        each.requires_grad_(other.requires_grad)


def finish(module: nn.Module, before: nn.Module) -> None:
    """Leave a trained module as one that is in use, to learn further what could learn in the module `before`.

    Raises `InputError` where its weights are no numbers.
    """
    if not all(bool(each.isfinite().all()) for each in module.parameters()):
        raise InputError("the weights are no numbers any more", where="training", do="choose a smaller learning_rate")
    thaw(module, before)
    module.zero_grad(set_to_none=True)
    module.eval().cpu()


def require_frozen(module: nn.Module, names: Sequence[str]) -> None:
    """Raise `InputError` for a name in `freeze` with which no parameter begins, or when nothing is left to learn."""
    for name in names:
        if not any(each.startswith(name) for each, _ in module.named_parameters()):
            known = ", ".join(sorted({each.split(".")[0] for each, _ in module.named_parameters()}))
            raise InputError(f"no parameter begins with {name!r}", where="fit.freeze", expected=f"among {known}")
    left = [p for name, p in module.named_parameters() if p.requires_grad and not name.startswith(tuple(names))]
    if not left:
        raise InputError("no parameter is left to learn", where="network", do="freeze less of it")


def replace_head(module: nn.Module, outputs: int) -> nn.Module:
    """Return a copy of the module whose last linear layer gives `outputs` numbers, with fresh weights.

    The last is the one that comes last by order of registration, as in `named_modules`. For transfer learning: load
    the weights first, replace the head, then train with `freeze`. Raises `InputError` where there is no linear layer.
    """
    fresh = copied(module)
    found = [(name, layer) for name, layer in fresh.named_modules() if isinstance(layer, nn.Linear)]
    if not found:
        raise InputError("has no linear layer to replace", where="network", expected="a torch.nn.Linear at its end")
    name, last = found[-1]
    head = nn.Linear(last.in_features, outputs, last.bias is not None, last.weight.device, last.weight.dtype)
    if not name:
        return head
    parent, _, own = name.rpartition(".")
    setattr(fresh.get_submodule(parent), own, head)
    return fresh


def _draw(weights: nn.Parameter, how: str) -> None:
    if weights.dim() < 2:
        nn.init.zeros_(weights)
    elif how == "xavier":
        nn.init.xavier_uniform_(weights)
    else:
        nn.init.kaiming_normal_(weights, nonlinearity="relu")


def forked(module: nn.Module) -> AbstractContextManager[None]:
    """Put the draws of torch's own generators back afterwards: the CPU's, and that of the GPU the module is on."""
    found = {each.device.index for each in module.parameters() if each.device.type == "cuda"}
    return torch.random.fork_rng(devices=sorted(found))


def device_of(settings: Fit) -> torch.device:
    """Return the device to train on; raise `InputError` for one that is not there, or that has no mixed precision."""
    try:
        device = torch.device(settings.device)
        torch.empty(0, device=device)
    except Exception:  # noqa: BLE001 - torch raises other kinds for each device that is not there
        raise InputError(f"there is no device {settings.device!r}", where="fit.device", do="use 'cpu'") from None
    if settings.mixed_precision and device.type != "cuda":
        what = f"is on, and device is {settings.device!r}"
        raise InputError(what, where="fit.mixed_precision", expected="a CUDA device", do="leave it off")
    return device
