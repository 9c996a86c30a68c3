"""The pull back to the common weights, so that a site does not walk off with its own rows (Li et al. 2020)."""

from torch import Tensor, nn

from rai.train.batches import Batch
from rai.train.loop import Gradients


def pulled(source: Gradients, module: nn.Module, proximal: float) -> Gradients:
    """Return the source with the pull back to the module's weights as they are now added to its gradients.

    `proximal` is the weight of half the squared distance from them in the loss (FedProx, arXiv:1812.06127); 0 pulls
    nothing.
    """
    if not proximal:
        return source
    anchors = [(each, each.detach().clone()) for each in module.parameters()]

    def gradients(module: nn.Module, batch: Batch) -> Tensor:
        found = source(module, batch)
        for each, anchor in anchors:
            if each.grad is not None:
                each.grad.add_(each.detach() - anchor, alpha=proximal)
        return found

    return gradients
