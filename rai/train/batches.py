"""Rows as tensors, ready to be learned from: whole, in part, and in batches."""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rai.errors import InputError
from rai.ledger import Fingerprint
from rai.subject import Data, Groups, Ints, Source
from rai.train.losses import Task

MEMORY = Source("in memory")
PIECE = 4096


@dataclass(frozen=True)
class Batch:
    """Some rows: what the network is handed, and what it should answer. It may hold no rows.

    `sensitive` (rows, attributes), int64, says which level of each attribute a row has, -1 where that is unknown; it is
    for the training criterion alone, and no network is handed it.
    """

    inputs: Tensor
    targets: Tensor
    sensitive: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> "Batch":
        """The same rows on a device."""
        sensitive = None if self.sensitive is None else self.sensitive.to(device)
        return Batch(self.inputs.to(device), self.targets.to(device), sensitive)


@dataclass(frozen=True)
class Rows:
    """All rows of a data set as tensors.

    `inputs`: float32, or int64 token numbers; sequences keep NaN after the end of a short one. `targets`: float32, for
    several classes int64. `groups` hold codes row by row; `sensitive` holds those that a training criterion reads, as
    a tensor (see `Batch`).
    """

    inputs: Tensor
    targets: Tensor
    task: Task
    groups: Mapping[str, Groups] = field(default_factory=dict)
    source: Source = MEMORY
    sensitive: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, positions: Tensor) -> Batch:
        """The rows at these positions, as a batch."""
        inputs, targets = (each.index_select(0, positions) for each in (self.inputs, self.targets))
        return Batch(inputs, targets, _at(self.sensitive, positions))

    def take(self, positions: Tensor) -> "Rows":
        """The rows at these positions, in this order, with their groups."""
        kept = {name: replace(each, codes=each.codes[positions.numpy()]) for name, each in self.groups.items()}
        return replace(
            self,
            inputs=self.inputs[positions],
            targets=self.targets[positions],
            groups=kept,
            sensitive=_at(self.sensitive, positions),
        )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """How many rows there are, and the SHA-256 of their inputs, targets and groups, in order.

        Numbers are read as int64 or float64, so that it does not depend on what kind of numbers a network takes.
        """
        digest = hashlib.sha256()
        groups = [(name, self.groups[name].codes) for name in sorted(self.groups)]
        for name, values in [("inputs", self.inputs.numpy()), ("targets", self.targets.numpy()), *groups]:
            kind = np.float64 if values.dtype.kind == "f" or name == "targets" else np.int64
            digest.update(f"{name} {values.shape} {np.dtype(kind).str}\n".encode())
            for start in range(0, len(values), PIECE):
                digest.update(np.ascontiguousarray(values[start : start + PIECE], dtype=kind).tobytes())
        return Fingerprint(len(self), digest.hexdigest(), self.source.name, self.source.sha256)


def _at(values: Tensor | None, positions: Tensor) -> Tensor | None:
    return None if values is None else values.index_select(0, positions)


def steps_in(rows: int, size: int) -> int:
    """How many batches of `size` all rows make; a last batch of one row is added to the one before it."""
    return max(1, rows // size + (rows % size > (1 if rows > size else 0)))


def order_of(rows: int, seed: int, epoch: int) -> Ints:
    """Return the order in which an epoch, counted from 0, goes through all rows; it hangs on seed and epoch alone."""
    return np.random.default_rng([seed, zlib.crc32(b"order of rows"), epoch]).permutation(rows)


def shuffled(rows: int, size: int, seed: int) -> Callable[[int], Tensor]:
    """Return a sampler that goes through all rows once an epoch, in an order that hangs on seed and epoch alone.

    It answers a step, counted from 0, with the positions of the step's rows (int64).
    """
    many = steps_in(rows, size)

    @lru_cache(maxsize=1)
    def order(epoch: int) -> Tensor:
        return torch.from_numpy(order_of(rows, seed, epoch))

    def positions(step: int) -> Tensor:
        epoch, place = divmod(step, many)
        return order(epoch)[place * size : None if place == many - 1 else (place + 1) * size]

    return positions


def rows_of(data: Data, task: Task | None = None) -> Rows:
    """Turn labelled data into tensors.

    Without `task`, real-numbered labels make it regression, labels of several columns multilabel, class positions 0 and
    1 alone binary, and more of them multiclass. Raises `InputError` for rows without labels, for a data frame, and
    naming the first row that holds NaN or infinity (NaN after a sequence's end is meant).
    """
    where = data.source.name
    if data.labels is None:
        raise InputError("the rows have no labels", where=where, do="give what the model should learn to answer")
    if hasattr(data.inputs, "iloc"):
        raise InputError("the rows are a data frame", where=where, expected="numbers that a torch module takes")
    inputs = np.array(data.inputs, dtype=np.int64 if data.kind == "text" else np.float32)
    _require_finite(inputs, where, sequence=data.kind == "sequence")
    chosen = task or _task(np.asarray(data.labels))
    return Rows(torch.from_numpy(inputs), _targets(data.labels, chosen, where), chosen, data.groups, data.source)


def _task(labels: Any) -> Task:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return "multilabel" if bool(np.isin(labels, (0, 1)).all()) else "regression"
    if labels.dtype.kind == "f":
        return "regression"
    return "binary" if int(labels.max(initial=0)) <= 1 else "multiclass"


def _targets(labels: Any, task: Task, where: str) -> Tensor:
    values = np.asarray(labels)
    if not np.isfinite(values).all():
        raise InputError("the labels hold NaN or infinity", where=where, do="leave such rows out")
    if task != "regression":
        _require_classes(values, task, where)
    return torch.from_numpy(values.astype(np.int64 if task == "multiclass" else np.float32))


def _require_classes(values: Any, task: Task, where: str) -> None:
    whole = bool((values == np.floor(values)).all()) and int(values.min(initial=0)) >= 0
    if not whole:
        raise InputError("the labels are not class positions", where=where, expected="0, 1, 2 … for the classes")
    if task != "multiclass" and int(values.max(initial=0)) > 1:
        what = f"the labels reach {int(values.max())}, and task is {task!r}"
        raise InputError(what, where=where, expected="0 or 1", do="name the task that is meant")


def _require_finite(inputs: Any, where: str, *, sequence: bool) -> None:
    odd = np.isinf(inputs) if sequence else ~np.isfinite(inputs)
    bad = np.flatnonzero(odd.any(axis=tuple(range(1, odd.ndim))))
    if len(bad):
        what = f"row {bad[0] + 1} (the first is 1) holds {'infinity' if sequence else 'NaN or infinity'}"
        raise InputError(what, where=where, do="fill in what is missing, or leave such rows out")
