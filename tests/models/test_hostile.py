"""Files made to harm: each must be refused in one line, quickly, and none may run."""

import builtins
import contextlib
import gzip
import io
import json
import os
import pickle
import random
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from rai.errors import InputError
from rai.models import archive, load, sniff, tensor_shapes
from rai.models.safe import open_safetensors
from rai.models.sniff import Kind


class Runs:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(marker: Path) -> dict[str, Runs]:
    return {
        "system": Runs(os.system, f"touch {marker}"),
        "exec": Runs(builtins.exec, f"open({str(marker)!r}, 'w').close()"),
        "open": Runs(io.open, str(marker), "w"),
        "eval": Runs(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "mkdir": Runs(os.mkdir, str(marker)),
        "path": Runs(Path.touch, marker),
        "getattr": Runs(getattr, Runs(builtins.__import__, "os"), "system"),
    }


def torch_zip(pickled: bytes, storages: dict[str, bytes], *, name: str = "a", packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as file:
        file.writestr(f"{name}/data.pkl", pickled)
        file.writestr(f"{name}/byteorder", "little")
        for key, content in storages.items():
            file.writestr(f"{name}/data/{key}", content)
        file.writestr(f"{name}/version", "3\n")
    return buffer.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def tensor(shape: tuple[int, ...], stride: tuple[int, ...], *, elements: int, offset: int = 0, key: str = "0") -> bytes:
    """The opcodes of one float tensor, with whatever sizes."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(elements) + b"tQ"
    sizes = b"".join(b"(" + b"".join(number(each) for each in part) + b"t" for part in (shape, stride))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + sizes + b"\x89Nt" + b"R"


def state(*tensors: bytes) -> bytes:
    items = b"".join(text(f"{position}.weight") + each for position, each in enumerate(tensors))
    return b"\x80\x02}(" + items + b"u."


def saved(thing, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def wrong_crc(content: bytes) -> bytes:
    """Change the pickle's checksum in the table of contents; torch does not look at it."""
    at = content.index(b"PK\x01\x02")
    return content[: at + 16] + b"\0\0\0\0" + content[at + 20 :]


class Scripted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1)


def scripted() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Scripted()), buffer)
    return buffer.getvalue()


def zipped(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in names.items():
            file.writestr(name, content)
    return buffer.getvalue()


def twice() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO(torch_zip(state(tensor((2,), (1,), elements=2)), {"0": b"\0" * 8}))
        with zipfile.ZipFile(buffer, "a") as file:
            file.writestr("a/data.pkl", b"\x80\x02}.")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("pickle"))
    return buffer.getvalue()


