"""The price of privacy: how right the private model is, and a twin that was trained on the same rows without it."""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from rai.errors import InputError
from rai.train.batches import Rows
from rai.train.fitting import fit
from rai.train.gradients import answers
from rai.train.monitor import metrics_of
from rai.train.settings import Fit, Private

PIECE = 1024


def require_held(promise: Private, held: Rows | None) -> None:
    """Raise `InputError` where a comparison is wanted and there are no rows to make it on."""
    if promise.compare and held is None:
        raise InputError("needs validation rows", where="private.compare", do="hand in rows that are not trained on")


def compared(
    private: nn.Module, fresh: nn.Module, rows: Rows, held: Rows, plan: tuple[Fit, Private]
) -> Mapping[str, float]:
    """Return, overall and for each group of the rows held back, the private model's figure less the twin's.

    The twin starts from the network `fresh` and takes as many passes over the rows, in batches of the expected size.
    What comes out is "accuracy", "accuracy/sex=Female" and so on for the differences, and "accuracy of the twin" for
    the level they start from; for regression "absolute error".
    """
    settings, promise = plan
    passes = max(1, math.ceil(promise.steps * promise.sample_rate))
    alike = replace(settings, epochs=passes, batch_size=max(1, round(promise.expected_batch)), validation=0.0)
    twin = fit(fresh, rows, settings=alike, task=rows.task).model
    ours, theirs = (_metrics(each, held) for each in (private, twin))
    levels = {f"{name} of the twin": value for name, value in theirs.items() if "/" not in name}
    return {**{name: ours[name] - theirs[name] for name in ours}, **levels}


def _metrics(module: nn.Module, held: Rows) -> Mapping[str, float]:
    with torch.no_grad():
        outputs = torch.cat([answers(module, each) for each in torch.split(held.inputs, PIECE)])
    return metrics_of(held.task, outputs, held.targets, held.groups)
