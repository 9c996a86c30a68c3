"""Rules for recurrent layers: read step by step, so that the tape sees what each step was told.

The same sums as torch's, without its fused kernels; the weights of the steps are followed as one weighted sum at many
positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rai.train.private.contributions import Affine, of_affine
from rai.train.private.layer_rules import affine
from rai.train.private.tape import Contribution, Tape, replaced, stand_in

State = tuple[Tensor, ...]
"""What is remembered, (rows, hidden): the state, and for an LSTM the cell behind it."""


@dataclass(frozen=True)
class Reader:
    """One layer in one direction: its weights, and what kind of cell it is."""

    module: nn.RNNBase
    suffix: str

    def parameters(self, kind: str) -> tuple[Tensor, Tensor | None]:
        """Weight and bias, if it has one, of what it reads ("ih") or of what it remembers ("hh")."""
        bias = f"bias_{kind}_{self.suffix}"
        return getattr(self.module, f"weight_{kind}_{self.suffix}"), getattr(self.module, bias, None)


def recurrent(
    tape: Tape, module: nn.RNNBase, inputs: Tensor | PackedSequence, hx: Tensor | State | None = None
) -> tuple[Tensor | PackedSequence, Tensor | State]:
    """`nn.LSTM`, `nn.GRU` or `nn.RNN` on sequences (as `batch_first` says) or packed ones."""
    if getattr(module, "proj_size", 0):
        raise tape.refusal(module, "projects its state (proj_size)")
    sequences, steps = _opened(module, inputs)
    if sequences.dim() != 3:
        raise tape.refusal(module, f"is handed shape {tuple(sequences.shape)}, one sequence without rows")
    tape.require_rows(module, sequences)
    alive = None if steps is None else torch.arange(sequences.shape[1]) < steps[:, None]
    read, last = _layers(tape, module, sequences, alive, _states(module, sequences, hx))
    ends = tuple(torch.stack(each) for each in zip(*last, strict=True))
    return _closed(module, read, steps), ends if isinstance(module, nn.LSTM) else ends[0]


def _opened(module: nn.RNNBase, inputs: Tensor | PackedSequence) -> tuple[Tensor, Tensor | None]:
    """Sequences (rows, steps, features), and where they were packed how many steps each has."""
    if isinstance(inputs, PackedSequence):
        return pad_packed_sequence(inputs, batch_first=True)
    return inputs if module.batch_first or inputs.dim() != 3 else inputs.transpose(0, 1), None


def _closed(module: nn.RNNBase, read: Tensor, steps: Tensor | None) -> Tensor | PackedSequence:
    if steps is not None:
        return pack_padded_sequence(read, steps, batch_first=True, enforce_sorted=False)
    return read if module.batch_first else read.transpose(0, 1)


def _states(module: nn.RNNBase, sequences: Tensor, hx: Tensor | State | None) -> Iterator[State]:
    """What each layer and direction remembers before it reads."""
    if hx is None:
        nothing = sequences.new_zeros(len(sequences), module.hidden_size)
        every = (nothing, nothing) if isinstance(module, nn.LSTM) else (nothing,)
        return iter([every] * (module.num_layers * (2 if module.bidirectional else 1)))
    given = hx if isinstance(hx, tuple) else (hx,)
    return iter([tuple(each) for each in zip(*given, strict=True)])


def _layers(
    tape: Tape, module: nn.RNNBase, sequences: Tensor, alive: Tensor | None, states: Iterator[State]
) -> tuple[Tensor, list[State]]:
    """What the top layer says at each step, (rows, steps, hidden × directions), and what each ends with."""
    read, last = sequences, []
    for layer in range(module.num_layers):
        if layer and module.dropout:
            read = functional.dropout(read, module.dropout, module.training)
        ways = []
        for suffix in (f"l{layer}", f"l{layer}_reverse")[: 2 if module.bidirectional else 1]:
            way, end = _steps(tape, Reader(module, suffix), read, alive, next(states))
            ways.append(way)
            last.append(end)
        read = torch.cat(ways, 2) if len(ways) > 1 else ways[0]
    return read, last


def _steps(tape: Tape, reader: Reader, sequences: Tensor, alive: Tensor | None, state: State) -> tuple[Tensor, State]:
    """Read step by step, backwards where the reader does; a sequence that is over is left as it is."""
    (known, offset), (weight, bias) = reader.parameters("ih"), reader.parameters("hh")
    told = affine(tape, sequences, known, offset)
    step = partial(_step, reader.module, replaced(weight), stand_in(bias))
    order = range(sequences.shape[1])[:: -1 if reader.suffix.endswith("reverse") else 1]
    steps, outputs, before, gates = told.unbind(1), {}, [], []
    for place in order:
        before.append(state[0].detach())
        gate, after = step(steps[place], state)
        gates.append(gate)
        state = after if alive is None else _where(alive[:, place, None], after, state)
        outputs[place] = state[0]
    tape.keep((weight, bias), gates, partial(_of_steps, Affine(weight, bias), before))
    return torch.stack([outputs[place] for place in sorted(outputs)], 1), state


def _where(alive: Tensor, after: State, before: State) -> State:
    return tuple(torch.where(alive, new, old) for new, old in zip(after, before, strict=True))


def _of_steps(used: Affine, before: Sequence[Tensor], *gradients: Tensor) -> Contribution:
    return of_affine(used, torch.stack(list(before), 1), torch.stack(gradients, 1))


def _step(module: nn.RNNBase, weight: Tensor, bias: Tensor | None, told: Tensor, state: State) -> tuple[Tensor, State]:
    """The state after one step, and the weighted sum of the state before it that it was made from."""
    remembered = functional.linear(state[0], weight, bias)
    if isinstance(module, nn.LSTM):
        return remembered, _lstm(told + remembered, state[1])
    if isinstance(module, nn.GRU):
        return remembered, _gru(told, remembered, state[0])
    bend = torch.tanh if getattr(module, "nonlinearity", "tanh") == "tanh" else torch.relu
    return remembered, (bend(told + remembered),)


def _lstm(gates: Tensor, cell: Tensor) -> State:
    """Source: Hochreiter & Schmidhuber 1997, in the order in which torch keeps the gates."""
    into, forget, new, out = gates.chunk(4, 1)
    after = forget.sigmoid() * cell + into.sigmoid() * new.tanh()
    return out.sigmoid() * after.tanh(), after


def _gru(told: Tensor, remembered: Tensor, state: Tensor) -> State:
    """Source: Cho et al. 2014 (arXiv:1406.1078), with the offset of the candidate inside its reset, as in torch."""
    width = state.shape[1]
    reset, keep = (told[:, : 2 * width] + remembered[:, : 2 * width]).sigmoid().chunk(2, 1)
    candidate = (told[:, 2 * width :] + reset * remembered[:, 2 * width :]).tanh()
    return (candidate + keep * (state - candidate),)