def safe(header: dict | bytes, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def code_carriers(marker: Path) -> dict[str, bytes]:
    found = {}
    for name, each in payloads(marker).items():
        found |= {
            f"bare {name}": pickle.dumps(each),
            f"zip {name}": saved({"weight": each}),
            f"legacy {name}": saved({"weight": each}, legacy=True),
            f"beside weights {name}": saved({"state_dict": nn.Linear(2, 1).state_dict(), "x": each}),
            f"crc {name}": wrong_crc(saved([each])),
        }
    good = saved(nn.Linear(2, 1).state_dict(), legacy=True)
    evil = payloads(marker)["exec"]
    return found | {
        "stacked": good + pickle.dumps(evil),
        "stacked in zip": torch_zip(state(tensor((1,), (1,), elements=1)) + pickle.dumps(evil), {"0": b"\0" * 4}),
        "evil then good": pickle.dumps(evil) + good,
        "legacy system info": good[:21] + pickle.dumps(evil, protocol=2) + good[21:],
        "whole module": saved(nn.Linear(2, 1)),
        "whole legacy module": saved(nn.Linear(2, 1), legacy=True),
        "script": scripted(),
        "protocol 0": pickle.dumps(evil, protocol=0),
        "protocol 1": pickle.dumps(evil, protocol=1),
        "numpy object": pickle.dumps(np.array([evil], dtype=object)),
    }


def bombs() -> dict[str, bytes]:
    row = b"\0" * 8
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    laughs = b"\x80\x02]q\0" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)
    )
    return {
        "bytearray": torch_zip(b"\x80\x02c__builtin__\nbytearray\n" + number(2**33) + b"\x85R.", {}),
        "stride 0": torch_zip(state(tensor((2**20, 2**20), (0, 0), elements=2)), {"0": row}),
        "out of range": torch_zip(state(tensor((2,), (1,), elements=2, offset=5)), {"0": row}),
        "stride far": torch_zip(state(tensor((2,), (2**40,), elements=2)), {"0": row}),
        "negative stride": torch_zip(state(tensor((2,), (-1,), elements=2)), {"0": row}),
        "negative offset": torch_zip(state(tensor((2,), (1,), elements=2, offset=-1)), {"0": row}),
        "negative size": torch_zip(state(tensor((-2,), (1,), elements=2)), {"0": row}),
        "claims gigabytes": torch_zip(state(tensor((2**31,), (1,), elements=2**31)), {"0": row}),
        "giant number": torch_zip(state(tensor((2**75,), (1,), elements=2)), {"0": row}),
        "no storage": torch_zip(state(tensor((2,), (1,), elements=2, key="9")), {"0": row}),
        "escaping key": torch_zip(state(tensor((2,), (1,), elements=2, key="../../byteorder")), {"0": row}),
        "deep list": torch_zip(deep, {}),
        "endless lists": torch_zip(b"\x80\x02" + b"]" * 15_000_000 + b".", {}),
        "long header": safe(b'{"a": [' + b"[]," * 5_000_000 + b"[]]}"),
        "many entries": zipped({f"a/{each}": b"" for each in range(50_001)}),
        "laughs": torch_zip(laughs + b".", {}),
        "many dimensions": torch_zip(state(tensor((1,) * 200, (1,) * 200, elements=2)), {"0": row}),
        "packed": torch_zip(state(tensor((2,), (1,), elements=2)), {"0": b"\0" * 5_000_000}, packed=True),
        "deep safetensors": safe(b"{" * 100_000),
        "safetensors beyond": safe({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        "safetensors overlap": safe(
            {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in ("v", "w")}, b"\0" * 8
        ),
        "safetensors hole": safe({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, b"\0" * 16),
        "safetensors negative": safe({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\0" * 8),
        "safetensors kind": safe({"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, b"\0" * 8),
        "safetensors empty": safe({}),
        "onnx deep": b"\x08\x08" + nested(200),
    }


def nested(depth: int) -> bytes:
    """A graph whose node's attribute is a graph, and so on."""
    inner = b""
    for _ in range(depth):
        inner = field(6, inner)
        inner = field(1, field(5, inner))
    return field(7, inner)


def field(number: int, content: bytes) -> bytes:
    length, out = len(content), b""
    while True:
        out += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return bytes([number << 3 | 2]) + out + content


def strangers() -> dict[str, bytes]:
    good = saved(nn.Linear(2, 1).state_dict())
    old = saved(nn.Linear(2, 1).state_dict(), legacy=True)
    noise = random.Random(0).randbytes  # noqa: S311 - noise, no secret
    return {
        "empty": b"",
        "one byte": b"\x80",
        "text": b"hello, this is my model",
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "csv": b"age,sex\n31,F\n40,M\n",
        "json": b'{"weights": [1, 2]}',
        "utf-16": "modèle".encode("utf-16"),
        "png": b"\x89PNG\r\n\x1a\n" + noise(100),
        "gzip": gzip.compress(good),
        "tar": tarred(),
        "elf": b"\x7fELF" + noise(200),
        "hdf5": b"\x89HDF\r\n\x1a\n" + noise(200),
        "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "noise": noise(5000),
        "noise after magic": b"PK\x03\x04" + noise(3000),
        "noise after pickle": b"\x80\x02" + noise(3000),
        "noise as header": (100).to_bytes(8, "little") + b"{" + noise(200),
        "zeros": b"\0" * 4096,
        "plain zip": zipped({"readme.txt": b"hi"}),
        "empty zip": zipped({}),
        "two models": zipped({"a/data.pkl": b"\x80\x02}.", "b/data.pkl": b"\x80\x02}."}),
        "one entry twice": twice(),
        "npz": zipped({"a.npy": b"x"}),
        "office": zipped({"[Content_Types].xml": b"x"}),
        "keras": zipped({"model.weights.h5": b"x"}),
        "aoti": zipped({"m/data/aotinductor/model/a.so": b"\x7fELF", "m/archive_format": b"pt2"}),
        "native": zipped({"m/data.pkl": b"\x80\x02}.", "m/x.so": b"\x7fELF"}),
        "pt2": zipped({"m/archive_format": b"pt2", "m/models/model.json": b"{}"}),
        "old pt2": zipped({"serialized_exported_program.json": b"{}", "version": b"1"}),
        "half a zip": good[: len(good) // 2],
        "zip less a byte": good[:-1],
        "zip without head": good[10:],
        "legacy cut": old[:-3],
        "legacy halved": old[: len(old) // 2],
        "legacy and more": old + b"more",
        "no tensors": saved({"epoch": 3}),
        "a list": saved([1, 2, 3]),
        "a tensor": saved(torch.ones(3)),
        "big-endian": torch_zip(state(tensor((1,), (1,), elements=1)), {"0": b"\0" * 4}).replace(b"little", b"bigger"),
    }


def corpus(marker: Path) -> dict[str, bytes]:
    return code_carriers(marker) | bombs() | strangers()


NAMES = sorted(corpus(Path("marker")))


@pytest.fixture(scope="module")
def marker(tmp_path_factory) -> Path:
    """The file that exists as soon as any payload ran."""
    return tmp_path_factory.mktemp("markers") / "marker"


@pytest.fixture(scope="module")
def files(marker) -> dict[str, bytes]:
    return corpus(marker)


def test_the_corpus_is_large() -> None:
    assert len(NAMES) >= 90


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_is_refused_in_one_line_and_does_not_run(name, files, marker, tmp_path, kit) -> None:
    card = kit.card(kit.make())
    for suffix in ("model.pt", "model.safetensors"):
        path = tmp_path / suffix
        path.write_bytes(files[name])
        with pytest.raises(InputError) as caught:
            load(path, card, kit.rows)
        kit.one_line(str(caught.value))
        assert str(caught.value).startswith(str(path))
        with contextlib.suppress(InputError):
            tensor_shapes(path)
    assert not marker.exists()


def test_sound_files_made_by_the_same_hands_are_read(tmp_path) -> None:
    """The control: what makes the bombs above bombs is what they state, not how they were made."""
    (tmp_path / "m").write_bytes(torch_zip(state(tensor((2,), (1,), elements=4, offset=1)), {"0": bytes(range(16))}))
    found = archive.open_zip(tmp_path / "m").named["0.weight"]
    assert torch.equal(found.read(), torch.frombuffer(bytearray(range(4, 12)), dtype=torch.float32))
    header = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    (tmp_path / "s").write_bytes(safe(header, b"\0" * 8))
    assert tensor_shapes(tmp_path / "s") == {"w": (2,)}
    (tmp_path / "o").write_bytes(b"\x08\x08" + nested(3))
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


def test_the_payloads_are_live(tmp_path) -> None:
    """The proof that the corpus can harm: what is refused above does run when it is unpickled."""
    ran = 0
    for name, each in payloads(tmp_path / "marker").items():
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


def things(folder: Path) -> dict[str, Path]:
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "one").symlink_to(folder / "other")
    (folder / "other").symlink_to(folder / "one")
    (folder / "to pipe").symlink_to(folder / "pipe")
    named = {name: folder / name for name in ("folder", "pipe", "loop", "one", "to pipe", "missing")}
    return named | {"zero": Path("/dev/zero"), "null": Path("/dev/null"), "long": folder / ("x" * 5000)}


@pytest.mark.parametrize("name", ["folder", "pipe", "loop", "one", "to pipe", "missing", "zero", "null", "long"])
def test_what_is_no_file_is_refused_and_never_opened(name, tmp_path, rows, kit) -> None:
    with pytest.raises(InputError) as caught:
        load(things(tmp_path)[name], kit.card(kit.make()), rows)
    assert "\n" not in str(caught.value)


def test_the_name_of_a_file_says_nothing(tmp_path, rows, kit) -> None:
    module = kit.make()
    save_file(module.state_dict(), str(tmp_path / "model.pt"))
    torch.save(module.state_dict(), tmp_path / "model.safetensors")
    torch.save(module.state_dict(), tmp_path / "model.onnx", _use_new_zipfile_serialization=False)
    for name, kind in (
        ("model.pt", Kind.SAFETENSORS),
        ("model.safetensors", Kind.STATE_DICT),
        ("model.onnx", Kind.LEGACY_STATE_DICT),
    ):
        assert load(tmp_path / name, kit.card(module), rows).format == kind


def test_an_error_names_what_the_file_is(tmp_path) -> None:
    said = {"png": "a PNG picture", "html": "web page", "csv": "text, not a model", "gzip": "unpack it", "npz": "NumPy"}
    said |= {"git lfs": "git lfs pull", "aoti": "AOTInductor package", "hdf5": "convert the model to ONNX"}
    for name, words in said.items():
        (tmp_path / "m").write_bytes(strangers()[name])
        with pytest.raises(InputError, match=words):
            sniff.identify(tmp_path / "m")


def test_the_name_a_pickle_would_import_is_shown_and_made_harmless(tmp_path, rows, kit) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x02c" + b"evil\x1b[31m" + b"x" * 300 + b"\nthing\n.")
    with pytest.raises(InputError) as caught:
        load(tmp_path / "m", kit.card(kit.make()), rows)
    assert "evil?[31m" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def seeds(folder: Path) -> list[bytes]:
    state_dict = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    save_file(state_dict, str(folder / "s"))
    from_onnx = b"\x08\x08" + field(
        7, field(5, b"\x08\x02\x10\x01" + field(9, b"\0" * 8)) + field(1, field(4, b"Relu"))
    )
    return [
        saved(state_dict),
        saved(state_dict, legacy=True),
        (folder / "s").read_bytes(),
        saved({"state_dict": state_dict, "epoch": 1, "set": {1, 2}}),
        pickle.dumps({"a": [1, (2, 3)], "b": os.getcwd}, protocol=4),
        from_onnx,
        scripted(),
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> list[bytes]:
    return seeds(tmp_path_factory.mktemp("seeds"))


def read_all(path: Path) -> None:
    """Identify the file, and where it holds tensors read every one of them."""
    kind = sniff.identify(path).kind
    opener = {
        Kind.STATE_DICT: archive.open_zip,
        Kind.LEGACY_STATE_DICT: archive.open_legacy,
        Kind.SAFETENSORS: open_safetensors,
    }.get(kind)
    for each in opener(path).named.values() if opener else ():
        each.read()


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, ord("."), ord("R"), ord("t"), ord("("), ord("Q")])
            case 2:
                del changed[at : at + chance.randint(1, 9)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 9))
            case 4:
                other = chance.randrange(len(changed))
                changed[at : at + 8] = changed[other : other + 8]
        if not changed:
            return b"\x80"
    return bytes(changed)


def refusal(path: Path) -> InputError | None:
    try:
        read_all(path)
    except InputError as error:
        return error
    return None


@pytest.mark.parametrize("seed", range(7))
def test_a_mutant_is_read_or_refused_and_never_raises_anything_else(seed, sound, tmp_path) -> None:
    chance, path = random.Random(seed), tmp_path / "m"  # noqa: S311 - mutants, no secrets
    refused = 0
    for _ in range(1500):
        path.write_bytes(mutated(sound[seed], chance))
        refused += refusal(path) is not None
    assert refused > 150


@settings(max_examples=300, deadline=None)
@given(head=st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04", b"\x08\x08"]), body=st.binary(max_size=300))
def test_any_bytes_are_named_or_refused(head, body, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + body)
    with contextlib.suppress(InputError):
        read_all(path)
