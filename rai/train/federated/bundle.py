"""What is sent to sites: two small files, the first weights and the words of texts, in a folder of nothing else.

Flower ships whatever text it finds in an app's folder, data and results among it. So the app is written afresh into an
empty folder: a `pyproject.toml` that names apps within the installed package, `job.json` that says what is to be done,
and `start.json` with the weights that all begin from. Where texts are read there is the vocabulary as it is, under a
name of the kind that Flower ships. No row and no code is among them.
"""

import base64
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from rai.card import STRICT, Card, Network, TextInput
from rai.errors import InputError
from rai.files import require_file, sha256, write_atomic
from rai.train.losses import Task
from rai.train.settings import Federated, Fit, Private

PROJECT, JOB, START, WORDS = "pyproject.toml", "job.json", "start.json", "vocabulary.md"
LARGEST = 10_000_000
"""Bytes of all files together, a little less than Flower takes."""
APPS = "rai.train.federated.apps"


@dataclass(frozen=True)
class Order:
    """What both sides need to know: the network, how sites learn, how replies are joined, and how rows are read.

    `attributes` names all levels of each sensitive attribute, and is empty where sites are still to tell. A site's file
    that holds no tensors (see `own_rows`) is read as the `card` says. `private` has its noise (see `with_noise`).
    """

    __pydantic_config__ = STRICT

    network: Network
    fit: Fit
    federated: Federated
    task: Task
    names: tuple[str, ...]
    arguments: Mapping[str, int | float] = field(default_factory=dict)
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    card: Card | None = None
    private: Private | None = None


@dataclass(frozen=True)
class Bundle:
    """A folder that is ready to be sent, and the SHA-256 of each file in it by its path."""

    folder: Path
    manifest: Mapping[str, str]


def stage(folder: Path, order: Order, start: Mapping[str, NDArray[Any]]) -> Bundle:
    """Write the bundle into a folder that is new or empty.

    Of the order's card no file of this side is named to sites; the vocabulary that it names is sent. Raises
    `InputError` where anything lies in the folder, and for a network or vocabulary too large to be sent in a bundle.
    """
    words = _words(order.card)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError("is not empty, and all in it would be sent to sites", where=folder, do="choose a new folder")
    told = TypeAdapter(Order).dump_json(replace(order, card=_sent(order.card)), indent=1).decode()
    weights = json.dumps({name: _packed(each) for name, each in start.items()}, sort_keys=False)
    if len(told) + len(weights) > LARGEST:
        what = f"has weights of {len(weights):,} bytes as text, and a bundle holds {LARGEST:,}"
        raise InputError(what, where="network", do="choose a smaller network, or runtime local")
    if words is not None:
        _require_room(len(told) + len(weights), words)
    digest = hashlib.sha256(told.encode()).hexdigest()
    for name, text in ((JOB, told), (START, weights), (PROJECT, _project(digest))):
        write_atomic(folder / name, text)
    if words is not None:
        shutil.copyfile(words, folder / WORDS)
    return Bundle(folder, manifest_of(folder))


def manifest_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder and below, by its path within."""
    files = sorted(each for each in folder.rglob("*") if not each.is_dir())
    return {each.relative_to(folder).as_posix(): sha256(each) for each in files}


def require_clean(bundle: Bundle) -> None:
    """Raise `InputError` where the folder does not hold exactly what was written into it."""
    found = manifest_of(bundle.folder)
    for name in sorted(found.keys() | bundle.manifest.keys()):
        if found.get(name) != bundle.manifest.get(name):
            raise InputError(f"{name} is not as it was written", where=bundle.folder, do="write the bundle anew")


def read_order(folder: Path) -> Order:
    """Read what is to be done, the card with the vocabulary that was sent; `InputError` for a file that is not ours."""
    path = folder / JOB
    try:
        order = TypeAdapter(Order).validate_json(path.read_bytes())
        return replace(order, card=_worded(order.card, folder / WORDS))
    except (ValidationError, OSError):
        raise InputError("is no order of a federation", where=path, do="use one version of rai everywhere") from None


def read_start(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the weights that all begin from; raise `InputError` where the file is none of ours."""
    path = folder / START
    try:
        return {name: _unpacked(each) for name, each in json.loads(path.read_bytes()).items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise InputError("holds no weights", where=path, do="use one version of rai everywhere") from None


def unpacked(digest: str) -> Path:
    """Return the folder into which Flower unpacked the app that is running, known by the hash of its `job.json`.

    Flower puts that folder on the path of modules. Raises `InputError` where it is not there.
    """
    for each in sys.path:
        path = Path(each) / JOB
        if path.is_file() and sha256(path) == digest:
            return path.parent
    raise InputError("was not unpacked here", where=JOB, do="submit the run anew")


def _words(card: Card | None) -> Path | None:
    """The vocabulary on this side, None where no text is read."""
    given = None if card is None else card.input
    if not isinstance(given, TextInput):
        return None
    return require_file(Path(given.vocabulary), do="name the vocabulary in input.vocabulary")


def _require_room(others: int, words: Path) -> None:
    size = words.stat().st_size
    if others + size > LARGEST:
        what = f"has {size:,} bytes beside {others:,} of weights, and a bundle holds {LARGEST:,}"
        raise InputError(what, where=words, do="choose a smaller vocabulary or network, or runtime local")


def _sent(card: Card | None) -> Card | None:
    """The card as sites are sent it: where files of this side lie is nothing to them."""
    if card is None:
        return None
    bare = replace(card.data, test=None, reference=None)
    return _worded(replace(card, data=bare, baseline=None), Path(WORDS))


def _worded(card: Card | None, words: Path) -> Card | None:
    """The card with its vocabulary at this place, where it reads texts: no other file than that is ever opened."""
    if card is None or not isinstance(card.input, TextInput):
        return card
    return replace(card, input=replace(card.input, vocabulary=str(words)))


def _project(digest: str) -> str:
    """Flower's description of the app, written as Flower writes it, so that the file that is sent has this hash."""
    return f"""[project]
name = "rai-federation"
version = "1.0.0"
description = "Sites learn one model together"
license = "Apache-2.0"
dependencies = [
    "rai[federated]",
]

[tool.flwr.app]
publisher = "rai"

[tool.flwr.app.components]
serverapp = "{APPS}:server"
clientapp = "{APPS}:client"

[tool.flwr.app.config]
job = "{digest}"
result = ""
"""


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    values = base64.b64encode(little.tobytes()).decode()
    return {"kind": little.dtype.str, "shape": list(array.shape), "values": values}


def _unpacked(packed: Mapping[str, Any]) -> NDArray[Any]:
    kind = np.dtype(packed["kind"])
    if kind.kind not in "fiub":
        raise ValueError(kind)
    flat = np.frombuffer(base64.b64decode(packed["values"], validate=True), dtype=kind)
    return flat.reshape(packed["shape"]).astype(kind.newbyteorder("="))
