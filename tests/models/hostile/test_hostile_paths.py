"""What is no file is never opened, and what a file is called says nothing."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rai.errors import InputError
from rai.models import load
from rai.models.sniff import Kind


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
