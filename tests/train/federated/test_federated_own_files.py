"""What a site is sent to read its own file with, and what leaves it when the file is not as the card says: no cell."""

import hashlib
import io
import logging
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rai.card import Card, Column, Files, Network, SequenceInput, TextInput
from rai.data import load
from rai.errors import InputError
from rai.networks import build
from rai.train.federated import at_sites, bundle
from rai.train.federated.bundle import LARGEST, Order, read_order, read_start, stage
from rai.train.federated.flower import switched_off
from rai.train.federated.site import arrays_of
from rai.train.federated.superlink import Link
from rai.train.on_disk import fresh
from rai.train.settings import Federated, Fit

TABLE = Network("mlp", {"inputs": 3, "hidden": (4,), "outputs": 1})
WORDS = Network(
    "transformer",
    {"vocabulary": 6, "length": 4, "pad": 0, "width": 4, "heads": 1, "layers": 1, "feedforward": 4, "outputs": 1},
)
SITES = Federated(clients=2, rounds=1, alone=False, contributions=False)
CARD = Card(
    "binary",
    classes=("no", "yes"),
    positive="yes",
    network=TABLE,
    data=Files(target="ok", sensitive=("sex",), reference="/srv/ours/Mx Coordinator.csv", test="../tests of Mx.csv"),
    columns=(Column("age", "number"), Column("job", "category", categories=("clerk", "cook"))),
)
VOCABULARY = "[PAD]\n[UNK]\n[MASK]\nlovely\ndreadful\nnaïve\n"
TEXTS = "text,sex,ok\nLovely room,f,yes\nA dreadful naïve man,m,no\nlovely,f,yes\ndreadful,m,no\nso so,f,yes\n"


def order_of(card: Card, network: Network = TABLE) -> Order:
    return Order(network, Fit(validation=0.2), SITES, "binary", ("north", "south"), card=card)


@dataclass(frozen=True)
class Reading:
    """A card that reads texts, and the vocabulary that it names."""

    card: Card
    words: Path


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    words = tmp_path / "our words.txt"
    words.write_text(VOCABULARY)
    given = TextInput("text", str(words), length=4)
    return Reading(replace(CARD, network=WORDS, columns=(), input=given), words)


def test_texts_are_read_at_a_site_by_the_vocabulary_that_was_sent(tmp_path: Path, reading: Reading) -> None:
    switched_off()
    from rai.train.federated.apps import parts_at

    rows = tmp_path / "own.csv"
    rows.write_text(TEXTS)
    expected = load(rows, replace(reading.card, data=replace(reading.card.data, test=None))).inputs
    sent = stage(tmp_path / "app", order_of(reading.card, WORDS), {})
    reading.words.unlink()
    order = read_order(sent.folder)
    parts = parts_at(order, {"data": str(rows), "partition-id": 0}, build(WORDS))
    assert parts.held is not None
    found = torch.cat([parts.train.inputs, parts.held.inputs]).numpy()
    assert sorted(found.tolist()) == sorted(expected.tolist())
    assert {3, 4, 5} <= set(np.unique(found).tolist())


