"""A network whose answers are adjusted by how likely each group is, so that it need not be told anybody's group."""

import torch
from torch import Tensor, nn

from rai.card import Head
from rai.errors import InputError
from rai.networks.checks import size
from rai.networks.odds import LEAST, between, chances, head_of, logits, lowered, part

MOST_COMBINATIONS = 10_000
MOST_CLASSES = 1_000


def adjusted(  # noqa: PLR0913 - each is a key that a card may give
    *,
    base: nn.Module,
    groups: nn.Module,
    combinations: int,
    classes: int = 2,
    head: str = "logit",
    threshold: float = 0.5,
    flattening: float = 1.0,
) -> "Adjusted":
    """Put two networks together: `base` answers, and `groups` tells how likely each group is, both of the same rows.

    `groups` gives `classes` x `combinations` numbers a row: for each class the logits of each combination of sensitive
    levels. `head` says how the outputs of `base` are read ("logit", "logits", "probability" or "probabilities") and
    `threshold` from which probability of class 1 it says class 1. `flattening` divides the logits of the groups. The
    fresh network adjusts nothing: its weights are 0. Wrong arguments raise `InputError`.
    """
    many = size("combinations", combinations, most=MOST_COMBINATIONS)
    kinds = size("classes", classes, most=MOST_CLASSES)
    reading = head_of(head)
    if kinds < 2 or (kinds > 2 and reading in {Head.LOGIT, Head.PROBABILITY}):
        raise InputError(f"is {kinds}, and head is {reading!s}", where="network.arguments.classes", do="mend either")
    if isinstance(flattening, bool) or not isinstance(flattening, int | float) or not 1 <= flattening <= 100:
        where = "network.arguments.flattening"
        raise InputError(f"is {flattening!r}", where=where, expected="a number from 1 to 100")
    weights = torch.zeros(1 if kinds == 2 else kinds, kinds, many)
    least = between("threshold", threshold)
    inner = part("base", base), part("groups", groups)
    return Adjusted(*inner, weights, head=reading, threshold=least, flattening=float(flattening))


class Adjusted(nn.Module):
    """A `base` and a network of `groups` that reads the same rows, with the `weights` that join them.

    The cost of deciding for class d is c_d(x) = Σ P(y | x) P(k | x, y) w[d, y, k] over classes y and combinations k.
    Of two classes, class 1 is decided for from the probability `threshold` + c(x) on, and the logit given is the base's
    own, shifted so that this happens at `threshold`: the card keeps its threshold. Of more classes, the one with the
    largest P(d | x) - c_d(x) is decided for. All is smooth, nothing is drawn, and nobody's group is asked for. This is
    the form of the best rule that may not see the group (Menon & Williamson 2018; Zeng et al. 2022).
    """

    weights: Tensor

    def __init__(
        self, base: nn.Module, groups: nn.Module, weights: Tensor, *, head: Head, threshold: float, flattening: float
    ) -> None:
        super().__init__()
        self.base = base
        self.groups = groups
        self.head, self.threshold, self.flattening = head, threshold, flattening
        self.register_buffer("weights", weights)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits: (rows, 1) of class 1 where the base gives one number a row, else (rows, classes)."""
        found = logits(self.base(inputs), self.head)
        sure = chances(found)
        costs = torch.einsum("ny,nyk,dyk->nd", sure, self.likely(inputs), self.weights.to(sure.dtype))
        return lowered(found, costs[:, 0], self.threshold) if sure.shape[1] == 2 else _weighed(found, sure, costs)

    def likely(self, inputs: Tensor) -> Tensor:
        """How likely each combination of sensitive levels is, were the class known: (rows, classes, combinations)."""
        found: Tensor = self.groups(inputs)
        return (found.reshape(len(found), *self.weights.shape[1:]) / self.flattening).softmax(dim=2)


def _weighed(found: Tensor, sure: Tensor, costs: Tensor) -> Tensor:
    """Logits of several classes; the costs count from their mean, so the largest chance stays well above 0."""
    left = (sure - costs + costs.mean(dim=1, keepdim=True)).clamp(min=LEAST)
    return left.log() + found.logsumexp(dim=1, keepdim=True)
