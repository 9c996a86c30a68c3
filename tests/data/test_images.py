"""Images come in as the card says, and a hostile file is one clear line."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rai.card import Card, Files, ImageInput
from rai.data import load
from rai.errors import InputError

CARD = Card(
    task="binary",
    classes=("no", "yes"),
    data=Files(target="y", sensitive=("sex",)),
    input=ImageInput("image", size=(2, 3), channels=1, mean=(0.5,), scale=(0.25,), patches=2),
)
GREY = np.array([[[0, 51, 255], [102, 153, 204]], [[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
SIDES = {"y": np.array(["no", "yes"]), "sex": np.array(["f", "m"])}


def carded(**changes: Any) -> Card:
    assert isinstance(CARD.input, ImageInput)
    return replace(CARD, input=replace(CARD.input, **changes))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of images; `files` maps a name to an array or to bytes."""

    def make(files: dict[str, Any], names: list[str] | None = None) -> Path:
        for name, content in files.items():
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            else:
                Image.fromarray(content).save(tmp_path / name)
        lines = [f"{name},{('no', 'yes')[i % 2]},{'fm'[i % 2]}" for i, name in enumerate(names or files)]
        (tmp_path / "labels.csv").write_text("\n".join(["file,y,sex", *lines]))
        return tmp_path

    return make


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    def make(**arrays: Any) -> Path:
        path = tmp_path / "images.npz"
        np.savez_compressed(path, **{**SIDES, **arrays})
        return path

    return make


def expected(grey: np.ndarray) -> np.ndarray:
    return ((grey.astype(np.float64) / 255 - 0.5) / 0.25)[:, None]


def test_a_folder_gives_scaled_pixels_labels_and_groups_in_the_order_of_the_table(
    folder: Callable[..., Path],
) -> None:
    data = load(folder({"b.png": GREY[0], "a.png": GREY[1]}), CARD)
    assert data.kind == "image"
    assert data.inputs.dtype == np.float32
    np.testing.assert_allclose(data.inputs, expected(GREY), atol=1e-6)
    np.testing.assert_array_equal(data.features, data.inputs.reshape(2, -1))
    np.testing.assert_array_equal(data.labels, [0, 1])
    assert data.groups["sex"].levels == ("f", "m")


@pytest.mark.parametrize(
    "images",
    [GREY, GREY[..., None], GREY[:, None], GREY.astype(np.int64), GREY / 255.0, (GREY / 255.0)[:, None]],
    ids=["bare", "last", "first", "int64", "float", "float first"],
)
def test_an_archive_means_the_same_in_every_layout(archive: Callable[..., Path], images: np.ndarray) -> None:
    np.testing.assert_allclose(load(archive(images=images), CARD).inputs, expected(GREY), atol=1e-6)