def test_flower_ships_the_vocabulary_as_it_is_and_names_no_file_of_this_side(tmp_path: Path, reading: Reading) -> None:
    switched_off()
    sent = stage(tmp_path / "app", order_of(reading.card, WORDS), {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Flower's own packages say
        from flwr.cli.build import build_fab_from_disk

        shipped = zipfile.ZipFile(io.BytesIO(build_fab_from_disk(sent.folder)))
    digest = hashlib.sha256(VOCABULARY.encode()).hexdigest()
    assert sent.manifest["vocabulary.md"] == digest == hashlib.sha256(shipped.read("vocabulary.md")).hexdigest()
    told = b"".join(shipped.read(name) for name in shipped.namelist())
    assert [each for each in ("our words", "Mx", str(tmp_path)) if each.encode() in told] == []


def test_a_site_opens_no_file_but_the_one_that_was_sent(tmp_path: Path, reading: Reading) -> None:
    """Whatever path an order names, it is not read."""
    sent = stage(tmp_path / "app", order_of(reading.card, WORDS), {})
    job = sent.folder / "job.json"
    job.write_text(job.read_text().replace('"vocabulary.md"', '"/etc/passwd"'))
    card = read_order(sent.folder).card
    assert card is not None
    assert isinstance(card.input, TextInput)
    assert card.input.vocabulary == str(sent.folder / "vocabulary.md")


def test_a_table_is_sent_without_a_vocabulary(tmp_path: Path) -> None:
    assert set(stage(tmp_path / "app", order_of(CARD), {}).manifest) == {"job.json", "start.json", "pyproject.toml"}


def test_a_vocabulary_that_is_too_large_or_gone_is_refused(tmp_path: Path, reading: Reading) -> None:
    reading.words.write_bytes(b"a" * LARGEST)
    with pytest.raises(InputError, match=r"our words.txt: has 10,000,000 bytes beside .* a bundle holds 10,000,000"):
        stage(tmp_path / "app", order_of(reading.card, WORDS), {})
    reading.words.unlink()
    with pytest.raises(InputError, match=r"our words.txt: no such file"):
        stage(tmp_path / "app", order_of(reading.card, WORDS), {})
    assert list((tmp_path / "app").iterdir()) == []


HEADER = "age,job,sex,ok\n"
GOOD = [
    f"{20 + at},{'cook' if at % 2 else 'clerk'},{'f' if at % 3 else 'm'},{'yes' if at % 2 else 'no'}"
    for at in range(20)
]
NAME = "Zebedee"
WRONG: dict[str, tuple[str, str]] = {
    "a category": (f"33,{NAME},f,yes", "north: column 'job': a cell is not among the card's categories"),
    "a number": (f"{NAME},cook,f,yes", "north: column 'age': a cell is not a number"),
    "a class": (f"33,cook,f,{NAME}", "north: column 'ok': a cell is not among the classes"),
    "a missing label": ("33,cook,f,", "north: column 'ok': the label is missing"),
    "a torn row": (
        f"33,{NAME}",
        "north: its file cannot be read as the card says; the log of its SuperNode says why",
    ),
    "a quote": (f'33,"{NAME},f,yes', "north: its file cannot be read as the card says; the log"),
}


def replied(order: Order, node: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reason that a site sends when it is asked who it is."""
    switched_off()
    from flwr.app import Context, Message, MessageType, RecordDict

    from rai.train.federated.apps import client
    from rai.train.federated.grid import identified

    sent = stage(folder / "app", order, {})
    monkeypatch.syspath_prepend(str(sent.folder))
    said: Any = {"job": sent.manifest["job.json"], "result": ""}
    context = Context(run_id=1, node_id=1, node_config=node, state=RecordDict(), run_config=said)
    with identified():
        reply = client(Message(RecordDict(), 1, MessageType.QUERY), context)
    assert reply.has_error()
    return str(reply.error.reason)


@pytest.mark.parametrize("name", WRONG)
def test_no_cell_of_a_file_leaves_a_site_and_its_own_log_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    line, told = WRONG[name]
    rows = tmp_path / f"{NAME}s rows.csv"
    rows.write_text(HEADER + "\n".join([*GOOD, line]) + "\n")
    node = {"data": str(rows), "partition-id": 0}
    with caplog.at_level(logging.ERROR):
        reason = replied(order_of(CARD), node, tmp_path, monkeypatch)
    assert reason.startswith(told)
    assert NAME not in reason
    assert str(rows) in caplog.text


def test_whose_sequence_is_wrong_stays_at_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of a sequence is often that of a person."""
    given = SequenceInput("sequence", ("pulse",), 3)
    rows = tmp_path / "rows.csv"
    rows.write_text(f"id,step,pulse,sex,ok\nA,0,60,f,yes\nA,1,61,f,yes\n{NAME},0,70,m,no\n{NAME},0,71,m,no\n")
    order = order_of(replace(CARD, columns=(), input=given))
    reason = replied(order, {"data": str(rows), "partition-id": 0}, tmp_path, monkeypatch)
    assert reason == "north: column 'step': a cell stands twice in a sequence"


@pytest.mark.parametrize(
    ("first", "column"),
    [
        ("age,sex,ok", "'job', named by columns in the card"),
        (f"{NAME},f,yes", "'sex', named by data.sensitive in the card"),
    ],
    ids=["a header", "no header"],
)
def test_a_column_that_a_site_lacks_is_named_and_nothing_else_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, column: str
) -> None:
    """A file without a header has a person in its first line."""
    rows, lines = tmp_path / "rows.csv", [each.replace(",cook", "").replace(",clerk", "") for each in GOOD]
    rows.write_text("\n".join([first, *lines]) + "\n")
    node = {"data": str(rows), "partition-id": 1, "name": "Elm"}
    reason = replied(order_of(CARD), node, tmp_path, monkeypatch)
    assert reason == f"Elm: no column {column}"


def test_a_file_that_is_not_there_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"data": str(tmp_path / f"{NAME}.csv"), "partition-id": 1}
    reason = replied(order_of(CARD), node, tmp_path, monkeypatch)
    assert reason == "south: no such file as its node config names in data"


class Stopped(Exception):  # noqa: N818 - it is no error, but where the test has seen enough
    """Instead of a SuperLink."""


def test_sites_begin_with_the_weights_that_were_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def submitted(_link: Link, sent: bundle.Bundle, *_: Any, **__: Any) -> None:
        raise Stopped(sent.folder)

    monkeypatch.setattr(at_sites, "submit", submitted)
    monkeypatch.setattr(at_sites, "listens", lambda _: True)
    module = fresh(TABLE, 99)
    expected = arrays_of(module)
    with pytest.raises(Stopped):
        at_sites.fit_at_sites(CARD, Link("127.0.0.1:1"), tmp_path, federated=SITES, settings=Fit(), module=module)
    start = read_start(tmp_path / "bundle")
    assert {name: each.tobytes() for name, each in start.items()} == {
        name: each.tobytes() for name, each in expected.items()
    }


def test_a_layer_to_freeze_that_is_not_there_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fit\.freeze: no parameter begins with 'head'"):
        at_sites.fit_at_sites(CARD, Link("127.0.0.1:1"), tmp_path, federated=SITES, settings=Fit(freeze=("head",)))
    assert list(tmp_path.iterdir()) == []
