"""How a prediction is shared out over its features."""

import importlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.errors import InputError
from rai.subject import Floats


@dataclass(frozen=True)
class Attribution:
    """What each feature added to or took from the score of each row, compared with the background.

    `values`, shape (rows, players) or (rows, players, outputs), are in the units of the score. `base` is the score
    with every feature left out and `full` the row's own, (rows,) or (rows, outputs); where a method is complete, a
    row's values and its base add up to `full`. `error` holds standard errors, shaped as `values`, 0 where nothing was
    sampled and NaN where a method has none. `outputs` names the outputs, `scale` what the score is. `rows_scored`
    counts the rows that the model was asked about.
    """

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    full: NDArray[np.float64]
    error: NDArray[np.float64]
    players: tuple[str, ...]
    method: str
    rows_scored: int
    note: str = ""
    outputs: tuple[str, ...] = ()
    scale: str = ""

    @property
    def gap(self) -> NDArray[np.float64]:
        """Completeness gap: how far the values miss full - base, as a share of it; (rows,) or (rows, outputs).

        Where the score is the base itself, it is the miss alone. Source: Sundararajan et al. 2017 (arXiv:1703.01365).
        """
        due = self.full - self.base
        missed = np.abs(self.values.sum(axis=1) - due)
        return np.asarray(np.divide(missed, np.abs(due), out=missed.copy(), where=due != 0))

    def tidied(self) -> "Attribution":
        """The same, without an axis for outputs where there is one output."""
        if self.values.ndim == 2 or self.values.shape[2] != 1:
            return self
        return self.picked(np.zeros(len(self.values), dtype=np.int64))

    def picked(self, outputs: NDArray[np.int64]) -> "Attribution":
        """The same for one output of each row, given by its position, (rows,)."""
        if self.values.ndim == 2:
            return self
        rows = np.arange(len(self.values))
        return replace(
            self,
            values=self.values[rows, :, outputs],
            error=self.error[rows, :, outputs],
            base=self.base[rows, outputs],
            full=self.full[rows, outputs],
        )

    def to_shap(self, data: Floats | None = None) -> Any:
        """Return the same numbers as a `shap.Explanation`, for the plots of the package shap.

        `data`, shape (rows, players), is what the plots print beside each feature. Raises InputError where shap is not
        installed.
        """
        return _package("shap").Explanation(
            values=self.values.copy(),
            base_values=self.base.copy(),
            data=data,
            feature_names=list(self.players),
            output_names=list(self.outputs) or None,
        )


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"the package {name} is not installed", do=f"run: pip install {name}") from None
