"""Trials that were already trained, kept as files, each named by everything that determines it.

A file is JSON and holds its own SHA-256. One that was cut short, changed, or written for something else is as good as
none: the trial is trained again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from rai.files import write_atomic
from rai.ledger import Trial
from rai.sealed import digest_of, sealed, unsealed

KIND, SEAL = "rai trial 1", "sha256"
ADAPTER: TypeAdapter[Trial] = TypeAdapter(Trial)


def key_of(everything: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values, whatever the order of their names."""
    return digest_of({"kind": KIND, **everything})


def identity(network: nn.Module) -> str:
    """Return the SHA-256 of a network: its class, its architecture as torch prints it, and every number in it."""
    digest = hashlib.sha256(f"{type(network).__module__}.{type(network).__qualname__}\n{network}\n".encode())
    for name, values in network.state_dict().items():
        here = values.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(here.shape)} {here.dtype}\n".encode())
        digest.update(here.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def keep(folder: Path | None, key: str, trial: Trial) -> None:
    """Write a trial so that a crash leaves a whole file or none; without a folder, nothing is written."""
    if folder is not None:
        content = {"key": key, "trial": asdict(trial)}
        write_atomic(_place(folder, key), sealed(content, seal=SEAL, kind=KIND))


def recalled(folder: Path | None, key: str) -> Trial | None:
    """Return the trial that was kept under this key, or None where there is none that can be believed."""
    if folder is None:
        return None
    try:
        found = unsealed(_place(folder, key).read_bytes(), seal=SEAL, kind=KIND)
        return ADAPTER.validate_python(found["trial"]) if found and found["key"] == key else None
    except (OSError, KeyError, ValidationError):
        return None


def _place(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"
