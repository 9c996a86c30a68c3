"""A drafted card is accepted as it stands, fits the network, and marks every guess."""

import io
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rai import models
from rai.card import Card, Head, Network, read_card
from rai.data import load
from rai.draft import draft, quoted
from rai.errors import InputError
from rai.networks import build

ROWS = 120


def people(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Text, numbers, a two-valued column, a row number, a sensitive number and a sensitive name."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "": np.arange(rows),
            "age": rng.integers(18, 80, rows),
            "job": rng.choice(["clerk", "nurse", "NA"], rows),
            "member": rng.choice(["no", "yes"], rows),
            "income": rng.normal(50, 10, rows).round(2),
            "sex": rng.choice(["F", "M"], rows),
            "y": rng.choice(["bad", "good"], rows),
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "test.csv"
    path.parent.mkdir()
    people().to_csv(path, index=False)
    return path


def mlp(folder: Path, inputs: int, outputs: int = 1, name: str = "model.pt", **arguments: Any) -> Path:
    path = folder / name
    network = Network("mlp", {"inputs": inputs, "outputs": outputs, "hidden": (8,), **arguments})
    torch.save(build(network).state_dict(), path)
    return path


def drafted(model: Path, data: Path, **choices: Any) -> Card:
    """Draft, write beside the model and read back."""
    path = model.with_suffix(".toml")
    path.write_text(draft(model, data, **{"target": "y", **choices}), encoding="utf-8")
    return read_card(path)


def loaded(model: Path, card: Card) -> np.ndarray:
    """Scores on the test rows, with nothing in the card changed."""
    assert card.data.test is not None
    data = load(model.parent / card.data.test, card)
    return np.asarray(models.load(model, card, data.inputs[:64]).model.scores(data.inputs))


@pytest.mark.parametrize(
    ("inputs", "columns", "says"),
    [
        (9, {"age": 1, "job": 3, "member": 2, "income": 1, "sex": 2}, "sensitive columns among the inputs"),
        (7, {"age": 1, "job": 3, "member": 2, "income": 1}, "left out of the inputs ('sex'), text columns one-hot:"),
        (6, {"age": 1, "job": 3, "member": 1, "income": 1}, "two values as one"),
        (5, {"age": 1, "job": 2, "member": 1, "income": 1}, "without their first value"),
        (4, {"age": 1, "job": 1, "member": 1, "income": 1}, "place in the sorted list"),
    ],
)
def test_the_layout_that_fits_the_first_layer_is_chosen(
    inputs: int, columns: dict[str, int], says: str, tmp_path: Path, table: Path
) -> None:
    model = mlp(tmp_path, inputs)
    card = drafted(model, table, sensitive=("sex",))
    assert {column.name: column.width for column in card.columns} == columns
    assert says in model.with_suffix(".toml").read_text()
    assert loaded(model, card).shape == (ROWS, 1)


def test_sensitive_columns_are_left_out_when_only_that_fits(tmp_path: Path, table: Path) -> None:
    people().assign(race=[*"abcd"] * 30).to_csv(table, index=False)
    model = mlp(tmp_path, 9)
    card = drafted(model, table, sensitive=("race",))
    assert [column.name for column in card.columns] == ["age", "job", "member", "income", "sex"]
    assert loaded(model, card).shape == (ROWS, 1)


def test_other_readings_of_the_same_width_are_named(tmp_path: Path, table: Path) -> None:
    text = draft(mlp(tmp_path, 7), table, target="y", sensitive=("sex",))
    other = "sensitive columns among the inputs, text columns one-hot, those of two values as one input"
    assert f"; of that width too: {other}\n" in text


def test_a_drafted_card_reads_the_rows_as_the_model_was_trained(tmp_path: Path, table: Path) -> None:
    model = mlp(tmp_path, 9)
    card = drafted(model, table, sensitive=("sex",))
    frame = people().astype({"": str})
    job, member, sex = (pd.get_dummies(frame[name]) for name in ("job", "member", "sex"))
    expected = np.concatenate([frame[["age"]], job, member, frame[["income"]], sex], axis=1)
    found = load(table, card)
    assert np.array_equal(found.inputs, expected.astype(np.float64).astype(np.float32))
    assert found.labels is not None
    assert found.labels.tolist() == (frame["y"] == "good").astype(int).tolist()


def test_widths_that_disagree_are_said_with_both_numbers(tmp_path: Path, table: Path) -> None:
    model = mlp(tmp_path, 40)
    card = drafted(model, table)
    text = model.with_suffix(".toml").read_text()
    assert "9 inputs, but the network takes 40" in text
    assert sum(column.width for column in card.columns) == 9


def test_every_value_but_the_callers_own_is_marked_a_guess(tmp_path: Path, table: Path) -> None:
    text = draft(mlp(tmp_path, 9), table, target="y", sensitive=("sex", "age"))
    for line in text.splitlines():
        key = line.split(" = ")[0]
        known = {"test", "target", "sensitive"} | ({"name"} if "the file's name" not in line else set())
        asked = {"version", "purpose", "owner", "intended_use"}
        if " = " not in line or line.startswith("#") or key in known:
            continue
        assert ("to be answered" if key in asked else "# guess: ") in line, line


def test_what_no_file_can_tell_stays_empty(tmp_path: Path, table: Path) -> None:
    card = drafted(mlp(tmp_path, 9), table)
    assert (card.purpose, card.owner, card.intended_use, card.version) == ("", "", "", "")
    assert (card.name, card.positive, card.classes) == ("model", "good", ("bad", "good"))
    assert card.data.test == "data/test.csv"


def test_a_sensitive_number_gets_bands_of_about_equal_parts(tmp_path: Path, table: Path) -> None:
    model = mlp(tmp_path, 9)
    card = drafted(model, table, sensitive=("age",))
    groups = load(table, card).groups["age"]
    assert len(groups.levels) == 3
    assert groups.counts.min() > ROWS / 5


@pytest.mark.parametrize(
    ("target", "outputs", "task", "head"),
    [
        (["a", "b"] * 60, 1, "binary", Head.LOGIT),
        (["a", "b"] * 60, 2, "binary", Head.LOGITS),
        (["a", "b", "c"] * 40, 3, "multiclass", Head.LOGITS),
        (["a", "b", "c"] * 40, 7, "multiclass", None),
        ([2, 10, 1] * 40, 3, "multiclass", Head.LOGITS),
        ([2, 10, 1] * 40, 1, "regression", Head.VALUE),
        (np.arange(ROWS) / 7, 1, "regression", Head.VALUE),
        ([0.5, 1.5] * 60, 1, "regression", Head.VALUE),
    ],
)
def test_task_and_head_follow_target_and_outputs(
    target: Any, outputs: int, task: str, head: Head | None, tmp_path: Path, table: Path
) -> None:
    people().assign(y=target).to_csv(table, index=False)
    card = drafted(mlp(tmp_path, 9, outputs), table)
    assert (card.task, card.head) == (task, head)
    expected = [] if task == "regression" else sorted({str(each) for each in target}, key=lambda x: (len(x), x))
    assert list(card.classes) == expected
    assert load(table, card).rows == ROWS


def test_missing_cells_get_a_fill_and_marks_among_numbers_are_told(tmp_path: Path, table: Path) -> None:
    frame = people().astype(str)
    frame.loc[:9, "income"] = "?"
    frame.loc[5:9, "job"] = ""
    frame.to_csv(table, index=False)
    model = mlp(tmp_path, 9)
    card = drafted(model, table)
    income = pd.to_numeric(frame["income"], errors="coerce")
    known = {column.name: column for column in card.columns}
    assert card.data.missing_values == ("?",)
    assert known["income"].fill == pytest.approx(income.median())
    assert known["job"].fill == frame["job"][frame["job"] != ""].mode()[0]
    missing = load(table, card).missing
    assert missing is not None
    assert missing.sum() == 15


def test_the_reference_gives_means_categories_and_a_path(tmp_path: Path, table: Path) -> None:
    train = tmp_path / "train.parquet"
    reference = people(500, seed=1)
    reference.loc[3, "job"] = "pilot"
    reference.to_parquet(train)
    model = mlp(tmp_path, 10)
    card = drafted(model, table, reference=train)
    text = model.with_suffix(".toml").read_text()
    assert card.data.reference == "train.parquet"
    assert card.columns[1].categories == ("NA", "clerk", "nurse", "pilot")
    assert f"mean {reference['age'].mean():.6g}, standard deviation {reference['age'].std(ddof=0):.6g}" in text
    assert card.columns[0].mean == 0.0
    assert load(train, card).rows == 500


def test_without_bare_tensors_the_network_is_left_out(tmp_path: Path, table: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no model at all")
    card = drafted(model, table)
    assert card.network is None
    assert card.head is None
    assert "# [network] is left out: " in model.with_suffix(".toml").read_text()
    assert load(table, card).rows == ROWS


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"target": "yy"}, "no column 'yy', named by --target; nearest: 'y'"),
        ({"sensitive": ("sexx",)}, "no column 'sexx', named by --sensitive; nearest: 'sex'"),
        ({"sensitive": ("y",)}, "both --target and --sensitive"),
        ({"target": "constant"}, "column 'constant' holds one class only"),
        ({"sensitive": ("constant",)}, "nothing to compare"),
    ],
)
def test_what_no_audit_could_use_is_refused(choices: dict[str, Any], says: str, tmp_path: Path, table: Path) -> None:
    people().assign(constant="k").to_csv(table, index=False)
    with pytest.raises(InputError) as caught:
        drafted(mlp(tmp_path, 9), table, **choices)
    assert says in str(caught.value)


