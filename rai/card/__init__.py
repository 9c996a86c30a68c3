"""The card: what no tensor file says about a model, read from `model.toml` and checked field by field."""

from rai.card.reading import parse, read_card, wrong_key
from rai.card.sense import LARGEST_SIDE, require_sense
from rai.card.types import STRICT, Card, Column, Files, Head, ImageInput, Network, SequenceInput, Task, TextInput

__all__ = [
    "LARGEST_SIDE",
    "STRICT",
    "Card",
    "Column",
    "Files",
    "Head",
    "ImageInput",
    "Network",
    "SequenceInput",
    "Task",
    "TextInput",
    "parse",
    "read_card",
    "require_sense",
    "wrong_key",
]
