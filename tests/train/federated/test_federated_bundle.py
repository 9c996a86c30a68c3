"""What is sent to sites: exactly what was written for them, with true hashes, and no row."""

import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rai.card import Card, Column, Network
from rai.errors import InputError
from rai.train.federated.bundle import (
    LARGEST,
    Order,
    _packed,
    _unpacked,
    read_order,
    read_start,
    require_clean,
    stage,
    unpacked,
)
from rai.train.federated.flower import switched_off
from rai.train.settings import Federated, Fit

NETWORK = Network("mlp", {"inputs": 3, "hidden": (4,), "outputs": 1})
ORDER = Order(
    NETWORK,
    Fit(learning_rate=0.1 + 0.2, freeze=("a",)),
    Federated(clients=2, arguments={"proximal_mu": 1e-17}),
    "binary",
    ("north", "south"),
    {"proximal_mu": 1e-17},
    {"sex": ("F", "M")},
    Card("binary", columns=(Column("age", "number", mean=40.5),)),
)
START = {"w": np.array([[1.5, -0.1]], dtype=np.float32), "n": np.array(7)}


def fab(folder: Path) -> zipfile.ZipFile:
    switched_off()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Flower's own packages say
        from flwr.cli.build import build_fab_from_disk

        return zipfile.ZipFile(io.BytesIO(build_fab_from_disk(folder)))


def test_flower_ships_exactly_the_manifest_with_its_hashes(tmp_path: Path) -> None:
    for name in ("rows.json", "rows.jsonl", "notes.md", "secret.py", "more/rows.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("stray")
    bundle = stage(tmp_path / "app", ORDER, START)
    with fab(bundle.folder) as sent:
        names = {each for each in sent.namelist() if not each.startswith(".info/")}
        hashes = {name: hashlib.sha256(sent.read(name)).hexdigest() for name in names}
    assert hashes == bundle.manifest
    assert set(bundle.manifest) == {"pyproject.toml", "job.json", "start.json"}


def test_what_was_written_is_read_again_bit_for_bit(tmp_path: Path) -> None:
    bundle = stage(tmp_path / "app", ORDER, START)
    assert read_order(bundle.folder) == ORDER
    for name, array in read_start(bundle.folder).items():
        assert array.dtype == START[name].dtype
        assert array.shape == START[name].shape
        assert array.tobytes() == START[name].tobytes()


@given(arrays.arrays(st.sampled_from(["f4", "f8", "i8", "u1", "b1", ">f4"]), arrays.array_shapes(min_dims=0)))
def test_any_array_survives_as_text(array: np.ndarray) -> None:
    found = _unpacked(json.loads(json.dumps(_packed(array))))
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(InputError, match="is not empty"):
        stage(tmp_path, ORDER, START)


@pytest.mark.parametrize("name", ["rows.jsonl", "job.json", "deep/er/rows.csv", ".hidden.toml"])
def test_what_came_or_changed_after_writing_is_found(tmp_path: Path, name: str) -> None:
    bundle = stage(tmp_path / "app", ORDER, START)
    require_clean(bundle)
    (bundle.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle.folder / name).write_text("{}")
    with pytest.raises(InputError, match="is not as it was written"):
        require_clean(bundle)


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    bundle = stage(tmp_path / "app", ORDER, START)
    (bundle.folder / "start.json").unlink()
    with pytest.raises(InputError, match="start.json is not as it was written"):
        require_clean(bundle)


def test_a_network_too_large_for_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a smaller network"):
        stage(tmp_path / "app", ORDER, {"w": np.zeros(LARGEST // 8)})
    assert list((tmp_path / "app").iterdir()) == []


def test_the_app_finds_its_own_bundle_by_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = stage(tmp_path / "other", ORDER, START)
    mine = stage(tmp_path / "mine", Order(NETWORK, Fit(), Federated(), "binary", ("a",)), START)
    monkeypatch.syspath_prepend(str(mine.folder))
    monkeypatch.syspath_prepend(str(other.folder))
    assert unpacked(mine.manifest["job.json"]) == mine.folder
    with pytest.raises(InputError, match="was not unpacked here"):
        unpacked("0" * 64)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"network": 1}', '{"w": {"kind": "O", "shape": [1], "values": ""}}'])
def test_files_that_are_none_of_ours_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    (tmp_path / "start.json").write_text(text)
    with pytest.raises(InputError, match="is no order"):
        read_order(tmp_path)
    with pytest.raises(InputError, match="holds no weights"):
        read_start(tmp_path)
