"""A network that decides from a threshold of its own for each group; it must be told which group a row belongs to."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rai.errors import InputError
from rai.networks.checks import size, sizes
from rai.networks.odds import between, head_of, logits, lowered, part

MOST_THRESHOLDS = 100_000


def thresholded(
    *, base: nn.Module, levels: Sequence[int], head: str = "logit", threshold: float = 0.5
) -> "Thresholded":
    """Give a network of two classes a threshold for each group.

    The rows are those of `base`, followed by one column for each of the `levels` of each sensitive attribute, 1 for
    the level that the row has and 0 for the others. `head` says how the outputs of `base` are read, and `threshold`
    from which probability of class 1 it says class 1. The fresh network shifts nothing. Wrong arguments raise
    `InputError`.
    """
    many = sizes("levels", levels)
    if not many:
        raise InputError("is empty", where="network.arguments.levels", expected="how many levels each attribute has")
    size("levels", math.prod(many), most=MOST_THRESHOLDS)
    return Thresholded(part("base", base), many, head_of(head), between("threshold", threshold))


class Thresholded(nn.Module):
    """A `base`, and by combination of levels what is added to its threshold: `costs`, of shape `levels`.

    The logit given is the base's own, shifted so that the group's threshold lies at `threshold`: the card keeps its
    threshold. A row with 0 in every column of an attribute is of no known group, and the base's own threshold holds.
    The thresholds are those of Hardt et al. 2016 (arXiv:1610.02413), without their draws.
    """

    costs: Tensor

    def __init__(self, base: nn.Module, levels: tuple[int, ...], head: str, threshold: float) -> None:
        super().__init__()
        self.base = base
        self.levels, self.head, self.threshold = levels, head_of(head), threshold
        self.register_buffer("costs", torch.zeros(levels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (rows, 1) of class 1, or (rows, 2), to rows (rows, inputs of the base + columns of the groups)."""
        own = inputs[:, : inputs.shape[1] - sum(self.levels)].contiguous()
        told = torch.split(inputs[:, own.shape[1] :], list(self.levels), dim=1)
        return lowered(logits(self.base(own), self.head), self._cost(told), self.threshold)

    def _cost(self, told: Sequence[Tensor]) -> Tensor:
        """What the threshold of each row's combination differs by, 0 where a level is not told: (rows,)."""
        combined = told[0]
        for each in told[1:]:
            combined = (combined[:, :, None] * each[:, None, :]).flatten(1)
        return combined @ self.costs.flatten().to(combined.dtype)
