"""Forty wrong inputs: each one clear line, exit code 2, nothing written, nothing executed."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

LIBRARY_TEXT = re.compile(
    r"Traceback|weights_only|torch\.load|UnpicklingError|ParserError|ArrowInvalid|pydantic|KeyError|ValueError|site-packages"
)


def card(folder: Path, old: str, new: str) -> None:
    path = folder / "model.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def cell(folder: Path, column: str, content: str) -> None:
    frame = pd.read_csv(folder / "test.csv", dtype=str)
    frame.loc[6, column] = content
    frame.to_csv(folder / "test.csv", index=False)


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


class Hostile:
    """Leaves a marker file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def hostile(folder: Path) -> None:
    torch.save({"0.weight": torch.zeros(8, 4), "evil": Hostile(folder / "executed")}, folder / "model.pt")


def bare_pickle(folder: Path) -> None:
    write(folder, "model.pt", pickle.dumps(Hostile(folder / "executed")))


def whole_module(folder: Path) -> None:
    torch.save(torch.nn.Linear(4, 1), folder / "model.pt")


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = torch.load(folder / "model.pt", weights_only=True)
    change(state)
    torch.save(state, folder / "model.pt")


def poison(state: dict[str, torch.Tensor]) -> None:
    state["0.weight"][0, 0] = float("nan")


def drop_bias(state: dict[str, torch.Tensor]) -> None:
    del state["2.bias"]


def widen(state: dict[str, torch.Tensor]) -> None:
    state["0.weight"] = torch.zeros(8, 5)


