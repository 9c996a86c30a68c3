"""Classifiers of transformers as plain modules: one tensor in, logits out."""

from typing import Any

import torch
from torch import nn

from rai.errors import InputError


class TextClassifier(nn.Module):
    """A text classifier: token numbers (rows, tokens), int64, to logits (rows, classes).

    What the model's own `pad_token_id` (0 where it has none) fills up is masked from its attention.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if model.config.pad_token_id is None:
            model.config.pad_token_id = 0
        self.pad = int(model.config.pad_token_id)

    @property
    def embedding(self) -> nn.Module:
        """The layer that turns token numbers into vectors."""
        return self.model.get_input_embeddings()  # type: ignore[no-any-return]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (rows, classes)."""
        return self._asked(ids).logits  # type: ignore[no-any-return]

    def maps(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """How much each token attends to each other: for each layer (rows, heads, tokens, tokens)."""
        return _attentions(self._asked(ids, output_attentions=True))

    def _asked(self, ids: torch.Tensor, **wanted: bool) -> Any:
        longest = getattr(self.model.config, "max_position_embeddings", None)
        if isinstance(longest, int) and ids.shape[1] > longest:
            raise InputError(f"the model reads at most {longest} tokens, and the rows have {ids.shape[1]}")
        return self.model(input_ids=ids, attention_mask=ids.ne(self.pad).long(), **wanted)


class ImageClassifier(nn.Module):
    """An image classifier: pixel values (rows, channels, height, width) to logits (rows, classes)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (rows, classes)."""
        return self.model(pixel_values=images).logits  # type: ignore[no-any-return]

    def maps(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """How much each patch attends to each other: for each layer (rows, heads, patches, patches)."""
        return _attentions(self.model(pixel_values=images, output_attentions=True))


def _attentions(answer: Any) -> tuple[torch.Tensor, ...]:
    found = getattr(answer, "attentions", None)
    if not found or any(each is None for each in found):
        raise InputError("the model has no attention that can be shown")
    return tuple(found)