def test_a_missing_model_is_refused(tmp_path: Path, table: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        draft(tmp_path / "none.pt", table, target="y")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(texts)
def test_every_text_survives_as_toml(text: str) -> None:
    assert tomllib.loads(f"{quoted(text)} = {quoted(text)}") == {text: text}


@quick
@given(
    names=st.lists(texts, min_size=3, max_size=3, unique=True),
    values=st.lists(texts, min_size=2, max_size=5, unique=True),
)
def test_hostile_names_and_cells_survive_the_card(names: list[str], values: list[str], tmp_path: Path) -> None:
    import csv

    target, sensitive, feature = names
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    for i in range(40):
        writer.writerow([("no", "yes")[i % 2], str(i * 3), values[i % len(values)]])
    table, model = tmp_path / 'te"st.csv', tmp_path / "model.bin"
    table.write_text(out.getvalue(), encoding="utf-8", newline="")
    model.write_bytes(b"x")
    card = drafted(model, table, target=target, sensitive=(sensitive,))
    assert card.data.target == target
    assert card.data.sensitive == (sensitive,)
    assert list(card.data.bands) == [sensitive]
    assert {column.name for column in card.columns} <= {sensitive, feature}
    found = load(tmp_path / str(card.data.test), card)
    assert found.rows == 40
    assert sum(found.groups[sensitive].counts) == 40
