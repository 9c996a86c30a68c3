"""Teaches a network how likely each group is, by what a row looks like and which class it is of."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from rai.card import Network
from rai.networks.mlp import mlp
from rai.subject import Ints
from rai.train.batches import Rows
from rai.train.fair.cells import Combinations
from rai.train.fitting import fit
from rai.train.settings import Fit
from rai.train.setup import forked, replace_head
from rai.train.trained import Trained

HIDDEN = (64,)


@dataclass(frozen=True)
class Labelled:
    """Rows with the class that each is of (`labels`) and its combination of sensitive levels (`cells`), both int64."""

    rows: Rows
    labels: torch.Tensor
    cells: torch.Tensor

    def joint(self, many: int) -> Rows:
        """Return the rows, to learn class and combination from as one: class x `many` + combination."""
        return replace(self.rows, targets=self.labels * many + self.cells, task="multiclass", groups={})


def codes_of(rows: Rows) -> Ints:
    """Return each row's level of each attribute, (rows, attributes), -1 where it is unknown."""
    if rows.sensitive is None:
        raise RuntimeError("the rows carry no sensitive codes")
    return np.asarray(rows.sensitive.numpy())


def labelled(rows: Rows, found: Combinations) -> Labelled:
    """Return those of the rows whose combination of levels is among those found."""
    cells = torch.from_numpy(found.of(codes_of(rows)))
    known = torch.nonzero(cells >= 0).flatten()
    kept = rows.take(known)
    return Labelled(kept, kept.targets.long().flatten(), cells[known])


def teach(base: nn.Module, learned: Labelled, held: Labelled | None, shape: tuple[int, int], settings: Fit) -> Trained:
    """Train a network that gives, for each of `shape` (classes, combinations), a logit: softmax is the chance of both.

    Tables get a perceptron of one hidden layer. Anything else gets a copy of the base with a new last layer, which
    begins with what the base has learned. All settings but weights of classes and frozen layers are those given.
    """
    classes, many = shape
    plain = replace(settings, class_weight=None, freeze=(), unfreeze_after=None)
    given = None if held is None or not len(held.rows) else held.joint(many)
    with forked(base):
        torch.manual_seed(settings.seed)
        network = network_for(base, learned.rows, classes * many)
    return fit(network, learned.joint(many), settings=plain, validation=given, task="multiclass")


def network_for(base: nn.Module, rows: Rows, outputs: int) -> nn.Module:
    """Return the network that tells the groups apart, before it has learned to."""
    if rows.inputs.dim() == 2 and rows.inputs.is_floating_point():
        return mlp(inputs=rows.inputs.shape[1], outputs=outputs, hidden=HIDDEN).to(rows.inputs.dtype)
    fresh = replace_head(base, outputs)
    return fresh.requires_grad_(requires_grad=True)


def network_of(groups: nn.Module, base: Network, outputs: int) -> Network:
    """Return what a card says of the network that tells groups apart, beside a `base` that the card names."""
    linear = [each for each in groups if isinstance(each, nn.Linear)] if isinstance(groups, nn.Sequential) else []
    if len(linear) < 2:
        return replace(base, arguments={**base.arguments, "outputs": outputs})
    hidden = tuple(each.out_features for each in linear[:-1])
    return Network("mlp", {"inputs": linear[0].in_features, "outputs": outputs, "hidden": hidden})
