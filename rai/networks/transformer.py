"""The transformer: every token or time step looks at every other, and what they tell each other is summed up."""

import math

import torch
from torch import nn

from rai.errors import InputError
from rai.networks.checks import MOST_LAYERS, one_of, require_total, share, size, whole
from rai.networks.layers import ended, read

POOLINGS = ("mean", "first")
POSITIONS = ("learned", "sinusoidal")


def transformer(  # noqa: PLR0913 - each is a key that a card may give
    *,
    outputs: int,
    vocabulary: int | None = None,
    inputs: int | None = None,
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    feedforward: int = 128,
    dropout: float = 0.1,
    length: int = 512,
    pad: int = 0,
    pooling: str = "mean",
    positions: str = "learned",
) -> "Transformer":
    """Make a transformer encoder that classifies texts or sequences, (rows, `outputs`).

    With `vocabulary`, texts as token numbers (rows, tokens), int64, each below `vocabulary`; the token `pad` fills up
    short ones. With `inputs` instead, sequences (rows, steps, `inputs` features) with NaN after a short one's end. What
    fills up is not read, so the answer is the same however much of it follows. At most `length` tokens or steps fit.
    Each of `layers` layers has `heads` attention heads that share `width` numbers, and a feedforward part of
    `feedforward`. `pooling` answers from the "mean" of all places or from the "first"; `positions` are "learned" or
    "sinusoidal". Wrong arguments, or more than 2³¹ parameters in all, raise `InputError` before anything is allocated.
    Source: Vaswani et al. 2017 (arXiv:1706.03762).
    """
    wide, many = _heads(width, heads)
    deep, inner = size("layers", layers, most=MOST_LAYERS), size("feedforward", feedforward)
    longest, rate = size("length", length), share("dropout", dropout)
    one_of("pooling", pooling, POOLINGS)
    learned = one_of("positions", positions, POSITIONS) == "learned"
    known, answers = _known(vocabulary, inputs), size("outputs", outputs)
    if vocabulary is not None:
        whole("pad", pad, range(vocabulary))
    block = 4 * wide * wide + 2 * wide * inner + inner + 9 * wide
    require_total((known + 1 + longest) * wide + deep * block + (wide + 1) * answers)
    entry = nn.Linear(known, wide) if vocabulary is None else nn.Embedding(known, wide, padding_idx=pad)
    blocks = [nn.TransformerEncoderLayer(wide, many, inner, rate, "gelu", batch_first=True) for _ in range(deep)]
    encoder = nn.TransformerEncoder(blocks[0], deep, enable_nested_tensor=False)
    encoder.layers = nn.ModuleList(blocks)  # torch would start every layer from the same weights
    return Transformer(entry, _places(longest, wide, learned=learned), encoder, nn.Linear(wide, answers), pooling)


class Transformer(nn.Module):
    """An encoder between an `embedding` of tokens (or steps) and a `head` that answers.

    `embedding` is a `torch.nn.Embedding` for texts, and for sequences a `torch.nn.Linear`. Learned positions are a
    plain parameter, so that a text transformer has one embedding and no other.
    """

    def __init__(
        self, entry: nn.Module, places: torch.Tensor, encoder: nn.TransformerEncoder, head: nn.Module, pooling: str
    ) -> None:
        super().__init__()
        self.embedding = entry
        self.positions: torch.Tensor
        if isinstance(places, nn.Parameter):
            self.positions = places
        else:
            self.register_buffer("positions", places, persistent=False)
        self.encoder = encoder
        self.head = head
        self.pooling = pooling

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answers (rows, outputs) to token numbers (rows, tokens) or sequences (rows, steps, features)."""
        if inputs.shape[1] > len(self.positions):
            raise InputError(
                f"the network reads at most {len(self.positions)} tokens or steps, and the rows have {inputs.shape[1]}",
                where="network.arguments.length",
            )
        embedded, unread = self._embedded(inputs)
        found = self.encoder(embedded + self.positions[: inputs.shape[1]], src_key_padding_mask=unread)
        return self.head(found[:, 0] if self.pooling == "first" else _mean(found, unread))  # type: ignore[no-any-return]

    def _embedded(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each place as `width` numbers, and where nothing is to be read, (rows, places) bool."""
        if isinstance(self.embedding, nn.Embedding):
            return self.embedding(inputs), _some_read(inputs.eq(self.embedding.padding_idx or 0))
        over = ended(inputs)
        return self.embedding(read(inputs, over)), _some_read(over)


def _some_read(unread: torch.Tensor) -> torch.Tensor:
    """The same mask, but a row of which nothing would be read keeps its first place: attention needs something."""
    first = torch.arange(unread.shape[1], device=unread.device) == 0
    return unread & ~(unread.all(dim=1, keepdim=True) & first)


def _mean(found: torch.Tensor, unread: torch.Tensor) -> torch.Tensor:
    """The mean over the places that were read, (rows, width)."""
    kept = found.masked_fill(unread[:, :, None], 0.0)
    return kept.sum(dim=1) / (~unread).sum(dim=1, keepdim=True)


def _heads(width: int, heads: int) -> tuple[int, int]:
    wide, many = size("width", width), size("heads", heads)
    if wide % many:
        raise InputError(
            f"is {many}, and width is {wide}", where="network.arguments.heads", expected="a number that divides width"
        )
    return wide, many


def _known(vocabulary: int | None, inputs: int | None) -> int:
    """How many tokens, or how many features a step; exactly one of the two is given."""
    if (vocabulary is None) == (inputs is None):
        raise InputError(
            "are both given or both missing",
            where="network.arguments.vocabulary and inputs",
            expected="vocabulary for texts, or inputs for sequences of numbers",
        )
    return size("vocabulary", vocabulary) if inputs is None else size("inputs", inputs)


def _places(length: int, width: int, *, learned: bool) -> torch.Tensor:
    """What each place adds to what stands there, (length, width)."""
    if learned:
        return nn.Parameter(torch.randn(length, width) * 0.02)
    pairs = (width + 1) // 2
    rates = torch.exp(torch.arange(pairs) * (-math.log(10_000.0) * 2 / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(length, 2 * pairs)[:, :width]
