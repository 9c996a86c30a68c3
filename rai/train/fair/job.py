"""What every method of training under a criterion is handed, and the promise each of them keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from rai.train.batches import Rows
from rai.train.settings import Fair, Fit


@dataclass(frozen=True)
class Attribute:
    """One sensitive attribute, or a combination of several: its name and its levels by code."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A network to train on rows whose `sensitive` codes (rows, attributes) belong to `attributes`, in that order.

    `held` are rows to watch the criterion on, with codes of the same attributes; None where nothing is held back.
    `fair.strength` is a number by now. `aids` are further keywords of `rai.train.fit` (watch, after_epoch, checkpoint,
    resume, made, origin), handed on as they are. A method's `train(job)` returns the trained model, in evaluation mode,
    and its ledger, without `mitigation`, which the front door fills in.
    """

    network: nn.Module
    rows: Rows
    attributes: tuple[Attribute, ...]
    fair: Fair
    settings: Fit
    held: Rows | None = None
    adversary: nn.Module | None = None
    aids: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strength(self) -> float:
        """How strongly the criterion is asked for."""
        return 0.0 if self.fair.strength is None else self.fair.strength