def test_colours_keep_their_channel(folder: Callable[..., Path]) -> None:
    red, blue = np.zeros((2, 2, 3, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    data = load(folder({"r.png": red, "b.png": blue}), carded(channels=3, mean=(), scale=()))
    np.testing.assert_array_equal(data.inputs.max(axis=(2, 3)), [[1, 0, 0], [0, 0, 1]])


def test_images_of_other_sizes_are_resized_alike_from_files_and_arrays(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    large = np.random.default_rng(0).integers(0, 256, (2, 8, 12), dtype=np.uint8)
    filed = load(folder({"a.png": large[0], "b.png": large[1]}), CARD).inputs
    np.savez(tmp_path / "large.npz", images=large, **SIDES)
    np.testing.assert_array_equal(load(tmp_path / "large.npz", CARD).inputs, filed)
    assert filed.shape == (2, 1, 2, 3)
    by_hand = np.asarray(Image.fromarray(large[0]).resize((3, 2), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(filed[:1], expected(by_hand[None]), atol=1e-6)


def test_patches_share_out_every_pixel_once_and_all_channels_of_a_place(archive: Callable[..., Path]) -> None:
    images = np.zeros((2, 5, 7, 3), dtype=np.uint8)
    data = load(archive(images=images), carded(size=(5, 7), channels=3, mean=(), scale=(), patches=3))
    owned = sorted(place for player in data.players for place in player.inputs)
    assert owned == list(range(5 * 7 * 3))
    assert [player.name for player in data.players][:4] == [
        "row 1, column 1",
        "row 1, column 2",
        "row 1, column 3",
        "row 2, column 1",
    ]
    rows, columns = np.unravel_index(data.players[-1].inputs, (3, 5, 7))[1:]
    assert set(rows) == {3, 4}
    assert set(columns) == {4, 5, 6}


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def giant(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header declares a great many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (jpeg()[:1500], "bad.png: is a damaged or cut off image"),
        (giant(7_000, 7_000), "bad.png: its header declares more than 40,000,000 pixels"),
        (giant(60_000, 60_000), "bad.png: its header declares more than 40,000,000 pixels"),
        (giant(40, 40), "bad.png: is a damaged or cut off image"),
        (b"not an image", "bad.png: is no PNG or JPEG image"),
        (b"GIF89a" + b"\0" * 40, "bad.png: is no PNG or JPEG image"),
        (b"", "bad.png: is no PNG or JPEG image"),
    ],
)
def test_a_damaged_image_is_named(folder: Callable[..., Path], content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(folder({"a.png": GREY[0], "bad.png": content}), CARD)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 5_000), value=st.integers(0, 255), cut=st.integers(0, 400), kind=st.sampled_from(["PNG", "JPEG"])
)
def test_whatever_is_damaged_is_one_line_or_an_image(
    folder: Callable[..., Path], at: int, value: int, cut: int, kind: str
) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)).save(stream, kind)
    content = bytearray(stream.getvalue())
    content[at % len(content)] = value
    with contextlib.suppress(InputError):
        data = load(folder({"a.png": GREY[0], "b.png": bytes(content[: len(content) - cut // 8])}), CARD)
        assert np.abs(data.inputs).max() <= 2


def test_sixteen_bits_are_refused_not_clipped(folder: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="deep.png: holds more than 8 bits a channel"):
        load(folder({"deep.png": GREY[0].astype(np.uint16) * 257, "a.png": GREY[0]}), CARD)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../secret.png", r"data row 2 \(the first is 1\): '../secret.png' lies outside the folder"),
        ("/etc/hostname", "'/etc/hostname' lies outside the folder"),
        ("link.png", "'link.png' lies outside the folder"),
        ("absent.png", "no such image: 'absent.png'"),
        (".", "no such image: '.'"),
        ("", "data row 2 .*: names no file"),
    ],
)
def test_a_name_leads_to_a_file_inside_the_folder_only(
    folder: Callable[..., Path], tmp_path: Path, name: str, said: str
) -> None:
    outside = tmp_path.parent / "secret.png"
    Image.fromarray(GREY[0]).save(outside)
    (tmp_path / "link.png").symlink_to(outside)
    with pytest.raises(InputError, match=said):
        load(folder({"a.png": GREY[0]}, ["a.png", name]), CARD)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (GREY.astype(np.int16) - 3, r"row 1 \(the first is 1\) holds values from -3 to 252"),
        (GREY.astype(float), "row 1 .* from 0 to 255; expected whole numbers from 0 to 255, or floats from 0 to 1"),
        (np.where(GREY == 5, np.nan, 0.5), "row 2 .*nan"),
        (GREY[0], "array 'images' has shape 2 × 3; expected rows × height × width"),
        (np.zeros((2, 2, 3, 4), dtype=np.uint8), "has shape 2 × 2 × 3 × 4.*channels = 1 as the card says"),
        (np.zeros((0, 2, 3), dtype=np.uint8), "holds no images"),
        (np.array([["a"]]), "array 'images' has shape 1 × 1"),
    ],
)
def test_arrays_that_are_no_images_are_refused(archive: Callable[..., Path], images: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(archive(images=images), CARD)


def test_the_table_beside_is_missed_and_so_are_its_columns(tmp_path: Path, archive: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="holds no labels.csv"):
        load(tmp_path, CARD)
    with pytest.raises(InputError, match="array 'y' has shape 3; expected one value for each of 2 rows"):
        load(archive(images=GREY, y=np.arange(3)), CARD)
    path = archive(images=GREY)
    with pytest.raises(InputError, match="no column 'region', named by data.sensitive in the card"):
        load(path, replace(CARD, data=Files(target="y", sensitive=("region",))))
    with pytest.raises(InputError, match="'maybe'.*is not among the classes"):
        load(archive(images=GREY, y=np.array(["no", "maybe"])), CARD)
