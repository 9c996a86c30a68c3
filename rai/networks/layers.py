"""Parts that several architectures share: norms for images, and how the end of a short sequence is told."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in 8 groups, or as many as divide both 8 and the channels. Source: arXiv:1803.08494."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


NORMS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType({"batch": nn.BatchNorm2d, "group": group_norm})
"""Normalisation of images by its name in a card."""


def ended(sequences: torch.Tensor) -> torch.Tensor:
    """Where each sequence is over, (rows, steps) bool: its steps after the last that holds a number.

    `sequences` has shape (rows, steps, features). Only the NaN after the end count: a step in the middle that is NaN
    stays part of the sequence.
    """
    alive = ~sequences.isnan().all(dim=2)
    return alive.flip(1).cummax(dim=1).values.flip(1).logical_not()


def read(sequences: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
    """The same sequences with 0 after their end, so that NaN reaches neither answer nor gradient."""
    return sequences.masked_fill(over[:, :, None], 0.0)
