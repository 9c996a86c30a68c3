"""Which rows a private step learns from: each unit by a coin of its own, tossed with randomness nobody can repeat.

Poisson sampling is what the promise is computed for (Abadi et al. 2016); shuffled batches would keep less than is
promised. The rate is a public number: how many rows there are decides nothing but how many coins are tossed.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rai.errors import InputError
from rai.train.batches import Rows

GROUP = "group:"


@dataclass(frozen=True)
class Units:
    """Whose data is protected: `members[i]` are the positions of the rows of unit i, or None where each row is one."""

    count: int
    members: tuple[Tensor, ...] | None = None


def secret() -> np.random.Generator:
    """Return a random generator with 256 bits of the operating system's randomness; its state is written nowhere."""
    return np.random.Generator(np.random.PCG64DXSM(int.from_bytes(os.urandom(32), "big")))


def units_of(rows: Rows, unit: str) -> Units:
    """Return the units that "record" or "group:COLUMN" stands for.

    Raises `InputError` for another word, for a column that is no group of the data, and where a row's group is unknown.
    """
    if unit == "record":
        return Units(len(rows))
    name = unit.removeprefix(GROUP)
    if not unit.startswith(GROUP) or name not in rows.groups:
        known = ", ".join(f'"{GROUP}{each}"' for each in rows.groups) or f'"{GROUP}COLUMN" (the data has no groups)'
        raise InputError(f"is {unit!r}", where="private.unit", expected=f'"record" or {known}')
    codes = rows.groups[name].codes
    if (codes < 0).any():
        raise InputError(f"{name} is unknown for some rows", where="private.unit", do="leave such rows out")
    levels = np.unique(codes)
    return Units(len(levels), tuple(torch.from_numpy(np.flatnonzero(codes == level)) for level in levels))


def poisson(count: int, sample_rate: float, rng: np.random.Generator) -> Tensor:
    """Return the positions drawn among `count` units, each by itself with chance `sample_rate`; there may be none."""
    return torch.from_numpy(np.flatnonzero(rng.random(count) < sample_rate))


def sizes_of(rows: int, most: int) -> list[int]:
    """Cut so many rows into parts of at most `most`, which memory holds: the sizes of the parts."""
    return [most] * (rows // most) + [rows % most] * (rows % most > 0)
