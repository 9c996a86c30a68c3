"""The weights of many sites, one above the other, and the step that moves all of them at the same time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from rai.train.losses import Loss
from rai.train.optimisers import optimizer_of
from rai.train.settings import Fit

SMALL = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to a length before it divides by it."""
Gradients = Callable[[Mapping[str, Tensor], Tensor, Tensor, Tensor], tuple[dict[str, Tensor], Tensor]]
"""From weights, inputs, targets and which rows count, all with sites first, to gradients and losses (sites, rows)."""


@dataclass(frozen=True)
class Stack:
    """Sites that all begin with the weights of one module: `whole` has them for each site, (sites, *the shape).

    `moving` are the sites that still learn, views of `whole` which the optimizer moves. `anchors` are the weights that
    all began with. What does not learn stays the module's own, for all sites.
    """

    module: nn.Module
    fit: Fit
    proximal: float
    whole: Mapping[str, Tensor]
    moving: Mapping[str, nn.Parameter]
    anchors: Mapping[str, Tensor]
    optimizer: torch.optim.Optimizer
    gradients: Gradients

    def narrow(self, active: int) -> None:
        """Let the first `active` sites go on alone; the others keep the weights that they have."""
        for each in self.moving.values():
            state = self.optimizer.state[each]
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape == each.shape:
                    state[key] = value[:active]
            each.grad, each.data = None, each.data[:active]

    def step(self, inputs: Tensor, targets: Tensor, counted: Tensor, rate: float) -> Tensor:
        """Move each site once, by the mean loss of those of its rows that count; return the losses (sites, rows)."""
        now = {name: each.detach() for name, each in self.moving.items()}
        found, losses = self.gradients(now, inputs, targets, counted)
        self._restrain(found, now)
        for name, each in self.moving.items():
            each.grad = found[name]
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return losses

    def arrays(self, place: int) -> dict[str, NDArray[Any]]:
        """What the site at this place has come to, named as in the module's `state_dict`."""
        own = {id(each): name for name, each in self.module.named_parameters()}
        found = {}
        for name, each in self.module.state_dict(keep_vars=True).items():
            known = own.get(id(each), "")
            found[name] = (self.whole[known][place] if known in self.whole else each.detach()).numpy().copy()
        return found

    def _restrain(self, found: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> None:
        """Add what pulls weights back, in the order in which a site by itself does, then shorten each site's whole."""
        for name, each in found.items():
            if self.proximal:
                each.add_(now[name] - self.anchors[name], alpha=self.proximal)
            if self.fit.l1:
                each.add_(now[name].sign(), alpha=self.fit.l1)
        if self.fit.max_grad_norm is not None:
            lengths = torch.stack([torch.linalg.vector_norm(each.flatten(1), dim=1) for each in found.values()])
            scale = (self.fit.max_grad_norm / (torch.linalg.vector_norm(lengths, dim=0) + SMALL)).clamp(max=1.0)
            for each in found.values():
                each.mul_(scale.view(-1, *[1] * (each.dim() - 1)))


def stacked(module: nn.Module, loss: Loss, fit: Fit, *, sites: int, proximal: float = 0.0) -> Stack:
    """Return so many sites that begin with the module's weights as they are, those that learn one above the other."""
    anchors = {name: each.detach().clone() for name, each in module.named_parameters() if each.requires_grad}
    whole = {name: each.expand(sites, *each.shape).clone() for name, each in anchors.items()}
    moving = {name: nn.Parameter(each) for name, each in whole.items()}
    optimizer = optimizer_of(fit, moving.values())
    return Stack(module, fit, proximal, whole, moving, anchors, optimizer, gradients_of(module, loss))


def gradients_of(module: nn.Module, loss: Loss) -> Gradients:
    """Return the gradient of each site's mean loss over the rows that count, for all sites in one computation."""

    def mean(weights: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, counted: Tensor) -> Any:
        outputs = functional_call(module, dict(weights), (inputs,))
        losses = loss(outputs if outputs.dim() > 1 else outputs[:, None], targets)
        return torch.where(counted, losses, 0.0).sum() / counted.sum(), losses.detach()

    differentiated = vmap(grad_and_value(mean, has_aux=True))

    def gradients(
        weights: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, counted: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        found, (_, losses) = differentiated(weights, inputs, targets, counted)
        return found, losses

    return gradients
