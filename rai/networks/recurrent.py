"""The recurrent network: it reads a sequence step by step and answers from what it remembers at the end."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from rai.errors import InputError
from rai.networks.checks import MOST_LAYERS, flag, one_of, require_total, share, size
from rai.networks.layers import ended, read

CELLS: Mapping[str, Callable[..., nn.RNNBase]] = MappingProxyType({"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU})
GATES: Mapping[str, int] = MappingProxyType({"rnn": 1, "lstm": 4, "gru": 3})
"""How many sets of weights each kind of cell has."""


def recurrent(  # noqa: PLR0913 - each is a key that a card may give
    *,
    inputs: int,
    outputs: int,
    kind: str = "lstm",
    hidden: int = 32,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> "Recurrent":
    """Make a recurrent network from sequences (rows, steps, `inputs` features) to (rows, `outputs`).

    NaN marks the steps after a short sequence's end; they are not read, so the answer is the same however many
    follow. `kind` is "rnn", "lstm" or "gru", with `layers` layers that remember `hidden` numbers each; with
    `bidirectional`, a second reader starts from the end. `dropout` acts between layers and before the answer. Wrong
    arguments, or more than 2³¹ parameters in all, raise `InputError` before anything is allocated.
    """
    cell = CELLS[one_of("kind", kind, CELLS)]
    width, deep, rate = size("hidden", hidden), size("layers", layers, most=MOST_LAYERS), share("dropout", dropout)
    ways = 2 if flag("bidirectional", bidirectional) else 1
    known, answers = size("inputs", inputs), size("outputs", outputs)
    read_first, read_later = known + width + 2, (ways + 1) * width + 2
    total = ways * GATES[kind] * width * (read_first + (deep - 1) * read_later)
    require_total(total + (ways * width + 1) * answers)
    between = rate if deep > 1 else 0.0
    core = cell(known, width, deep, batch_first=True, bidirectional=bidirectional, dropout=between)
    return Recurrent(core, rate, answers)


class Recurrent(nn.Module):
    """A recurrent core and a weighted sum of the state in which each sequence leaves it."""

    def __init__(self, core: nn.RNNBase, dropout: float, outputs: int) -> None:
        super().__init__()
        self.core = core
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(core.hidden_size * (2 if core.bidirectional else 1), outputs)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Answers (rows, outputs) to sequences (rows, steps, features); one without any step reads as one step of 0."""
        if sequences.shape[2] != self.core.input_size:  # torch's LSTM answers such packed sequences with nonsense
            raise InputError(
                f"the network reads {self.core.input_size} features a step, and the rows have {sequences.shape[2]}",
                where="network.arguments.inputs",
            )
        over = ended(sequences)
        steps = (~over).sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(read(sequences, over), steps, batch_first=True, enforce_sorted=False)
        _, last = self.core(packed)
        state = last[0] if isinstance(last, tuple) else last
        both = torch.cat([state[-2], state[-1]], dim=1) if self.core.bidirectional else state[-1]
        return self.head(self.dropout(both))  # type: ignore[no-any-return]
