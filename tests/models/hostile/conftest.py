"""Files made to harm, and the bytes they are made of."""

import builtins
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
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn


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


def pytest_generate_tests(metafunc) -> None:
    """A test that asks for a `hostile` file's name is run for each of them."""
    if "hostile" in metafunc.fixturenames:
        metafunc.parametrize("hostile", NAMES)


@pytest.fixture(scope="session")
def marker(tmp_path_factory) -> Path:
    """The file that exists as soon as any payload ran."""
    return tmp_path_factory.mktemp("markers") / "marker"


@pytest.fixture(scope="session")
def files(marker) -> dict[str, bytes]:
    """Every hostile file by its name."""
    return corpus(marker)


@pytest.fixture(scope="session")
def craft() -> SimpleNamespace:
    """The hands that made the hostile files."""
    return SimpleNamespace(
        field=field,
        nested=nested,
        payloads=payloads,
        safe=safe,
        saved=saved,
        scripted=scripted,
        state=state,
        tensor=tensor,
        torch_zip=torch_zip,
    )
