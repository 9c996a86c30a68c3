"""Predictions without a model: rows that were scored elsewhere keep their scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rai.card import Head
from rai.errors import InputError
from rai.subject import Floats


@dataclass(frozen=True)
class StoredScores:
    """Answers the rows it was made for, all of them in their order, and no others."""

    kept: Floats
    head: Head
    trust: Literal["predictions only"] = "predictions only"

    def scores(self, inputs: Any) -> Floats:
        """The stored scores; any other number of rows raises `InputError`."""
        if len(inputs) != len(self.kept):
            raise InputError(
                f"there is no model to ask about {len(inputs)} rows", expected=f"the {len(self.kept)} rows with scores"
            )
        return self.kept

    def inside(self, procedure: Callable[..., Any], inputs: Any, **arguments: Any) -> Any:  # noqa: ARG002 - the protocol's
        """Raise `InputError`: there is no model."""
        raise InputError("there is no model behind these predictions", expected="a PyTorch model for this method")
