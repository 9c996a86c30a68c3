"""Rows kept from training: a test file made of some of the rows, where the recipe names none."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.data import images, npz, raw
from rai.data.sequences import ID, STEP
from rai.errors import InputError
from rai.files import sha256
from rai.subject import Bools
from rai.train import splits
from rai.training.recipe import Recipe

NAMES = ("rows_train", "rows_test")
BANDS = 4
MOST_STRATA = 100


@dataclass(frozen=True)
class Split:
    """The two files of rows, and the `whole` that the recipe names for training.

    Where `own`, the two were made here and lie beside the model.
    """

    training: Path
    test: Path
    whole: Path

    @property
    def own(self) -> bool:
        """Whether the training rows are a part of the whole."""
        return self.training != self.whole


def split(recipe: Recipe, folder: Path, staging: Path) -> Split:
    """The files named in a recipe of `folder`, or two made of the one file in `staging`.

    A share of the rows is drawn alike from every label and group. For private training each row's own content alone
    decides where it goes, so that one row more or less moves no other one. A folder of images becomes two folders with
    a `labels.csv` each, whose images are hard links to the owner's files.
    """
    training = folder / recipe.data.train
    if recipe.data.test is not None:
        return Split(training, folder / recipe.data.test, training)
    if training.is_dir():
        return _folder(recipe, training, staging)
    return _archive(recipe, training, staging) if npz.is_archive(training) else _table(recipe, training, staging)


def _archive(recipe: Recipe, path: Path, staging: Path) -> Split:
    found = npz.open_npz(path)
    arrays = {name: found.array(name) for name in found.members}
    rows = {name: len(array) for name, array in arrays.items() if array.ndim}
    labels = arrays.get(recipe.data.target)
    if labels is None or len(set(rows.values())) != 1:
        what = f"holds no array {recipe.data.target!r}" if labels is None else "holds arrays of several lengths"
        raise InputError(what, where=path, expected="one entry a row in every array")
    beside = [arrays[name] for name in recipe.data.sensitive if name in arrays]
    kept = _drawn(recipe, labels, beside, _digests(list(arrays.values())))
    training, test = (staging / f"{name}.npz" for name in NAMES)
    for target, mask in ((training, ~kept), (test, kept)):
        part: dict[str, Any] = {name: array[mask] for name, array in arrays.items()}
        np.savez_compressed(target, **part)
    return Split(training, test, path)


def _folder(recipe: Recipe, path: Path, staging: Path) -> Split:
    files, frame = images.files(path), raw(path / images.LABELS)
    _require_target(recipe, frame, path / images.LABELS)
    digests = _pictures(files, frame) if recipe.promises else ()
    kept = _drawn(recipe, frame[recipe.data.target].to_numpy(), _beside(recipe, frame), digests)
    frame[images.FILE] = [file.relative_to(path.resolve()).as_posix() for file in files]
    training, test = (staging / name for name in NAMES)
    for target, mask in ((training, ~kept), (test, kept)):
        _linked(target, frame[mask], path)
    return Split(training, test, path)


def _linked(folder: Path, part: Any, whole: Path) -> None:
    """Make a folder of some of the images, each under the name it has in the whole."""
    folder.mkdir()
    part.to_csv(folder / images.LABELS, index=False)  # first: a link of this name would write into the owner's file
    for name in part[images.FILE]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _link(whole.resolve() / name, target)


def _link(file: Path, target: Path) -> None:
    """Give a file a second name, or copy it where that cannot be: on another disk, or a file of somebody else."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def _table(recipe: Recipe, path: Path, staging: Path) -> Split:
    frame = raw(path)
    _require_target(recipe, frame, path)
    long = {ID, STEP} <= set(frame.columns) and bool(frame[ID].duplicated().any())
    first = frame.drop_duplicates(ID) if long else frame
    digests = _lines(frame, by=ID if long else None)
    kept = _drawn(recipe, first[recipe.data.target].to_numpy(), _beside(recipe, first), digests)
    mask = frame[ID].isin(first[ID][kept]).to_numpy() if long else kept
    training, test = (staging / f"{name}.csv" for name in NAMES)
    for target, part in ((training, frame[~mask]), (test, frame[mask])):
        part.to_csv(target, index=False)
    return Split(training, test, path)


def _require_target(recipe: Recipe, frame: Any, path: Path) -> None:
    if recipe.data.target not in frame:
        raise InputError(f"has no column {recipe.data.target!r}", where=path, expected="the data.target of the recipe")


def _beside(recipe: Recipe, frame: Any) -> list[NDArray[Any]]:
    """The columns of groups; those that are cut into bands say too little here."""
    named = [name for name in recipe.data.sensitive if name in frame and name not in recipe.data.bands]
    return [frame[name].to_numpy() for name in named]


def _drawn(recipe: Recipe, labels: NDArray[Any], beside: Sequence[NDArray[Any]], digests: Sequence[bytes]) -> Bools:
    """Which rows are kept for the test, (rows,) bool."""
    share, seed = recipe.data.test_share, recipe.fit.seed
    if recipe.promises:
        return by_content(digests, share, seed)
    kept = np.zeros(len(labels), dtype=np.bool_)
    kept[splits.split(strata(labels, beside), share, seed).held] = True
    return kept


def by_content(digests: Sequence[bytes], share: float, seed: int) -> Bools:
    """Each row by a number from 0 to 1 made of its own content and the seed: equal rows go to the same side."""
    salted = [hashlib.sha256(str(seed).encode() + each).digest()[:8] for each in digests]
    numbers = np.array([int.from_bytes(each, "big") for each in salted], dtype=np.float64)
    return np.asarray(numbers / 2.0**64 < share)


def strata(labels: NDArray[Any], beside: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Rows of the same label (or quarter of its values, where it has many) and the same groups, by number."""
    codes = _codes(labels)
    for each in beside:
        _, crossed = np.unique(codes * (1 + int(_codes(each).max())) + _codes(each), return_inverse=True)
        codes = crossed if crossed.max() < MOST_STRATA else codes
    return codes


def _codes(values: NDArray[Any]) -> NDArray[Any]:
    names, codes = np.unique(values.astype(str), return_inverse=True)
    if len(names) <= MOST_STRATA:
        return codes
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        return np.zeros(len(values), dtype=np.int64)
    return np.searchsorted(np.nanquantile(numbers, np.arange(1, BANDS) / BANDS), numbers)


def _digests(arrays: Sequence[NDArray[Any]]) -> list[bytes]:
    """What each row of an archive holds, as one digest."""
    count = len(arrays[0])
    return [
        b"".join(hashlib.sha256(np.ascontiguousarray(a[row]).tobytes()).digest() for a in arrays)
        for row in range(count)
    ]


def _pictures(files: Sequence[Path], frame: Any) -> list[bytes]:
    """What each image and its labels hold; under which name does not matter."""
    lines = _lines(frame.drop(columns=images.FILE), by=None)
    return [sha256(file).encode() + line for file, line in zip(files, lines, strict=True)]


def _lines(frame: Any, by: str | None) -> list[bytes]:
    """What each row of a table holds, or what all rows of each id hold together."""
    texts = ["\x1f".join(map(str, row)) for row in frame.itertuples(index=False)]
    if by is None:
        return [text.encode() for text in texts]
    together: dict[Any, list[str]] = {}
    for name, text in zip(frame[by], texts, strict=True):
        together.setdefault(name, []).append(text)
    return ["\x1e".join(rows).encode() for rows in together.values()]
