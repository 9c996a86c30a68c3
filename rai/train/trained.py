"""What training gives back: the model it made, and the account of how it was made."""

from dataclasses import dataclass

from torch import nn

from rai.ledger import Ledger


@dataclass(frozen=True)
class Trained:
    """A trained model in evaluation mode, on the CPU, and its ledger.

    `ledger.model` is "" until the model is written: the file's hash belongs there.
    """

    model: nn.Module
    ledger: Ledger
