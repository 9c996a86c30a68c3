"""A recipe for sites that have their own rows holds none: a card says how rows are read, and an audit names its own."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from rai.card import Card, read_card
from rai.cli import main
from rai.data import load
from rai.errors import InputError
from rai.files import sha256
from rai.ledger import read_ledger
from rai.train.federated import fit_federated
from rai.train.settings import Federated
from rai.train.trained import Trained
from rai.training import Made, read_recipe, train
from rai.training.recipe import recipe_of
from rai.training.rehearsing import rehearsed

Write = Callable[..., Path]
FIT = "[fit]\nepochs = 3\nbatch_size = 32\nlearning_rate = 0.02\n"
SITES = '[federated]\nclients = 2\nrounds = 2\nruntime = "deployment"\nsuperlink = "127.0.0.1:1"\n'
BARE = f'[data]\ncard = "pilot/model.toml"\n{FIT}'
PROMISE = """\
optimizer = "sgd"
[private]
noise_multiplier = 1.0
delta = 1e-3
sample_rate = 0.2
steps = 3
expected_batch = 60
"""
COLUMNS = '[[columns]]\nname = "income"\nkind = "number"\n'


@pytest.fixture
def pilot(folder: Path) -> Made:
    """A model of the table's rows, whose card others may name."""
    return train(folder / "recipe.toml", out=folder / "pilot")


@pytest.fixture
def written(folder: Path, pilot: Made) -> Write:
    """Write a recipe beside the pilot's folder; no rows are beside it."""
    assert pilot.card == folder / "pilot" / "model.toml"
    (folder / "rows.csv").rename(folder / "pilot" / "rows.csv")

    def write(text: str) -> Path:
        (folder / "recipe.toml").write_text(text)
        return folder / "recipe.toml"

    return write


