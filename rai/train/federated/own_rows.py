"""The file in which a site of a rehearsal keeps its own rows: tensors as they are learned from, and no code."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import Groups
from rai.train.batches import Rows
from rai.train.given import Parts
from rai.train.losses import Task

TRAIN, HELD = "train", "held"


def save_parts(path: Path, parts: Parts) -> None:
    """Write the rows that a site learns from and those it holds back into one `.npz` file."""
    arrays: dict[str, Any] = dict(_arrays(TRAIN, parts.train))
    if parts.held is not None:
        arrays |= _arrays(HELD, parts.held)
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def read_parts(path: Path, task: Task) -> Parts:
    """Read a site's rows again; raise `InputError` where the file holds none."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = dict(found)
        train = _rows(TRAIN, arrays, task)
        return Parts(train, _rows(HELD, arrays, task) if f"{HELD}/inputs" in arrays else None)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise InputError("holds no rows of a site", where=path, do="write it with fit_federated") from None


def holds_parts(path: Path) -> bool:
    """Whether a file holds tensors that `save_parts` wrote; other files are read as a card says."""
    try:
        with zipfile.ZipFile(path) as found:
            return f"{TRAIN}/inputs.npy" in found.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _arrays(part: str, rows: Rows) -> dict[str, NDArray[Any]]:
    levels = json.dumps([[name, list(group.levels)] for name, group in rows.groups.items()])
    found = {"inputs": rows.inputs.numpy(), "targets": rows.targets.numpy(), "levels": np.array(levels)}
    codes = {f"codes/{place}": group.codes for place, group in enumerate(rows.groups.values())}
    return {f"{part}/{name}": array for name, array in {**found, **codes}.items()}


def _rows(part: str, arrays: Mapping[str, NDArray[Any]], task: Task) -> Rows:
    levels = json.loads(str(arrays[f"{part}/levels"]))
    groups = {
        name: Groups(name, tuple(known), arrays[f"{part}/codes/{place}"]) for place, (name, known) in enumerate(levels)
    }
    inputs, targets = (torch.from_numpy(arrays[f"{part}/{name}"]) for name in ("inputs", "targets"))
    return Rows(inputs, targets, task, groups)
