import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rai.card import Card, Column, Network
from rai.networks import build


def card_for(module: nn.Module, **fields) -> Card:
    """A card for an mlp of relu layers."""
    linear = [each for each in module.modules() if isinstance(each, nn.Linear)]
    hidden = tuple(each.out_features for each in linear[:-1])
    network = Network("mlp", {"inputs": linear[0].in_features, "outputs": linear[-1].out_features, "hidden": hidden})
    columns = tuple(Column(f"x{i}", "number") for i in range(linear[0].in_features))
    standard = {"task": "binary", "classes": ("no", "yes"), "network": network, "columns": columns}
    return Card(**(standard | fields))


def torch_answer(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(rows)).numpy()
    return found[:, None] if found.ndim == 1 else found


def make(inputs: int = 5, outputs: int = 1, hidden: Sequence[int] = (8, 4), seed: int = 0, **extra) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(Network("mlp", {"inputs": inputs, "outputs": outputs, "hidden": tuple(hidden), **extra}))
        for each in network.parameters():
            nn.init.normal_(each, std=1.0)
    return network


def script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module.eval()).save(str(path))
    return path


def export(module: nn.Module, path: Path, *, rows: int = 5, dynamic: bool = True) -> Path:
    inputs = next(each.in_features for each in module.modules() if isinstance(each, nn.Linear))
    shapes = ({0: torch.export.Dim("rows")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module.eval(), (torch.randn(rows, inputs),), dynamic_shapes=shapes)
        torch.export.save(program, str(path))
    return path


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)


@pytest.fixture
def kit(rows, one_line) -> SimpleNamespace:
    """Builders and checks shared by the tests of this folder."""
    return SimpleNamespace(
        card=card_for, answer=torch_answer, make=make, script=script, export=export, rows=rows, one_line=one_line
    )


@pytest.fixture
def one_line() -> Callable[[str], None]:
    """Hold an error's text to the house's rule: one short line, and no library speaks in it."""

    def check(text: str) -> None:
        assert "\n" not in text
        assert len(text) <= 600
        for word in ("Traceback", "weights_only", "torch.load(", "Error(", "C10", "site-packages", "docs.pytorch"):
            assert word not in text

    return check
