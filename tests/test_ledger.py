"""A ledger says what was written, or is refused by name: no changed byte, no other model, no broken number passes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai.errors import InputError
from rai.ledger import (
    Canaries,
    Energy,
    Epoch,
    Fingerprint,
    Ledger,
    Privacy,
    Run,
    ledger_of,
    read_ledger,
    require_match,
    seal_of,
    write_ledger,
)
from rai.sealed import sealed

MODEL = "5e" * 32
PRIVACY = Privacy(
    unit="record",
    epsilon=3.0,
    delta=1e-5,
    noise_multiplier=1.1,
    max_grad_norm=1.0,
    sample_rate=0.01,
    steps=300,
    expected_batch=10.0,
    accountant="PLD",
    alternatives={"RDP": 3.4},
    canaries=Canaries(7, (True, False, True)),
)
LEDGER = Ledger(
    rai="1.0",
    made="2026-01-02 03:04 UTC",
    model=MODEL,
    data=Fingerprint(1000, "ab" * 32, "train.csv", "cd" * 32),
    recipe={"fit": {"epochs": 2, "freeze": ["body."], "learning_rate": 0.1}},
    seed=4,
    epochs=(Epoch(1, 0.7, 0.72, {"Größe": 0.5}, 1.0), Epoch(2, 0.5, 0.6, {}, 3.0)),
    seconds=1.5,
    cpu_seconds=1.25,
    versions={"torch": "2.13"},
    split={"train": 850, "validation": 150},
    privacy=PRIVACY,
    runs=(Run({"fit.learning_rate": 0.1}, {"accuracy": 0.9}, 3.0, front=True, kept=True),),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "ledger.json"
    write_ledger(LEDGER, path)
    return path


def resealed(path: Path, **changes: Any) -> Path:
    """The same file with other values, sealed as a forger or a later version of rai would."""
    content = {**json.loads(path.read_text()), **changes}
    del content["seal"]
    other = path.with_name("resealed.json")
    other.write_text(sealed(dict(sorted(content.items()))))
    return other


def test_what_was_written_is_read_again(written: Path) -> None:
    assert read_ledger(written) == LEDGER


def test_a_person_can_read_it_and_the_seal_stands_last(written: Path) -> None:
    text = written.read_text(encoding="ascii")
    keys = list(json.loads(text))
    assert keys == [*sorted(keys[:-1]), "seal"]
    assert '\n "seed": 4,\n' in text
    assert json.loads(text)["seal"] == seal_of(LEDGER)


def test_equal_ledgers_have_equal_bytes(written: Path, tmp_path: Path) -> None:
    turned = replace(LEDGER, recipe={"fit": dict(reversed(list(LEDGER.recipe["fit"].items())))})
    write_ledger(turned, tmp_path / "again.json")
    write_ledger(read_ledger(written), tmp_path / "third.json")
    assert (tmp_path / "again.json").read_bytes() == written.read_bytes() == (tmp_path / "third.json").read_bytes()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_refused_by_name(written: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    changed = tmp_path / "ledger.json"
    changed.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"ledger\.json: its seal does not match"):
        read_ledger(changed)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"seed": 4', '"seed":  4'),
        lambda text: text.replace('"epsilon": 3.0', '"epsilon": 1.0'),
        lambda text: text.replace('"epsilon": 3.0', '"epsilon": 3.0,\n   "epsilon": 3.0', 1),
        lambda text: text.replace('"seed": 4', '"seed": 1e999'),
        lambda text: text.replace('"seed": 4', '"seed": ' + "9" * 5000),
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "3",
        lambda text: json.dumps(json.loads(text)),
    ],
)
def test_edits_that_a_person_makes_are_refused(written: Path, tmp_path: Path, edit: Callable[[str], str]) -> None:
    changed = tmp_path / "ledger.json"
    changed.write_bytes(edit(written.read_text()).encode())
    with pytest.raises(InputError, match="its seal does not match"):
        read_ledger(changed)


def test_a_later_version_is_named(written: Path) -> None:
    with pytest.raises(InputError, match="key version is 2; expected 1"):
        read_ledger(resealed(written, version=2))


def test_a_wrong_key_is_named(written: Path) -> None:
    with pytest.raises(InputError, match=r"resealed\.json: key colour is not a key rai knows"):
        read_ledger(resealed(written, colour="red"))
    with pytest.raises(InputError, match=r"key data\.rows is 'many'"):
        read_ledger(resealed(written, data={"rows": "many", "sha256": "", "source": "x"}))


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_ledger(tmp_path / "ledger.json")
    (tmp_path / "ledger.json").touch()
    with pytest.raises(InputError, match="empty"):
        read_ledger(tmp_path / "ledger.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(InputError, match=r"key epochs\.0\.loss is"):
        write_ledger(replace(LEDGER, epochs=(Epoch(1, value),)), tmp_path / "ledger.json")
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_and_whole_numbers_become_plain_ones(tmp_path: Path) -> None:
    given_ = replace(LEDGER, seed=np.int64(4), seconds=2, split={"train": np.int64(850)}, recipe={"path": tmp_path})
    write_ledger(given_, tmp_path / "ledger.json")
    found = read_ledger(tmp_path / "ledger.json")
    assert (found.seed, found.seconds, dict(found.split)) == (4, 2.0, {"train": 850})
    assert found.recipe == {"path": str(tmp_path)}
    assert seal_of(found) == seal_of(given_) == json.loads((tmp_path / "ledger.json").read_text())["seal"]


def test_energy_makes_the_way_there_and_back(tmp_path: Path) -> None:
    energy = Energy(0.1, 0.05, 0.2, "model", {"watts": 8.0, "cpu": "x"}, 4.0, 2.0, 8.0, 0.5, 40.0, "FRA", "t", 1.0, 2.0)
    write_ledger(replace(LEDGER, energy=energy, privacy=None), tmp_path / "ledger.json")
    assert read_ledger(tmp_path / "ledger.json").energy == energy


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"epsilon": -1.0}, "epsilon"),
        ({"delta": 1.5}, "delta"),
        ({"sample_rate": -0.1}, "sample_rate"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"steps": -1}, "steps"),
    ],
)
def test_a_promise_that_can_mean_nothing_is_refused(tmp_path: Path, wrong: dict[str, float], key: str) -> None:
    with pytest.raises(InputError, match=rf"key privacy\.{key} is"):
        write_ledger(replace(LEDGER, privacy=replace(PRIVACY, **wrong)), tmp_path / "ledger.json")


def test_a_run_of_negative_cost_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"key runs\.0\.epsilon is -3"):
        write_ledger(replace(LEDGER, runs=(Run({}, {}, -3.0),)), tmp_path / "ledger.json")


@given(
    epsilon=st.floats(0, 1e300),
    steps=st.integers(0, 10**15),
    text=st.text(max_size=20),
    metrics=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_ledger_makes_the_way_there_and_back(
    tmp_path: Path, epsilon: float, steps: int, text: str, metrics: dict[str, float]
) -> None:
    privacy = replace(PRIVACY, epsilon=epsilon, steps=steps, unit=text)
    ledger = replace(LEDGER, privacy=privacy, epochs=(Epoch(1, 0.5, metrics=metrics),), recipe={text: {"a": text}})
    write_ledger(ledger, tmp_path / "ledger.json")
    assert read_ledger(tmp_path / "ledger.json") == ledger


def test_beside_another_model_it_is_refused_by_name(written: Path) -> None:
    require_match(LEDGER, MODEL, written)
    with pytest.raises(InputError, match=r"ledger\.json: this ledger was written for the model file .* 5e5e5e5e5e5e…"):
        require_match(LEDGER, "00" * 32, written)
    with pytest.raises(InputError, match="written for no model file"):
        require_match(replace(LEDGER, model=""), MODEL, written)


def test_a_ledger_lies_beside_its_model(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    assert ledger_of(model, MODEL) is None
    write_ledger(LEDGER, tmp_path / "ledger.json")
    assert ledger_of(model, MODEL) == LEDGER
    other = replace(LEDGER, model="00" * 32)
    write_ledger(other, tmp_path / "other.ledger.json")
    assert ledger_of(tmp_path / "other.pt", other.model) == other
    with pytest.raises(InputError, match="written for the model file"):
        ledger_of(tmp_path / "third.pt", other.model)


def test_a_folder_of_a_model_holds_its_ledger(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_ledger(replace(LEDGER, model="00" * 32), tmp_path / "ledger.json")
    assert ledger_of(tmp_path / "model", MODEL) is None
    write_ledger(LEDGER, tmp_path / "model" / "ledger.json")
    assert ledger_of(tmp_path / "model", MODEL) == LEDGER
