"""Files made to harm: each must be refused in one line, quickly, and none may run."""

import contextlib
import pickle
import warnings

import numpy as np
import pytest
import torch

from rai.errors import InputError
from rai.models import archive, load, sniff, tensor_shapes
from rai.models.sniff import Kind


def test_the_corpus_is_large(files) -> None:
    assert len(files) >= 90


def test_a_hostile_file_is_refused_in_one_line_and_does_not_run(hostile, files, marker, tmp_path, kit) -> None:
    card = kit.card(kit.make())
    for suffix in ("model.pt", "model.safetensors"):
        path = tmp_path / suffix
        path.write_bytes(files[hostile])
        with pytest.raises(InputError) as caught:
            load(path, card, kit.rows)
        kit.one_line(str(caught.value))
        assert str(caught.value).startswith(str(path))
        with contextlib.suppress(InputError):
            tensor_shapes(path)
    assert not marker.exists()


def test_sound_files_made_by_the_same_hands_are_read(tmp_path, craft) -> None:
    """The control: what makes the bombs above bombs is what they state, not how they were made."""
    (tmp_path / "m").write_bytes(
        craft.torch_zip(craft.state(craft.tensor((2,), (1,), elements=4, offset=1)), {"0": bytes(range(16))})
    )
    found = archive.open_zip(tmp_path / "m").named["0.weight"]
    assert torch.equal(found.read(), torch.frombuffer(bytearray(range(4, 12)), dtype=torch.float32))
    header = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    (tmp_path / "s").write_bytes(craft.safe(header, b"\0" * 8))
    assert tensor_shapes(tmp_path / "s") == {"w": (2,)}
    (tmp_path / "o").write_bytes(b"\x08\x08" + craft.nested(3))
    assert sniff.identify(tmp_path / "o").kind is Kind.ONNX


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stride 0", "states 1,099,511,627,776 numbers and the file holds 2"),
        ("out of range", "states 2 numbers and the file holds 2"),
        ("stride far", "states 2 numbers and the file holds 2"),
        ("negative stride", "impossible shape"),
        ("many dimensions", "impossible shape"),
        ("claims gigabytes", "are 8 bytes, not the 2,147,483,648 stated"),
        ("giant number", "damaged"),
        ("no storage", "are missing"),
        ("packed", "packed or encrypted"),
        ("stacked", "has bytes after the end"),
        ("stacked in zip", "bytes follow the end"),
        ("evil then good", "pickled Python object"),
        ("crc exec", "damaged or truncated"),
        ("zip exec", r"builtins\.exec|__builtin__\.exec"),
        ("legacy system info", "pickled PyTorch object"),
        ("aoti", "never loads"),
        ("one entry twice", "names one entry twice"),
        ("big-endian", "big-endian|damaged"),
    ],
)
def test_a_bomb_is_refused_for_what_it_is(name, words, files, tmp_path, rows, kit) -> None:
    (tmp_path / "m").write_bytes(files[name])
    with pytest.raises(InputError, match=words):
        load(tmp_path / "m", kit.card(kit.make()), rows)


def test_the_payloads_are_live(tmp_path, craft) -> None:
    """The proof that the corpus can harm: what is refused above does run when it is unpickled."""
    ran = 0
    for name, each in craft.payloads(tmp_path / "marker").items():
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pickle.loads(pickle.dumps(each))  # noqa: S301 - the point of this test
        marker = tmp_path / "marker"
        ran += marker.exists()
        if marker.exists():
            marker.rmdir() if marker.is_dir() else marker.unlink()
        assert name
    assert ran >= 5


def test_no_unpickler_is_ever_called(tmp_path, rows, kit, monkeypatch) -> None:
    def forbidden(*_, **__):
        raise AssertionError("an unpickler was called")

    module = kit.make()
    for legacy in (False, True):
        torch.save(module.state_dict(), tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
        for where, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
            monkeypatch.setattr(where, name, forbidden)
        assert np.allclose(load(tmp_path / "m.pt", kit.card(module), rows).model.scores(rows), kit.answer(module, rows))


def test_an_error_names_what_the_file_is(tmp_path, files) -> None:
    said = {"png": "a PNG picture", "html": "web page", "csv": "text, not a model", "gzip": "unpack it", "npz": "NumPy"}
    said |= {"git lfs": "git lfs pull", "aoti": "AOTInductor package", "hdf5": "convert the model to ONNX"}
    for name, words in said.items():
        (tmp_path / "m").write_bytes(files[name])
        with pytest.raises(InputError, match=words):
            sniff.identify(tmp_path / "m")


def test_the_name_a_pickle_would_import_is_shown_and_made_harmless(tmp_path, rows, kit) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x02c" + b"evil\x1b[31m" + b"x" * 300 + b"\nthing\n.")
    with pytest.raises(InputError) as caught:
        load(tmp_path / "m", kit.card(kit.make()), rows)
    assert "evil?[31m" in str(caught.value)
    assert "\x1b" not in str(caught.value)
