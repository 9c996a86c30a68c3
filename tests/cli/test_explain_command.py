"""`rai explain`: one row, in the terminal and on one page."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import rai
from rai.methods import METHODS


def explained(rai_command, loans: Path, *words: object) -> dict:
    page = loans / "one.html"
    done = rai_command("explain", loans / "model.pt", "--out", page, "--format", "html,json", *words)
    assert done.code == 0, done.err
    return json.loads((loans / "one.json").read_text(encoding="utf-8"))


def test_the_values_are_those_of_the_exact_shapley_formula(rai_command, loans: Path) -> None:
    """A second way: rai.explain on the encoded rows with the one-hot parts joined."""
    found = explained(rai_command, loans, "--row", 7)
    frame, train = (pd.read_csv(loans / name) for name in ("test.csv", "train.csv"))

    def encoded(rows: pd.DataFrame) -> np.ndarray:
        parts = ((rows.income - 50) / 10, rows.years, rows.job == "clerk", rows.job == "cook")
        return np.stack([part.to_numpy(dtype=np.float32) for part in parts], axis=1)

    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    model.load_state_dict(torch.load(loans / "model.pt", weights_only=True))
    other = rai.explain(
        model, encoded(frame)[6:7], reference=encoded(train), players={"job": ["x2", "x3"]}, random_state=0
    )
    values = {each["feature"]: each["value"] for each in found["contributions"]}
    assert [values[name] for name in ("job", "income", "years")] == pytest.approx(other.values[0].tolist(), abs=1e-5)
    assert found["full"] == pytest.approx(model(torch.tensor(encoded(frame)[6:7])).item(), abs=1e-5)
    assert found["base"] + sum(values.values()) == pytest.approx(found["full"], abs=1e-5)
    shown = {each["feature"]: each["shown"] for each in found["contributions"]}
    raw = pd.read_csv(loans / "test.csv", dtype=str).iloc[6]
    assert shown == {name: raw[name] for name in ("income", "years", "job")}


def test_the_terminal_shows_signs_bars_the_score_and_what_it_cost(rai_command, loans: Path) -> None:
    done = rai_command("explain", loans / "model.pt", "--row", 3, "--out", loans / "one.html")
    assert done.code == 0, done.err
    assert re.search(r"income = [\d.]+ .*█+.* [+−]\d", done.out)
    assert "(log-odds of yes)" in done.out
    assert "the model was asked about" in done.out
    assert "one person's data" in done.out
    assert done.out.strip().endswith("one.html")


def test_without_out_the_page_lies_in_the_models_folder(rai_command, loans: Path) -> None:
    assert rai_command("explain", loans / "model.pt", "--row", 3).code == 0
    assert [str(path) for path in Path("reports").rglob("*.*")] == ["reports/loans/row-3.html"]


def test_a_seed_repeats_the_answer(rai_command, loans: Path) -> None:
    words = ("--row", 5, "--method", "lime_fast", "--budget", 60)
    assert explained(rai_command, loans, *words) == explained(rai_command, loans, *words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--row", "0"), "--row"),
        (("--row", "601"), "test.csv: row 601 is not there; expected a row from 1 to 600"),
        (("--row", "x"), "--row"),
        ((), "--row"),
        (("--row", "1", "--method", "magic"), "expected one of shapley, shap, shap.kernel"),
        (("--row", "1", "--method", "grad_cam"), "grad_cam explains images"),
        (("--row", "1", "--method", "attention"), "attention"),
        (("--row", "1", "--format", "md"), "no format is named 'md'"),
        (("--row", "1", "--data", "nowhere.csv"), "nowhere.csv"),
        (("--row", "1", "--budget", "1"), "evaluations are too few"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_line(rai_command, loans: Path, words, expected: str) -> None:
    done = rai_command("explain", loans / "model.pt", *words)
    assert done.code == 2, done.err
    assert done.err.startswith("rai: ")
    assert done.err.strip().count("\n") == 0, done.err
    assert expected in done.err
    assert done.out == ""
    assert not list(Path().rglob("*.html"))


def test_a_model_that_carries_code_is_refused_without_the_flag(rai_command, loans: Path) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 1)), loans / "model.pt")
    card = (loans / "model.toml").read_text(encoding="utf-8")
    (loans / "model.toml").write_text(re.sub(r"\[network\]\nkind.*\narguments.*\n", "", card), encoding="utf-8")
    done = rai_command("explain", loans / "model.pt", "--row", 1)
    assert (done.code, "--allow-code-in-model" in done.err) == (2, True)
    found = explained(rai_command, loans, "--row", 1, "--allow-code-in-model")
    assert any("carries code" in each for each in found["warnings"])


def test_list_names_every_method(rai_command) -> None:
    listed = rai_command("list").out
    assert all(name in listed for name in METHODS)
