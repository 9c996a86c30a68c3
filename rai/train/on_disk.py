"""A network with fresh weights to begin from, and the file its weights are kept in."""

from pathlib import Path

import torch
from torch import nn

from rai.card import Network
from rai.networks import build


def fresh(network: Network, seed: int) -> nn.Module:
    """Make the network a card names, with weights drawn from the seed; the draws of others are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(network)


def save(model: nn.Module, path: Path) -> None:
    """Write the weights alone, as tensors by name: a file that carries no code."""
    torch.save({name: each.detach().cpu().contiguous() for name, each in model.state_dict().items()}, path)
