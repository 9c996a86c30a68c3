"""Several networks that answer as one: each has a share of the say, and all of them are asked for every row."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.errors import InputError
from rai.networks.checks import require_total, size

MOST_MEMBERS = 100
"""More networks than this in one mixture are a mistake or an attack."""
CERTAIN = 30.0
"""The logit of a member that gives every row the same answer."""


class Mixture(nn.Module):
    """Networks with one logit each whose chances are averaged; the same row always gets the same answer.

    `shares` (members + 2) are the weights of the mean and add up to 1; they are saved with the weights. The last two
    belong to members that need no network: the one that always says no, and the one that always says yes.
    """

    shares: Tensor

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        equal = [1 / len(members)] * len(members)
        self.register_buffer("shares", torch.tensor([*equal, 0.0, 0.0]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logit of the weighted mean of the members' chances, shape (rows, 1)."""
        answers = torch.cat([member(inputs).reshape(len(inputs), 1) for member in self.members], dim=1)
        fixed = answers.new_tensor([-CERTAIN, CERTAIN]).expand(len(inputs), 2)
        logits, weights = torch.cat([answers, fixed], dim=1), self.shares.to(answers.dtype).log()
        yes = torch.logsumexp(functional.logsigmoid(logits) + weights, dim=1)
        no = torch.logsumexp(functional.logsigmoid(-logits) + weights, dim=1)
        return (yes - no).unsqueeze(1)


def mixture(*, count: int, member: nn.Module) -> Mixture:
    """Make `count` copies of the network `member`, which gives one logit a row, that answer as one.

    Wrong arguments, or more than 2³¹ parameters in all, raise `InputError` before anything is copied.
    """
    many = size("count", count, most=MOST_MEMBERS)
    if not isinstance(member, nn.Module):
        raise InputError("is no network", where="network.parts.member", expected="a table with a kind")
    if any(isinstance(each, Mixture) for each in member.modules()):
        raise InputError("is a mixture itself", where="network.parts.member", expected="a network that is none")
    require_total(many * sum(each.numel() for each in member.parameters()))
    return Mixture([copy.deepcopy(member) for _ in range(many)])