class Handed:
    """Stands where real sites would: their files are read here, as the card that was handed over says."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.given: dict[str, Any] = {}

    def __call__(self, card: Card, link: Any, _folder: Path, *, module: Any, **given: Any) -> Trained:
        self.given, self.link = given, link
        self.start = {name: each.clone() for name, each in module.state_dict().items()}
        data = [load(file, card) for file in self.files]
        near = Federated(rounds=given["federated"].rounds, alone=False, contributions=False)
        return fit_federated(module, data, federated=near, settings=given["settings"], task=card.task)


@pytest.fixture
def handed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Handed:
    frame = pd.read_csv(folder / "rows.csv")
    files = [folder / f"site-{number}.csv" for number in range(2)]
    for number, file in enumerate(files):
        frame.iloc[number::2].to_csv(file, index=False)
    found = Handed(files)
    monkeypatch.setattr("rai.train.federated.at_sites.fit_at_sites", found)
    return found


def test_no_row_is_needed_and_the_card_names_no_file(handed: Handed, written: Write, pilot: Made) -> None:
    made = train(written(BARE + SITES))
    before, card, ledger = read_card(pilot.card), read_card(made.card), read_ledger(made.ledger)
    assert (card.columns, card.classes, card.positive, card.task) == (
        before.columns,
        before.classes,
        before.positive,
        before.task,
    )
    assert card.network == before.network
    assert (card.data.target, card.data.sensitive) == (before.data.target, before.data.sensitive)
    assert (card.data.test, card.data.reference, ledger.data.file) == (None, None, "")
    assert not made.tested
    assert (ledger.data.rows, ledger.model) == (400, sha256(made.model))


def test_an_audit_of_such_a_model_names_rows_of_its_own(handed: Handed, written: Write, folder: Path) -> None:
    done = CliRunner().invoke(main, ["train", str(written(BARE + SITES))])
    assert done.exit_code == 0
    model = str(folder / "model.pt")
    assert f"now: rai audit {model} --data FILE" in done.stdout
    refused = CliRunner().invoke(main, ["audit", model])
    assert isinstance(refused.exception, InputError)
    assert "pass --data FILE" in str(refused.exception)
    own = ["--data", str(folder / "pilot" / "rows_test.csv"), "--only", "performance", "--out", str(folder / "report")]
    assert CliRunner().invoke(main, ["audit", model, *own]).exit_code in (0, 1, 4)
    assert (folder / "report" / "report.json").exists()


def test_test_rows_of_ones_own_are_named(handed: Handed, written: Write, folder: Path) -> None:
    made = train(written(BARE.replace("[fit]", 'test = "pilot/rows_test.csv"\n[fit]') + SITES))
    assert read_card(made.card).data.test == "pilot/rows_test.csv"
    assert made.tested


def test_rows_of_this_side_are_not_called_those_of_the_training(handed: Handed, recipe_with: Write) -> None:
    ledger = read_ledger(train(recipe_with(more=SITES)).ledger)
    assert (ledger.data.file, ledger.data.rows) == ("", 400)


def test_columns_and_classes_may_be_written_in_the_recipe(handed: Handed, written: Write) -> None:
    text = f'classes = ["no", "yes"]\n[data]\ntarget = "repaid"\n{FIT}{SITES}{COLUMNS}'
    card = read_card(train(written(text)).card)
    assert ([each.name for each in card.columns], card.classes) == (["income"], ("no", "yes"))
    assert card.network is not None
    assert card.network.arguments["inputs"] == 1


def test_sites_begin_with_the_weights_that_the_recipe_names(handed: Handed, written: Write, pilot: Made) -> None:
    named = BARE.replace("[fit]", '[network]\nweights = "pilot/model.pt"\n[fit]')
    made = train(written(named + SITES))
    saved = torch.load(pilot.model, weights_only=True)
    assert all(torch.equal(saved[name], each) for name, each in handed.start.items())
    assert read_ledger(made.ledger).recipe["network"]["weights_sha256"] == sha256(pilot.model)


def test_a_certificate_lies_beside_the_recipe(handed: Handed, written: Write, folder: Path) -> None:
    path = written(f'{BARE}{SITES}certificate = "ca.crt"\n')
    with pytest.raises(InputError, match=r"ca\.crt: no such file; name a PEM file in federated\.certificate"):
        train(path)
    (folder / "ca.crt").write_text("PEM")
    train(path)
    assert handed.link.authority == folder / "ca.crt"


def test_a_rehearsal_waits_for_as_many_sites_as_a_column_names(handed: Handed, recipe_with: Write) -> None:
    more = f'{SITES}partition = "column"\ncolumn = "job"\n'.replace("clients = 2\n", "")
    train(recipe_with(more=more))
    assert handed.given["federated"].clients == 2


def test_what_a_promise_leaves_out_names_the_card(written: Write) -> None:
    """Columns of a card are not read off these rows, and yet it may know them."""
    text = BARE.replace("[data]", '[data]\ntrain = "pilot/rows.csv"').replace("epochs = 3\n", "")
    made = train(written(text.replace("learning_rate = 0.02\n", "learning_rate = 1.0\n" + PROMISE)))
    promise = read_ledger(made.ledger).privacy
    assert promise is not None
    assert promise.waived == (
        "rows are read as pilot/model.toml says, and epsilon does not count what that file knows of these rows",
    )


def test_a_card_beside_rows_gives_the_model_that_reading_them_gave(
    folder: Path, pilot: Made, recipe_with: Write
) -> None:
    """Nothing is read off the rows then, and nothing is lost of what was."""
    again = train(recipe_with(**{"[network]\narguments = { hidden = [8] }": 'card = "pilot/model.toml"'}))
    assert again.model.read_bytes() == pilot.model.read_bytes()
    assert read_card(again.card).columns == read_card(pilot.card).columns


def test_what_the_recipe_says_goes_before_the_card(written: Write) -> None:
    text = (
        'positive = "no"\nthreshold = 0.3\n[data]\ncard = "pilot/model.toml"\ntrain = "pilot/rows.csv"\n'
        f"sensitive = []\n[network]\narguments = {{ hidden = [3] }}\n{FIT}"
    )
    found = read_recipe(written(text))
    assert (found.positive, found.threshold, found.data.sensitive) == ("no", 0.3, ())
    assert dict(found.network.arguments) == {"hidden": (3,)}
    assert found.data.target == "repaid"


def test_an_answer_of_ones_own_takes_nothing_of_the_cards_answer(written: Write) -> None:
    """The positive class of the card is none of other classes."""
    found = read_recipe(written('task = "regression"\n' + BARE + SITES))
    assert (found.task, found.classes, found.positive) == ("regression", (), None)
    found = read_recipe(written('classes = ["x", "y"]\n' + BARE + SITES))
    assert (found.classes, found.positive) == (("x", "y"), None)
    found = read_recipe(written('positive = "no"\n' + BARE + SITES))
    assert (found.task, set(found.classes), found.positive) == ("binary", {"no", "yes"}, "no")


def test_a_recipe_that_took_from_a_card_reads_back_as_itself(written: Write) -> None:
    """Searches make recipes of plain values again and again."""
    path = written(BARE.replace("[data]", '[data]\ntrain = "pilot/rows.csv"\nsensitive = []'))
    found = read_recipe(path)
    assert recipe_of(asdict(found), path) == found


WRONG = {
    "no rows and no sites": (BARE, "recipe.toml: key data.train is missing; expected the file of rows to learn from"),
    "sites of a simulation": (BARE + "[federated]\n", "key data.train is missing"),
    "no card": (BARE.replace("pilot/", "nowhere/") + SITES, "nowhere/model.toml: no such file"),
    "a card of nothing": (BARE.replace("pilot/model", "bare") + SITES, "bare.toml: does not say how rows are read"),
    "told at predict": (BARE.replace("pilot/model", "told") + SITES, "is of a model that is handed sensitive columns"),
    "made of others": (BARE.replace("pilot/model", "made") + SITES, "names a network that is made of others"),
    "no columns": (
        f'classes = ["a", "b"]\n[data]\ntarget = "repaid"\n{SITES}',
        "key columns is missing, and there is no data.train to read columns off; expected [[columns]] or [input]",
    ),
    "no classes": (
        f'[data]\ntarget = "repaid"\n{SITES}{COLUMNS}',
        "key classes is missing, and there is no data.train",
    ),
    "no target": (f'classes = ["a", "b"]\n[data]\nsensitive = []\n{SITES}{COLUMNS}', "key data.target is missing"),
    "a card of another kind": ("[data]\ncard = 3\n", "key data.card is 3"),
    "no vocabulary": (
        f'classes = ["a", "b"]\n[data]\ntarget = "repaid"\n{SITES}[input]\nkind = "text"\nvocabulary = "words.txt"\n',
        "words.txt: no such file",
    ),
    "nobody answers": (BARE + SITES, "127.0.0.1:1: nothing answers; expected a SuperLink"),
    "no address": (BARE + SITES.replace("127.0.0.1:1", "here"), "federated.superlink: is 'here'; expected HOST:PORT"),
    "an open road": (BARE + SITES.replace("127.0.0.1", "site.example"), "would be reached without encryption"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_done_without_rows_is_one_line(written: Write, folder: Path, name: str) -> None:
    (folder / "bare.toml").write_text('task = "regression"\n')
    (folder / "told.toml").write_text('task = "regression"\nneeded_at_predict = ["income"]\n' + COLUMNS)
    parts = '[network]\nkind = "mixture"\n[network.parts.member]\nkind = "mlp"\n'
    (folder / "made.toml").write_text('task = "regression"\n' + parts + COLUMNS)
    text, words = WRONG[name]
    before = {each.name for each in folder.iterdir()}
    with pytest.raises(InputError) as caught:
        train(written(text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {each.name for each in folder.iterdir()} == before


def test_a_card_is_not_written_over(written: Write, folder: Path) -> None:
    (folder / "model.toml").write_text((folder / "pilot" / "model.toml").read_text())
    with pytest.raises(InputError, match=r"key data\.card names the file that the trained model's card would be writ"):
        train(written(BARE.replace("pilot/", "") + SITES))


def test_a_rehearsal_needs_rows(written: Write, folder: Path) -> None:
    with (
        pytest.raises(InputError, match=r"key data\.train is missing"),
        rehearsed(written(BARE + SITES), folder / "up"),
    ):
        pass


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which something listens that is no SuperLink."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_what_a_failed_run_left_does_not_stand_in_the_way_of_the_next(
    written: Write, folder: Path, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rai.train.federated.deployment._asked", lambda *_: {})
    path = written(BARE + SITES.replace("127.0.0.1:1", nobody))
    for _ in range(2):
        with pytest.raises(InputError, match="did not take the run"):
            train(path)
    assert (folder / ".federation" / "bundle" / "job.json").exists()
    assert not (folder / "model.pt").exists()
