"""Whoever guesses the group from what the model answers: what it is shown, its layers, and how wrong it is.

Source of the form: Zhang, Lemoine & Mitchell 2018 (arXiv:1801.07593), section 4, here for any number of classes, for
values, and for several attributes with several levels each.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from rai.errors import InputError
from rai.networks.mlp import mlp
from rai.train.batches import Batch, Rows
from rai.train.fair.job import Attribute
from rai.train.losses import Task

STEEP: Mapping[str, float] = MappingProxyType(
    {"demographic_parity": 2.0, "equalized_odds": 10.0, "equal_opportunity": 10.0}
)
"""How much steeper than the model's own probability the adversary's view of it is at first.

Measured on census data: among rows of one label most scores lie far on one side of one half, and a soft view makes the
adversary fight over those rather than over the rows that cross.
"""


class View(nn.Module):
    """What the adversary is shown of a row: the model's score and, where the criterion allows for it, the true answer.

    The score s is a probability made steeper by a factor that the adversary learns, since what is judged in the end is
    a step at one half: one number for binary, one for each class for multiclass; for regression the value in standard
    deviations of the targets. Shown are

    - demographic parity, and for values any criterion: s;
    - equalized odds: s for the rows of each class in columns of their own (0 elsewhere), and the class:
      [s·y, s·(1-y), y, 1-y] for binary;
    - equal opportunity: of binary rows s, where the true answer is yes (other rows do not count); of several classes
      each row's score of its own class, in that class's column, and the class.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, rows: Rows, criterion: str, outputs: int) -> None:
        super().__init__()
        self.task: Task = rows.task
        self.criterion, self.outputs = criterion, outputs
        aims = rows.targets.reshape(len(rows), -1).double()
        spread = aims.std(dim=0, correction=0)
        kind = rows.inputs.dtype if rows.inputs.is_floating_point() else torch.float32
        self.register_buffer("mean", aims.mean(dim=0).to(kind), persistent=False)
        self.register_buffer("spread", torch.where(spread > 0, spread, 1.0).to(kind), persistent=False)
        self.steeper = (
            nn.Parameter(torch.tensor(STEEP[criterion] - 1, dtype=kind)) if rows.task != "regression" else None
        )

    @property
    def width(self) -> int:
        """How many numbers the adversary is shown of a row."""
        many = self.outputs
        if self.score_alone:
            return many
        if self.task == "multiclass":
            return many * many + many if self.criterion == "equalized_odds" else 2 * many
        return 4

    @property
    def score_alone(self) -> bool:
        """Whether the true answer is kept from the adversary, or is the same for all rows that count."""
        positives = self.task == "binary" and self.criterion == "equal_opportunity"
        return positives or self.task == "regression" or self.criterion == "demographic_parity"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what is shown, (rows, width), of outputs (rows, outputs) and targets."""
        score = self.score(outputs)
        if self.score_alone:
            return score
        if self.task == "multiclass":
            return self._by_class(score, targets)
        yes = targets.reshape(outputs.shape)
        return torch.cat([score * yes, score * (1 - yes), yes, 1 - yes], dim=1)

    def score(self, outputs: Tensor) -> Tensor:
        """Return the score alone, (rows, outputs)."""
        if self.steeper is None:
            return (outputs - self.mean) / self.spread
        steep = (1 + self.steeper.abs()) * outputs
        return torch.softmax(steep, dim=1) if self.task == "multiclass" else torch.sigmoid(steep)

    def _by_class(self, score: Tensor, targets: Tensor) -> Tensor:
        member = functional.one_hot(targets, self.outputs).to(score)
        if self.criterion == "equal_opportunity":
            return torch.cat([score * member, member], dim=1)
        return torch.cat([(score[:, None] * member[:, :, None]).flatten(1), member], dim=1)


class Guess(nn.Module):
    """How wrong an adversary's guesses are: cross-entropy, a sum over attributes of means over the rows that count.

    A row counts for an attribute where its level is known and, for equal opportunity of binary rows, where the true
    answer is yes. The mean is taken over as many rows as would count in a batch of that size if it were like all rows,
    so that a batch with few of them weighs little, and one with none gives 0.
    """

    def __init__(self, rows: Rows, criterion: str, attributes: Sequence[Attribute]) -> None:
        super().__init__()
        self.levels = [len(each.levels) for each in attributes]
        self.positives = rows.task == "binary" and criterion == "equal_opportunity"
        counted = (self.counted(codes_of(rows), rows.targets) >= 0).sum(dim=0)
        self.shares = [max(1, many) / len(rows) for many in counted.tolist()]

    def forward(self, logits: Tensor, codes: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, one number, of logits (rows, levels of all attributes side by side)."""
        known = self.counted(codes, targets).unbind(dim=1)
        found = logits.new_zeros(())
        for guess, true, share in zip(torch.split(logits, self.levels, dim=1), known, self.shares, strict=True):
            wrong = functional.cross_entropy(guess, true, ignore_index=-1, reduction="sum")
            found = found + wrong / (share * max(1, len(logits)))
        return found

    def counted(self, codes: Tensor, targets: Tensor) -> Tensor:
        """The codes (rows, attributes) with -1 for rows that do not count."""
        if not self.positives:
            return codes
        return torch.where(targets.reshape(-1, 1) > 0.5, codes, -1)


def codes_of(rows: Rows | Batch) -> Tensor:
    """The sensitive codes of the rows, (rows, attributes); raise `InputError` where there are none."""
    if rows.sensitive is None:
        raise InputError(
            "the rows do not say who is in which group", where="sensitive", do="name the sensitive columns"
        )
    return rows.sensitive


def adversary_of(hidden: Sequence[int], width: int, levels: int) -> nn.Module:
    """Make the usual adversary: from what it is shown through `hidden` layers to a logit for each level."""
    return mlp(inputs=width, outputs=levels, hidden=hidden)


def require_fitting(adversary: nn.Module, shown: Tensor, levels: int) -> None:
    """Raise `InputError` unless the adversary turns what it is shown (rows, width) into logits (rows, levels)."""
    try:
        found = adversary(shown)
    except Exception:  # noqa: BLE001 - a stranger's module may raise anything here
        found = None
    if not isinstance(found, Tensor) or found.shape != (len(shown), levels):
        gives = "fails on" if found is None else f"gives {tuple(getattr(found, 'shape', ()))} for"
        raise InputError(
            f"{gives} an input of shape {tuple(shown.shape)}",
            where="adversary",
            expected=f"logits of shape {(len(shown), levels)}: one for each level of each attribute, side by side",
        )
