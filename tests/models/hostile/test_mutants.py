"""Sound files with a few bytes changed, and bytes of no meaning: read or refused, and nothing else."""

import os
import pickle
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from rai.errors import InputError
from rai.models import archive, sniff
from rai.models.safe import open_safetensors
from rai.models.sniff import Kind


def seeds(folder: Path, craft) -> list[bytes]:
    state_dict = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    save_file(state_dict, str(folder / "s"))
    from_onnx = b"\x08\x08" + craft.field(
        7,
        craft.field(5, b"\x08\x02\x10\x01" + craft.field(9, b"\0" * 8)) + craft.field(1, craft.field(4, b"Relu")),
    )
    return [
        craft.saved(state_dict),
        craft.saved(state_dict, legacy=True),
        (folder / "s").read_bytes(),
        craft.saved({"state_dict": state_dict, "epoch": 1, "set": {1, 2}}),
        pickle.dumps({"a": [1, (2, 3)], "b": os.getcwd}, protocol=4),
        from_onnx,
        craft.scripted(),
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory, craft) -> list[bytes]:
    return seeds(tmp_path_factory.mktemp("seeds"), craft)


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
    said = refusal(path)
    assert said is None or (str(said).startswith(str(path)) and len(str(said).splitlines()) == 1)
