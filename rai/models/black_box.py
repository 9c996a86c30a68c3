"""A model of which only the answers can be seen: ONNX, a scikit-learn estimator, a function."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rai.card import Head
from rai.errors import InputError
from rai.models.batches import in_batches, shaped
from rai.models.draft import Ending
from rai.models.guard import guarded
from rai.subject import Floats, Trust


@dataclass(frozen=True)
class BlackBox:
    """A model behind a function from rows to numbers. `head` is provisional until the model was examined."""

    answer: Callable[[Any], Any]
    name: str
    trust: Trust
    columns: int | None = None
    last: Ending | None = None
    head: Head = Head.VALUE
    tokens: bool = False

    def width(self, inputs: Any) -> int | None:
        """How many columns a table should have, where whoever opened the model knows; of other inputs nothing."""
        return self.columns if np.ndim(inputs) == 2 and not self.tokens else None

    def scores(self, inputs: Any) -> Floats:
        """Raw outputs, shape (rows, outputs), asked for in batches."""
        return in_batches(self._ask, inputs, tokens=self.tokens)

    def _ask(self, inputs: Any) -> Floats:
        do = "it is handed a pandas frame, as X is one" if hasattr(inputs, "iloc") else ""
        what = f"the model failed on {_extent(inputs)}"
        with guarded(what, where=self.name, do=do, name_error=self.trust == "in memory"):
            found = self.answer(inputs.copy() if hasattr(inputs, "copy") else inputs)
            found = found.detach().cpu().numpy() if hasattr(found, "detach") else found
            return shaped(found, len(inputs), self.name)

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:  # noqa: ARG002 - the protocol's
        """Raise `InputError`: there is no torch module to look into."""
        raise InputError("only its answers can be seen", where=self.name, expected="a PyTorch model for this method")

    def ending(self, _: Any) -> Ending | None:
        """The last operation, where whoever opened the model could see it."""
        return self.last

    def reading(self, *, tokens: bool) -> "BlackBox":
        """The same model; `tokens` says whether a row is a text."""
        return replace(self, tokens=tokens)

    def headed(self, head: Head) -> "BlackBox":
        """The same model, its outputs to be read as `head` says."""
        return replace(self, head=head)


def _extent(inputs: Any) -> str:
    return " × ".join(str(each) for each in getattr(inputs, "shape", (len(inputs),))) + " inputs"
