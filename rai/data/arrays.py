"""Whatever array, series or frame a caller holds becomes a raw table, without a copy that could be changed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rai.data import limits
from rai.data.cells import Raw, listed, show
from rai.errors import InputError
from rai.subject import Source

KNOWN = "a NumPy array, or a pandas or Polars frame or series"


def table_of(value: Any, where: str, stem: str) -> Raw:
    """Take the columns of an array, series, frame or dict of arrays; unnamed columns are called after `stem`."""
    found = [(name, _array(part, where, name)) for name, part in _parts(value, where, stem)]
    _require_distinct([name for name, _ in found], where)
    counts = [len(array) for _, array in found] or [len(value)]
    if len(set(counts)) > 1:
        raise InputError(
            f"its columns have {min(counts):,} to {max(counts):,} rows", where=where, expected="one length"
        )
    limits.require_cells(counts[0], max(len(found), 1), where)
    return Raw(where, dict(found), counts[0], Source("in memory"))


def require_aligned(first: tuple[str, Any], second: tuple[str, Any]) -> None:
    """Refuse two pandas objects whose row labels differ: matching them by position would mix up rows."""
    for one in _indexes(first[1]):
        for other in _indexes(second[1]):
            if len(one) == len(other) and not one.equals(other):
                raise InputError(
                    "rows are matched by position and the pandas indexes differ",
                    where=f"{first[0]} and {second[0]}",
                    do="bring them into one order, then call .reset_index(drop=True) on both",
                )


def require_lengths(tables: Mapping[str, Raw]) -> None:
    """Refuse tables of different lengths, or of none."""
    counts = {name: table.rows for name, table in tables.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} has {count:,} rows" for name, count in counts.items())
        raise InputError(said, where="in memory", expected="as many rows in each")
    if not next(iter(counts.values())):
        raise InputError("holds no rows", where=next(iter(tables.values())).where)


def own_copy(value: Any, *, text: bool) -> Any:
    """Return a copy of the rows as a model takes them: frames as pandas, and arrays of numbers as 64-bit or as given.

    An array with `text` becomes a frame whose columns are numbered, as a model fitted on one expects.
    """
    import narwhals as nw

    found = nw.from_native(value, eager_only=True, pass_through=True)
    if text or isinstance(found, nw.DataFrame | Mapping):
        return _frame_copy(value)
    array = np.array(np.asarray(_detached(found.to_numpy() if isinstance(found, nw.Series) else found)))
    known = array if array.dtype.kind in "fiu" and array.dtype.itemsize <= 8 else array.astype(np.float64)
    return known.reshape(len(known), -1)


def _frame_copy(value: Any) -> Any:
    import narwhals as nw
    import pandas as pd

    if nw.dependencies.is_pandas_dataframe(value):
        return value.copy()
    if isinstance(value, Mapping):
        return pd.DataFrame({name: np.array(np.asarray(_detached(part))) for name, part in value.items()})
    found = nw.from_native(value, eager_only=True, pass_through=True)
    if isinstance(found, nw.DataFrame):
        numbered = {name: str(place) for place, name in enumerate(found.columns)}
        frame = found.rename(numbered).to_pandas().copy()  # Polars cannot export every name
        frame.columns = pd.Index(found.columns)
        return frame
    return pd.DataFrame(np.array(value, copy=True)).infer_objects()


def _parts(value: Any, where: str, stem: str) -> Iterator[tuple[str, Any]]:
    """Names and values of the columns."""
    import narwhals as nw

    if isinstance(value, Mapping):
        return ((str(name), part) for name, part in value.items())
    if nw.dependencies.is_pandas_dataframe(value):
        _require_distinct([str(name) for name in value.columns], where)
    found = nw.from_native(value, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(found, nw.Series):
        return iter([(stem if found.name in {None, ""} else str(found.name), found)])
    if isinstance(found, nw.DataFrame):
        return ((str(part.name), part) for part in found.iter_columns())
    return _array_parts(value, where, stem)


def _array_parts(value: Any, where: str, stem: str) -> Iterator[tuple[str, Any]]:
    if value is None:
        raise InputError("is missing", where=where, expected=KNOWN)
    found = as_numpy(value, where)
    if found.ndim == 1:
        return iter([(stem, found)])
    if found.ndim == 2:
        limits.require_columns(found.shape[1], where)
        return ((f"{stem}{place}", found[:, place]) for place in range(found.shape[1]))
    what = f"is a {type(value).__name__} of {found.ndim} dimensions"
    raise InputError(what, where=where, expected=f"{KNOWN}, rows first")


def as_numpy(value: Any, where: str) -> Any:
    """Return an array, tensor or list as a NumPy array, without a copy where none is needed; raise `InputError`."""
    try:
        return np.asanyarray(_detached(value))
    except (ValueError, TypeError, RuntimeError):
        raise InputError(f"is a {type(value).__name__} rai cannot read", where=where, expected=KNOWN) from None


def _detached(value: Any) -> Any:
    """A torch tensor off the graph and in the main memory, bfloat16 (which NumPy lacks) widened; others as they are."""
    if not hasattr(value, "detach"):
        return value
    found = value.detach().cpu()
    return found.float() if str(found.dtype) == "torch.bfloat16" else found


def _array(part: Any, where: str, name: str) -> Any:
    """One column as a pyarrow array; None and pandas' NaN become null."""
    import narwhals as nw
    import pyarrow as pa

    found = nw.from_native(part, series_only=True, pass_through=True)
    try:
        if isinstance(found, nw.Series):
            return _whole(found.alias("column").to_arrow())  # Polars cannot export every name
        return pa.array(_flat(found, where, name), from_pandas=True)
    except (pa.ArrowException, TypeError, OverflowError):
        what = f"column {show(name)} mixes kinds of values or holds a kind that rai cannot read"
        raise InputError(what, where=where, expected="numbers only, or text only", do="convert it first") from None


def _flat(part: Any, where: str, name: str) -> Any:
    found = as_numpy(part, where)
    if found.ndim != 1:
        raise InputError(f"column {show(name)} has {found.ndim} dimensions", where=where, expected="one value a row")
    return found


def _whole(found: Any) -> Any:
    import pyarrow as pa

    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _indexes(value: Any) -> Iterator[Any]:
    """The pandas indexes an object carries; those of its parts for a dict."""
    import narwhals.dependencies as known

    parts = value.values() if isinstance(value, Mapping) else [value]
    return (part.index for part in parts if known.is_pandas_dataframe(part) or known.is_pandas_series(part))


def _require_distinct(names: list[str], where: str) -> None:
    if len(set(names)) < len(names):
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise InputError(f"column {listed(twice)} occurs twice", where=where, expected="distinct column names")
