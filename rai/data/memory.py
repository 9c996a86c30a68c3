"""Rows handed in from Python: tables, images, sequences and texts, with and without what they should be answered."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.data import limits
from rai.data.arrays import as_numpy
from rai.data.frames import Table, from_frames
from rai.data.sequences import ends, require_whole
from rai.data.views import image_data, sequence_data, text_data
from rai.errors import InputError
from rai.subject import Data, Kind, Source, Vocabulary

PARTS = 4
"""How many parts a side of an image, and how many of a sequence's time, are features of their own."""
KINDS: Mapping[int, Kind] = {4: "image", 3: "sequence"}
SHAPES: Mapping[Kind, str] = {
    "image": "rows × channels × height × width",
    "sequence": "rows × steps × features",
    "text": "rows × tokens",
}
Words = Vocabulary | Sequence[str]


def kind_of(X: Any, kind: Kind | None = None) -> Kind:
    """What each row is: as said, or else an image where X has four dimensions, a sequence where it has three."""
    return kind or KINDS.get(getattr(X, "ndim", 2), "table")


def unlabelled(
    X: Any, *, kind: Kind | None = None, vocabulary: Words | None = None, name: str = "X", like: Data | None = None
) -> Data:
    """Take rows from NumPy, torch, pandas or Polars without knowing what they should be answered with.

    Images have shape (rows, channels, height, width), sequences (rows, steps, features) with NaN after the end of a
    short one, texts are whole numbers (rows, tokens), filled up with the vocabulary's `pad` (0 where only names or
    nothing is given). All are taken as the model takes them, and copied. With `like`, the kind, the vocabulary and the
    columns of a table are those of that data. Raises `InputError` naming the row.
    """
    chosen = like.kind if like is not None and kind is None else kind_of(X, kind)
    if chosen == "table":
        known = None if like is None else Table(like, (), "regression", {})
        return replace(from_frames(X, np.zeros(len(X)), classes=(), name=name, like=known).data, labels=None)
    found = _array(X, chosen, name)
    if like is not None:
        _require_like(found, like, name)
    if chosen == "text":
        return _text(found, vocabulary, name, like)
    return _image(found, name) if chosen == "image" else _sequence(found, name)


def labelled(
    rows: Data,
    y: Any,
    *,
    sensitive_features: Any = None,
    classes: Sequence[Any] | None = None,
    bands: Mapping[str, Sequence[float]] | None = None,
    like: Table | None = None,
) -> Table:
    """Put labels and groups, read as `from_frames` reads them, to rows that are no table."""
    known = None if like is None else replace(like, data=replace(like.data, players=()))
    answered = from_frames(
        np.zeros((rows.rows, 0), dtype=np.float32),
        y,
        sensitive_features=sensitive_features,
        classes=classes,
        bands=bands,
        name=rows.source.name,
        like=known,
    )
    return replace(answered, data=replace(rows, labels=answered.data.labels, groups=answered.data.groups))


def _array(X: Any, kind: Kind, name: str) -> NDArray[Any]:
    """The rows as one array of their own, in the right number of dimensions and with at least one row."""
    found: NDArray[Any] = as_numpy(X, name)
    if found.ndim != SHAPES[kind].count("×") + 1 or found.dtype.kind not in "fiub":
        shape = " × ".join(map(str, found.shape)) or "one number"
        what = f"has shape {shape}" if found.dtype.kind in "fiub" else f"holds values of kind {found.dtype}"
        raise InputError(what, where=name, expected=f"numbers of shape {SHAPES[kind]} for {kind}s")
    if 0 in found.shape:
        raise InputError("holds no rows", where=name)
    limits.require_numbers(len(found), int(np.prod(found.shape[1:])), name)
    return found


def _require_like(found: NDArray[Any], like: Data, name: str) -> None:
    """Refuse rows that no model could take beside the others: only texts may differ in their length."""
    if like.kind != "text" and found.shape[1:] != like.inputs.shape[1:]:
        own, other = (" × ".join(map(str, each.shape[1:])) for each in (found, like.inputs))
        raise InputError(f"each row has shape {own}", where=name, expected=f"{other} as in {like.source.name}")


def _image(found: NDArray[Any], name: str) -> Data:
    inputs = found.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(inputs).all(axis=(1, 2, 3)))
    if len(bad):
        what = f"row {bad[0] + 1} (the first is 1) holds NaN or infinity"
        raise InputError(what, where=name, expected="images of numbers")
    return image_data(inputs, PARTS, Source(name))


def _sequence(found: NDArray[Any], name: str) -> Data:
    inputs = found.astype(np.float32)
    names = tuple(f"feature {place + 1}" for place in range(inputs.shape[2]))
    require_whole(inputs, ends(inputs), names, name)
    return sequence_data(inputs, names, PARTS, Source(name))


def _text(found: NDArray[Any], vocabulary: Words | None, name: str, like: Data | None) -> Data:
    if found.dtype.kind not in "iu":
        raise InputError(
            f"holds values of kind {found.dtype}", where=name, expected="whole numbers, one for each token"
        )
    if int(found.max()) > np.iinfo(np.int64).max or int(found.min()) < 0:
        raise InputError(f"holds the token number {found.min()}", where=name, expected="numbers from 0")
    inputs = found.astype(np.int64)
    words = _vocabulary(int(inputs.max()), vocabulary, name, like)
    empty = np.flatnonzero((inputs == words.pad).all(axis=1))
    if len(empty):
        what = f"row {empty[0] + 1} (the first is 1) holds nothing but padding (token {words.pad})"
        raise InputError(what, where=name, do="leave such rows out, or give the vocabulary with its pad")
    return text_data(inputs, words, Source(name))


def _vocabulary(last: int, given: Words | None, name: str, like: Data | None) -> Vocabulary:
    """The vocabulary as given, or that of the other data, or one of numbered names up to the last token."""
    if given is None and like is not None:
        given = like.vocabulary
    if given is None:
        limits.require_tokens(last + 1, name)
        return Vocabulary(tuple(f"token {place}" for place in range(last + 1)))
    words = given if isinstance(given, Vocabulary) else Vocabulary(tuple(map(str, given)))
    marks = (words.pad, words.mask, *words.special)
    for place, what in ((last, "the data holds"), (max(marks), "the vocabulary names"), (min(marks), "it names")):
        if not 0 <= place < len(words.names):
            raise InputError(
                f"{what} the token number {place}",
                where=name,
                expected=f"0 to {len(words.names) - 1:,}: its vocabulary",
            )
    return words