def edit(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / "test.csv"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model": (lambda f: (f / "model.pt").unlink(), "model.pt"),
    "model is a folder": (lambda f: ((f / "model.pt").unlink(), (f / "model.pt").mkdir()), "model.pt"),
    "empty model": (lambda f: write(f, "model.pt", b""), "model.pt"),
    "text as model": (lambda f: write(f, "model.pt", b"hello, I am a model\n"), "model.pt"),
    "truncated model": (lambda f: write(f, "model.pt", (f / "model.pt").read_bytes()[:300]), "model.pt"),
    "random bytes as model": (lambda f: write(f, "model.pt", bytes(range(256)) * 8), "model.pt"),
    "hostile checkpoint": (hostile, "model.pt"),
    "hostile pickle": (bare_pickle, "model.pt"),
    "whole module": (whole_module, "--allow-code-in-model"),
    "weights not finite": (lambda f: weights(f, poison), "0.weight"),
    "a tensor is missing": (lambda f: weights(f, drop_bias), "2.bias"),
    "a tensor of another shape": (lambda f: weights(f, widen), "0.weight"),
    "no card": (lambda f: (f / "model.toml").unlink(), "rai init"),
    "empty card": (lambda f: write(f, "model.toml", b""), "model.toml"),
    "card is no TOML": (lambda f: write(f, "model.toml", b"task = \n"), "model.toml"),
    "card without a task": (lambda f: card(f, 'task = "binary"\n', ""), "key task is missing"),
    "unknown task": (lambda f: card(f, '"binary"', '"ranking"'), "key task is 'ranking'"),
    "unknown key": (lambda f: card(f, 'name = "loans"', 'nmae = "loans"'), "key nmae"),
    "unknown head": (lambda f: card(f, '"logit"', '"sigmoid"'), "key head is 'sigmoid'"),
    "unknown network": (lambda f: card(f, 'kind = "mlp"', 'kind = "mpl"'), "mlp"),
    "network argument of wrong kind": (lambda f: card(f, "hidden = [8]", 'hidden = "8"'), "hidden"),
    "positive is no class": (lambda f: card(f, 'positive = "yes"', 'positive = "YES"'), "YES"),
    "one class only in the card": (lambda f: card(f, '["no", "yes"]', '["yes"]'), "classes"),
    "threshold beyond 1": (lambda f: card(f, 'task = "binary"', 'task = "binary"\nthreshold = 50.0'), "threshold"),
    "scale of zero": (lambda f: card(f, "scale = 10.0", "scale = 0.0"), "scale"),
    "head disagrees with outputs": (lambda f: card(f, '"logit"', '"logits"'), "logits"),
    "fewer columns than inputs": (lambda f: card(f, '["clerk", "cook"]', '["clerk"]'), "job"),
    "no data file": (lambda f: (f / "test.csv").unlink(), "test.csv"),
    "empty data file": (lambda f: write(f, "test.csv", b""), "test.csv"),
    "header only": (lambda f: edit(f, lambda text: text.split("\n")[0] + "\n"), "test.csv"),
    "semicolons": (lambda f: edit(f, lambda text: text.replace(",", ";")), "test.csv"),
    "duplicate header": (lambda f: edit(f, lambda text: text.replace("years", "income", 1)), "income"),
    "a column is missing": (lambda f: edit(f, lambda text: text.replace("years", "year", 1)), "years"),
    "not UTF-8": (lambda f: write(f, "test.csv", (f / "test.csv").read_bytes() + b"\xff\xfe,1,a,f,no\n"), "test.csv"),
    "text in a number": (lambda f: cell(f, "income", "lots"), "row 7"),
    "infinite number": (lambda f: cell(f, "income", "1e999"), "row 7"),
    "missing value": (lambda f: cell(f, "income", ""), "row 7"),
    "unseen category": (lambda f: cell(f, "job", "pilot"), "row 7"),
    "label outside the classes": (lambda f: cell(f, "repaid", "maybe"), "row 7"),
    "one class among the labels": (lambda f: edit(f, lambda text: text.replace(",yes", ",no")), "repaid"),
    "continuous group column": (lambda f: card(f, '["sex"]', '["income"]'), "bands"),
    "sensitive column is missing": (lambda f: card(f, '["sex"]', '["gender"]'), "gender"),
    "target is an input": (lambda f: card(f, 'target = "repaid"', 'target = "job"'), "job"),
    "reference file is missing": (lambda f: (f / "train.csv").unlink(), "train.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_one_clear_line(rai_command, loans: Path, name: str) -> None:
    spoil, expected = BAD[name]
    spoil(loans)
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out")
    assert done.code == 2, done.err
    assert done.err.startswith("rai: ")
    assert done.err.strip().count("\n") == 0, done.err
    assert expected in done.err
    assert not LIBRARY_TEXT.search(done.err), done.err
    assert done.out == ""
    assert not (loans / "out" / "report.json").exists()
    assert not (loans / "executed").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--policy", "strictest"), "no such policy"),
        (("--policy", "nowhere.toml"), "nowhere.toml"),
        (("--only", "fairnes"), "no audit is named 'fairnes'"),
        (("--format", "pdf"), "no format is named 'pdf'"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
        (("--target", "paid"), "paid"),
        (("--sensitive", "sexe"), "sexe"),
        (("--card", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(rai_command, loans: Path, words: tuple[str, ...], expected: str) -> None:
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out", *words)
    assert done.code == 2
    assert done.err.strip().count("\n") == 0, done.err
    assert expected in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour = 1", "key colour"),
        ("seed = ", "not valid TOML"),
        ("metrics = 3", "metrics"),
        ('[metrics]\nmine = "no.such.module:f"', "metrics.mine"),
        ('[metrics]\nmine = "math:pi"', "no function"),
        ('[metrics]\naccuracy = "sklearn.metrics:f1_score"', "rai itself measures 'accuracy'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(rai_command, loans: Path, text: str, expected: str) -> None:
    Path("rai.toml").write_text(text, encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out")
    assert done.code == 2
    assert done.err.strip().count("\n") == 0, done.err
    assert expected in done.err


def test_usage_errors_exit_with_2(rai_command) -> None:
    for words in (("audit",), ("audit", "m.pt", "--seed", "-1"), ("frobnicate",), ("render",)):
        assert rai_command(*words).code == 2


@pytest.mark.parametrize(
    "words",
    [("",), (".",), ("/",), ("x" * 5000,), ("m.pt", "--data", ""), ("m.pt", "--seed", "-1"), ("m.pt", "--colour"), ()],
)
def test_a_word_that_means_nothing_is_one_clear_line(rai_command, words: tuple[str, ...]) -> None:
    done = rai_command("audit", *words)
    assert done.code == 2
    assert done.err.startswith("rai: ")
    assert done.err.strip().count("\n") == 0, done.err


@pytest.mark.parametrize(
    "text", ["seed = 1.5", "seed = true", "seed = [1]", "seed = {a = 1}", "format = 3", "only = [3]"]
)
def test_a_setting_of_another_kind_is_refused(rai_command, loans: Path, text: str) -> None:
    Path("rai.toml").write_text(text, encoding="utf-8")
    done = rai_command("audit", loans / "model.pt", "--out", loans / "out")
    assert done.code == 2
    assert f"rai.toml: key {text.split(maxsplit=1)[0]} is " in done.err


@pytest.mark.parametrize("text", ["out = 3", "data = 3", "card = 3", "policy = ['default']"])
def test_a_path_in_the_settings_is_text(rai_command, loans: Path, text: str) -> None:
    Path("rai.toml").write_text(text, encoding="utf-8")
    assert "expected a text" in rai_command("audit", loans / "model.pt").err


@pytest.mark.parametrize(("text", "code"), [("tool = 3", 0), ("[[tool]]\na = 1", 0), ("[tool]\nrai = 3", 2)])
def test_a_strange_pyproject_is_passed_by_unless_it_speaks_of_rai(rai_command, text: str, code: int) -> None:
    Path("pyproject.toml").write_text(text, encoding="utf-8")
    assert rai_command("list").code == code


def test_a_tilde_is_the_home_folder(rai_command, loans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(loans))
    rai_command("audit", loans / "model.pt", "--only", "data", "--out", "~/out")
    assert (loans / "out" / "report.json").exists()
    assert not Path("~").exists()


def test_a_model_that_is_not_there_is_named_before_its_card(rai_command) -> None:
    assert rai_command("audit", "nope.pt").err.startswith("rai: nope.pt: no such file")
