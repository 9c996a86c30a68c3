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

    def plot(self, row: int | None = None, *, output: int = 0, most: int = 15) -> Any:
        """Draw the features that moved the score most, as a matplotlib `Figure` for a notebook.

        With `row`, what each feature added to or took from that row's score; without, the mean size over all rows. The
        whiskers are 95 % of a normal distribution where the method has standard errors; those of a mean hold the
        rows' estimates to be independent. `output` picks one of several outputs. Raises InputError where there is no
        such row or output, or matplotlib is not installed.
        """
        known = self.picked(_every(output, self))
        if row is not None and not 0 <= row < len(self.values):
            raise InputError(f"is {row}", where="row", expected=f"0 to {len(self.values) - 1}")
        if row is None:
            sizes = np.abs(known.values).mean(axis=0)
            errors = np.sqrt((known.error**2).sum(axis=0)) / len(known.values)
        else:
            sizes, errors = known.values[row], known.error[row]
        order = np.argsort(np.abs(sizes), kind="stable")[-most:]
        names = [self.players[each] for each in order]
        title = "mean |value|" if row is None else "value"
        return _bars(names, sizes[order], errors[order], f"{title}, {self.scale}" if self.scale else title)

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


def _every(output: int, found: Attribution) -> NDArray[np.int64]:
    outputs = found.values.shape[2] if found.values.ndim == 3 else 1
    if not 0 <= output < outputs:
        raise InputError(f"is {output}", where="output", expected=f"0 to {outputs - 1}")
    return np.full(len(found.values), output)


def _bars(names: list[str], sizes: NDArray[np.float64], errors: NDArray[np.float64], axis: str) -> Any:
    figure = _package("matplotlib.figure").Figure(figsize=(7, 1 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = np.where(sizes < 0, "tab:blue", "tab:orange")
    places = np.arange(len(names))
    axes.barh(places, sizes, color=colours, xerr=np.where(errors > 0, 1.96 * errors, 0) if (errors > 0).any() else None)
    axes.set_yticks(places, names)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(axis)
    return figure


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(f"the package {package} is not installed", do=f"run: pip install {package}") from None
