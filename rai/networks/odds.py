"""What a network's outputs say, turned into logits: for networks that hold another and adjust its answers."""

import torch
from torch import Tensor, nn

from rai.card import Head
from rai.errors import InputError
from rai.networks.checks import one_of

HEADS = (Head.LOGIT, Head.LOGITS, Head.PROBABILITY, Head.PROBABILITIES)
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their logit is taken."""


def head_of(given: object) -> Head:
    """Return the head that a card's argument names, one with classes; raise `InputError` for anything else."""
    return Head(one_of("head", given, HEADS))


def part(key: str, given: object) -> nn.Module:
    """Return `given` when it is a network; raise `InputError` naming the part otherwise."""
    if not isinstance(given, nn.Module):
        raise InputError(f"is {given!r}", where=f"network.parts.{key}", expected="a network with kind and arguments")
    return given


def between(key: str, given: object) -> float:
    """Return `given` as a number between 0 and 1, neither of them."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1:
        raise InputError(f"is {given!r}", where=f"network.arguments.{key}", expected="a number between 0 and 1")
    return float(given)


def logits(outputs: Tensor, head: Head) -> Tensor:
    """Return logits (rows, 1) of class 1, or (rows, classes), whatever the outputs are; logits stay as they are."""
    found = outputs.flatten(1) if outputs.dim() > 1 else outputs[:, None]
    match head:
        case Head.PROBABILITY:
            return torch.logit(found, LEAST)
        case Head.PROBABILITIES:
            return found.clamp(min=LEAST).log()
        case _:
            return found


def chances(found: Tensor) -> Tensor:
    """Return the probability of each class (rows, classes), two of them where there is one logit a row."""
    if found.shape[1] > 1:
        return found.softmax(dim=1)
    return torch.cat([(-found).sigmoid(), found.sigmoid()], dim=1)


def lowered(found: Tensor, cost: Tensor, threshold: float) -> Tensor:
    """Return logits of two classes that say class 1, at `threshold`, where its probability is `threshold + cost`.

    `found` (rows, 1) or (rows, 2), `cost` (rows,). Without a cost the logits stay the same to the last bit.
    """
    plain = torch.full_like(cost, threshold)
    shift = torch.logit(plain + cost, LEAST) - torch.logit(plain, LEAST)
    if found.shape[1] == 1:
        return found - shift[:, None]
    return torch.stack([found[:, 0], found[:, 1] - shift], dim=1)
