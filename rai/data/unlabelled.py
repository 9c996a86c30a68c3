"""Rows without labels, for explaining what a model says of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from rai.data.frames import Table, from_frames
from rai.subject import Data, Kind


def unlabelled(X: Any, *, kind: Kind | None = None, name: str = "X", like: Data | None = None) -> Data:
    """Take rows from NumPy, pandas or Polars without knowing what they should be answered with.

    With `like`, columns are those of that data. Raises `InputError` as `from_frames` does.
    """
    del kind
    known = None if like is None else Table(like, (), "regression", {})
    return replace(from_frames(X, np.zeros(len(X)), classes=(), name=name, like=known).data, labels=None)
