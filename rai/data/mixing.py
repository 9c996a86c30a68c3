"""Rows put together from the cells of several rows of data frames."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rai.subject import Ints

if TYPE_CHECKING:
    import pandas as pd


def mixer(first: "pd.DataFrame", second: "pd.DataFrame") -> "Callable[[Ints], pd.DataFrame]":
    """Return a function from positions to a frame: cell (i, j) of column j comes from row `positions[i, j]`.

    Rows of `first` count from 0, those of `second` follow. Both have the same columns.
    """
    import pandas as pd

    both = pd.concat([first, second], ignore_index=True)
    columns = [both.iloc[:, [place]] for place in range(both.shape[1])]

    def mixed(positions: Ints) -> "pd.DataFrame":
        drawn = [each.take(positions[:, place]).reset_index(drop=True) for place, each in enumerate(columns)]
        return pd.concat(drawn, axis=1)

    return mixed
