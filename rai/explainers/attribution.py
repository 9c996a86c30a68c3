"""How a prediction is shared out over its features."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import Floats


@dataclass(frozen=True)
class Attribution:
    """What each feature added to or took from the score of each row, compared with the background.

    `values`, shape (rows, players), in the units of the score; a row's values and its `base`, shape (rows,), add up to
    the score of that row. `error` holds standard errors, shape (rows, players), and is 0 where nothing was sampled.
    `rows_scored` counts the rows that the model was asked about.
    """

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    error: NDArray[np.float64]
    players: tuple[str, ...]
    method: str
    rows_scored: int
    note: str = ""

    def to_shap(self, data: Floats | None = None) -> Any:
        """Return the same numbers as a `shap.Explanation`, for the plots of the package shap.

        `data`, shape (rows, players), is what the plots print beside each feature. Raises InputError where shap is not
        installed.
        """
        return _shap().Explanation(
            values=self.values.copy(), base_values=self.base.copy(), data=data, feature_names=list(self.players)
        )


def _shap() -> Any:
    try:
        return importlib.import_module("shap")
    except ImportError:
        raise InputError("the package shap is not installed", do="run: pip install shap") from None
