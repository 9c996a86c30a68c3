"""Rounds as files: the server of a deployment writes each finished round down, and who submitted the run reads it."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from rai.errors import InputError
from rai.train.federated.book import Sheet
from rai.train.federated.site import Arrays, Evaluated

TOLD, END, UPDATE = "told", "end", "update"
PROBLEM = "problem.txt"
"""Where the server says why it gave up."""


@dataclass(frozen=True)
class Told:
    """All of a round but its arrays; sites are numbers from 0."""

    __pydantic_config__ = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    number: int
    asked: tuple[int, ...]
    examples: dict[int, int] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    norms: dict[int, float] = field(default_factory=dict)
    excluded: dict[int, str] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    evaluations: dict[int, Evaluated] = field(default_factory=dict)
    bytes_down: int = 0
    bytes_up: int = 0
    seconds: float = 0.0


def round_file(folder: Path, number: int) -> Path:
    """Return where a round, counted from 1, is written."""
    return folder / f"round-{number:05}.npz"


def write_round(folder: Path, sheet: Sheet, *, updates: bool) -> None:
    """Write a finished round, with what sites sent where `updates`; the file appears whole or not at all."""
    told = Told(**{name: getattr(sheet, name) for name in Told.__dataclass_fields__})
    arrays: dict[str, Any] = {TOLD: np.array(TypeAdapter(Told).dump_json(told).decode())}
    arrays |= {f"{END}/{name}": each for name, each in sheet.end.items()}
    for site, update in sheet.updates.items() if updates else ():
        arrays |= {f"{UPDATE}/{site}/{name}": each for name, each in update.items()}
    path = round_file(folder, sheet.number)
    draft = path.with_suffix(".part")
    with draft.open("wb") as stream:
        np.savez(stream, **arrays)
    draft.replace(path)


def read_round(folder: Path, number: int, start: Arrays) -> Sheet | None:
    """Read a round that began from `start`; None while it is not written, `InputError` for a file that is no round."""
    path = round_file(folder, number)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = dict(found)
        told = TypeAdapter(Told).validate_json(str(arrays.pop(TOLD)))
    except (OSError, ValueError, KeyError, ValidationError, zipfile.BadZipFile):
        raise InputError("is no round of a federation", where=path, do="run the federation anew") from None
    return Sheet(
        start=start,
        end=_below(arrays, f"{END}/"),
        updates={site: _below(arrays, f"{UPDATE}/{site}/") for site in told.weights if _kept(arrays, site)},
        **{name: getattr(told, name) for name in Told.__dataclass_fields__},
    )


def _kept(arrays: Mapping[str, Any], site: int) -> bool:
    return any(name.startswith(f"{UPDATE}/{site}/") for name in arrays)


def _below(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(start): each for name, each in arrays.items() if name.startswith(start)}
