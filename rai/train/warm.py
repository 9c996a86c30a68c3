"""Lets torch load itself before anything is measured."""

import torch


def warm() -> None:
    """Make an optimizer once: torch loads half of itself with the first, a second of work that is no training."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
