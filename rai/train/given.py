"""What a caller hands in to be learned from, as tensors that fit the network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from rai.errors import InputError
from rai.subject import Data, Kind
from rai.train.batches import Rows, rows_of
from rai.train.gradients import answers
from rai.train.losses import Task
from rai.train.splits import split, strata

FEW = 4
Given = Data | Rows | Sequence[Any]
"""Data, rows as tensors, or a pair (X, y) of arrays or tensors."""


@dataclass(frozen=True)
class Parts:
    """The rows to learn from, and those held back to see how well that goes, if any."""

    train: Rows
    held: Rows | None


def rows_given(data: Given, module: nn.Module, task: Task | None = None) -> Rows:
    """Turn `Data`, rows or a pair (X, y) into rows whose targets and kind of number fit what the network answers.

    Of a pair, whole numbers are token numbers where the network has an embedding, and everything else becomes numbers
    of the weights' own kind. `task` is told from the labels (see `rows_of`); a network with several outputs learns
    binary labels as two of its classes. Raises `InputError` where labels and outputs do not fit.
    """
    if isinstance(data, Rows):
        rows = data
    else:
        rows = rows_of(data, task) if isinstance(data, Data) else rows_of(_paired(data, module, task), task)
    if not len(rows):
        raise InputError("holds no rows", where=rows.source.name)
    return _fitting(_typed(rows, module), module)


def parts_of(rows: Rows, validation: Rows | None, *, share: float, seed: int) -> Parts:
    """Return the validation rows that were handed in, or hold back a share of the rows by label and group."""
    if validation is not None or share == 0:
        return Parts(rows, validation)
    found = split(strata(rows.targets.numpy(), rows.groups), share, seed)
    held = rows.take(torch.from_numpy(found.held)) if len(found.held) else None
    return Parts(rows.take(torch.from_numpy(found.kept)), held)


def _paired(given: Sequence[Any], module: nn.Module, task: Task | None) -> Data:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise InputError(f"is a {type(given).__name__}", where="data", expected="rai.subject.Data, or a pair (X, y)")
    X, y = (_array(each, name) for each, name in zip(given, "Xy", strict=True))
    if X.ndim < 2 or len(X) != len(y):
        what = f"X has shape {X.shape}, and y has {len(y)} labels"
        raise InputError(what, where="data", expected="X with rows first, and one label a row")
    _require_said(y, task)
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    tokens = X.dtype.kind in "iu" and any(isinstance(each, nn.Embedding) for each in module.modules())
    kind: Kind = "text" if tokens else "sequence" if X.ndim == 3 else "table"
    return Data(kind, X, np.zeros((len(X), 0)), labels, {}, ())


def _array(given: Any, name: str) -> Any:
    values = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
    if values.dtype.kind not in "fiub" or values.ndim == 0:
        raise InputError(f"holds values of kind {values.dtype}", where=name, expected="an array of numbers")
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _require_said(labels: Any, task: Task | None) -> None:
    if task is None and labels.dtype.kind == "f" and bool(np.isin(labels, (0, 1)).all()):
        raise InputError(
            "all labels are 0.0 or 1.0",
            where="y",
            expected="whole numbers for classes",
            do="say task='binary', 'multilabel' or 'regression'",
        )


def _typed(rows: Rows, module: nn.Module) -> Rows:
    """Numbers of the same kind as the weights; token numbers and class positions stay as they are."""
    kinds = (each.dtype for each in module.parameters() if each.is_floating_point())
    kind = next(kinds, torch.float32)
    pair = (each.to(kind) if each.is_floating_point() else each for each in (rows.inputs, rows.targets))
    inputs, targets = pair
    return replace(rows, inputs=inputs, targets=targets)


def _fitting(rows: Rows, module: nn.Module) -> Rows:
    """The rows, their labels as the network's outputs need them."""
    outputs = _outputs(rows, module)
    if rows.task == "binary" and outputs > 1:
        rows = replace(rows, targets=rows.targets.long(), task="multiclass")
    wanted = _wanted(rows)
    if outputs < wanted if rows.task == "multiclass" else outputs != wanted:
        raise InputError(
            f"gives {outputs} numbers a row, and the labels ask for {wanted}",
            where="network",
            expected=f"{wanted} outputs for {rows.task} labels",
        )
    return rows


def _wanted(rows: Rows) -> int:
    if rows.task == "multiclass":
        return max(2, int(rows.targets.max()) + 1)
    return rows.targets.shape[1] if rows.targets.dim() == 2 else 1


def _outputs(rows: Rows, module: nn.Module) -> int:
    """How many numbers the network gives a row, seen on a few rows; the network is left as it was."""
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            return int(answers(module, rows.inputs[:FEW].to(device)).flatten(1).shape[1])
    except (RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        shape = " × ".join(map(str, rows.inputs.shape[1:]))
        what = f"cannot take rows of shape {shape}"
        raise InputError(what, where="network", do="mend the network's inputs") from None
    finally:
        module.train(training)
