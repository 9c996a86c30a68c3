"""An .npz archive is opened by what it declares; nothing in it runs, and nothing small unpacks into something huge."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from rai.data import npz
from rai.errors import InputError


class Trap:
    """Unpickling this would fail the test."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle ran",))


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def test_pickled_objects_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="array 'values' holds pickled Python objects, which can run code"):
        npz.open_npz(tmp_path / "a.npz")


def test_an_archive_that_would_unpack_into_much_is_refused_by_its_headers(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{f"a{i}": np.zeros(1 << 20) for i in range(8)})
    assert npz.open_npz(tmp_path / "a.npz").members["a0"].size == 8 << 20
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for place in range(70):
            with archive.open(f"a{place}.npy", "w") as stream:
                stream.write(header((1 << 16,)))
                stream.write(bytes(8 << 16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rai.data.limits.LARGEST_TABLE", 32 << 20)
        with pytest.raises(InputError, match="unpacks to more than 4 GiB"):
            npz.open_npz(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("values.npy", header((1 << 40,)), "cannot be read as .npz"),
        ("values.npy", header((-1, -8)), "cannot be read as .npz"),
        ("values.npy", b"\x93NUMPY\x03\x00" + bytes(200), "cannot be read as .npz"),
        ("values.npy", header((3,)) + bytes(5), "cannot be read as .npz"),
        ("values.npy", header((2,), "<c16") + bytes(32), "array 'values' holds values of kind complex128"),
        ("notes.txt", b"hello", "holds 'notes.txt', which is no array"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        npz.open_npz(write(tmp_path / "a.npz", name, content))


def test_many_files_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for place in range(1_001):
            archive.writestr(f"a{place}.npy", b"")
    with pytest.raises(InputError, match="holds 1,001 files; expected at most 1,000"):
        npz.open_npz(tmp_path / "a.npz")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_a_damaged_archive_is_one_line_or_reads_right(tmp_path: Path, place: int, value: int, cut: int) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, values=np.arange(24.0).reshape(2, 3, 4), y=np.array(["a", "b"]))
    content = bytearray(stream.getvalue())
    content[place % len(content)] = value
    path = tmp_path / "a.npz"
    path.write_bytes(bytes(content[: max(1, len(content) - cut % 50)]))
    with contextlib.suppress(InputError):
        found = npz.open_npz(path)
        if "values" in found.members:
            np.testing.assert_array_equal(found.array("values"), np.arange(24.0).reshape(2, 3, 4))
