"""A folder of images with its labels.csv, or an .npz of arrays, becomes images as a model takes them."""

import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rai.card import ImageInput
from rai.data import limits, npz, tables
from rai.data.cells import Raw, show
from rai.data.found import Found
from rai.data.views import image_data
from rai.errors import InputError
from rai.subject import Source

LABELS, FILE, ARRAY = "labels.csv", "file", "images"
FORMATS = ("PNG", "JPEG")
READABLE = "an undamaged PNG or JPEG"
SHAPES = "rows × height × width [× channels], or rows × channels × height × width"
Pixels = NDArray[np.float32]


def read(path: Path, given: ImageInput, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Found:
    """Read all images, resized to the card's size (bilinear), as (v / 255 - mean) / scale.

    `path` is a folder whose `labels.csv` names each image in its column `file`, or an .npz with an array `images`.
    `wanted` maps further columns to what asks for them. Pictures are taken as stored: a camera's note that one is to
    be turned is not followed. Raises `InputError` naming the file or the row.
    """
    if path.is_dir():
        return _folder(path, given, wanted, markers)
    found = npz.open_npz(path)
    arrays = _arrays(found, given)
    beside = npz.sides(found, wanted, len(arrays), (ARRAY,))
    inputs = _scaled((_fitted(each, given) for each in arrays), len(arrays), given, path)
    return Found(image_data(inputs, given.patches, beside.source), beside)


def files(folder: Path) -> list[Path]:
    """The images that the `labels.csv` of a folder names, row by row; raise `InputError` for one that is not in it."""
    return _files(folder, _labelled(folder, {}, ()))


def _folder(path: Path, given: ImageInput, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Found:
    beside = _labelled(path, wanted, markers)
    digest = hashlib.sha256((path / LABELS).read_bytes())
    found = _files(path, beside)
    inputs = _scaled((_decoded(file, given, digest) for file in found), len(found), given, path)
    source = Source(path.name, digest.hexdigest())
    return Found(image_data(inputs, given.patches, source), beside)


def _labelled(path: Path, wanted: Mapping[str, str], markers: tuple[str, ...]) -> Raw:
    listed = path / LABELS
    if not listed.is_file():
        raise InputError(f"holds no {LABELS}", where=path, expected=f"a table with a column {FILE!r} beside the images")
    return tables.read(listed, {FILE: "data.test in the card"} | dict(wanted), markers)


def _files(path: Path, beside: Raw) -> list[Path]:
    cells = beside.cells(FILE)
    cells.refuse(cells.missing, "names no file", do="leave such rows out", cell=False)
    return [_inside(path, cells.text(row), row) for row in range(beside.rows)]


def _inside(folder: Path, name: str, row: int) -> Path:
    """The image of this name; raise `InputError` when it is not an ordinary file within the folder."""
    where = f"{folder / LABELS}: column 'file', data row {row + 1} (the first is 1)"
    try:
        path = (folder / name).resolve()
        within, there = path.is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError, RuntimeError):
        within, there = True, False
    if not within:
        raise InputError(f"{show(name)} lies outside the folder", where=where, expected="a path inside the folder")
    if not there:
        raise InputError(f"no such image: {show(name)}", where=where, do="mend the name, or leave the row out")
    return path


def _decoded(path: Path, given: ImageInput, digest: Any) -> Pixels:
    """One image from 0 to 1, (channels, height, width); its bytes go into the digest."""
    if path.stat().st_size > limits.LARGEST_IMAGE_FILE:
        raise InputError("is an image file of more than 64 MiB", where=path, do="save it smaller")
    content = path.read_bytes()
    digest.update(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's milder limit, and its notes about metadata
        picture = _declared(content, path)
        return _pixels(picture, given, path)


def _declared(content: bytes, path: Path) -> Any:
    """An image of which only the header was read, once that declares an acceptable size."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _giant(path) from None
    except Exception:  # noqa: BLE001 - a damaged image may raise anything
        raise InputError("is no PNG or JPEG image", where=path, expected=READABLE) from None
    if picture.width * picture.height > limits.MOST_PIXELS:
        raise _giant(path)
    if picture.mode.startswith(("I", "F")):
        raise InputError("holds more than 8 bits a channel", where=path, expected="8 bits", do="convert it first")
    return picture


def _giant(path: Path) -> InputError:
    what = f"its header declares more than {limits.MOST_PIXELS:,} pixels"
    return InputError(what, where=path, do="save it smaller")


def _pixels(picture: Any, given: ImageInput, path: Path) -> Pixels:
    height, width = given.size
    try:
        plain = picture.convert("L" if given.channels == 1 else "RGB")
        found = np.asarray(_resized(plain, given), dtype=np.float32).reshape(height, width, -1) / np.float32(255)
    except Exception:  # noqa: BLE001 - a damaged image may raise anything
        raise InputError("is a damaged or cut off image", where=path, expected=READABLE) from None
    return np.moveaxis(found, -1, 0)


def _resized(picture: Any, given: ImageInput) -> Any:
    from PIL import Image

    size = given.size[::-1]
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def _arrays(found: npz.Npz, given: ImageInput) -> NDArray[Any]:
    """The images of an archive as (rows, height, width, channels), values from 0 to 255 or from 0 to 1."""
    shape, dtype = found.member(ARRAY).shape, found.member(ARRAY).dtype
    last = len(shape) == 4 and shape[3] == given.channels
    first = len(shape) == 4 and shape[1] == given.channels
    if dtype.kind not in "uif" or not (last or first or (len(shape) == 3 and given.channels == 1)):
        raise npz.misshapen(found, ARRAY, f"{SHAPES}, with channels = {given.channels} as the card says")
    if 0 in shape:
        raise InputError("holds no images", where=found.path, do="name a file with data")
    values = found.array(ARRAY)
    _require_range(values, found.path)
    if len(shape) == 3:
        return values[..., None]
    return values if last and not (first and shape[2:] == given.size) else np.moveaxis(values, 1, -1)


def _require_range(values: NDArray[Any], path: Path) -> None:
    """Whole numbers go from 0 to 255, others from 0 to 1: anything else was scaled already."""
    most = 1 if values.dtype.kind == "f" else 255  # NaN fails every comparison
    if values.min() >= 0 and values.max() <= most:
        return
    for row, image in enumerate(values):
        low, high = float(image.min()), float(image.max())
        if not (low >= 0 and high <= most):
            what = f"array '{ARRAY}', row {row + 1} (the first is 1) holds values from {low:g} to {high:g}"
            raise InputError(what, where=path, expected="whole numbers from 0 to 255, or floats from 0 to 1")


def _fitted(image: NDArray[Any], given: ImageInput) -> Pixels:
    """One image of an archive from 0 to 1 in the card's size, (channels, height, width)."""
    from PIL import Image

    kind, most = (np.float32, 1.0) if image.dtype.kind == "f" else (np.uint8, 255.0)
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0), dtype=kind)
    if image.shape[:2] != given.size:
        planes = np.stack([np.asarray(_resized(Image.fromarray(plane), given)) for plane in planes])
    return np.asarray(planes, dtype=np.float32) / np.float32(most)


def _scaled(images: Iterator[Pixels], rows: int, given: ImageInput, path: Path) -> Pixels:
    """All images as (v - mean) / scale, shape (rows, channels, height, width)."""
    shape = (given.channels, *given.size)
    limits.require_numbers(rows, int(np.prod(shape)), path)
    mean, scale = (np.asarray(each or none, dtype=np.float32) for each, none in ((given.mean, 0.0), (given.scale, 1.0)))
    inputs = np.empty((rows, *shape), dtype=np.float32)
    for row, image in enumerate(images):
        inputs[row] = (image - mean.reshape(-1, 1, 1)) / scale.reshape(-1, 1, 1)
    return inputs
