"""NumPy, pandas and Polars give the same data, and nothing handed in is changed."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.data import from_frames
from rai.errors import InputError

NUMBERS = {"a": [1.5, -2.0, 3.0, 4.25], "b": [1, 2, 3, 4], "c": [True, False, True, True]}
MIXED = NUMBERS | {"d": ["x", "y", "x", "NA"]}
ANSWERS = ["no", "yes", "no", "yes"]
SEX = ["F", "M", "F", None]


def as_numpy(columns: dict[str, list[Any]]) -> np.ndarray:
    return np.array([list(map(float, values)) for values in columns.values()]).T


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, as_numpy], ids=["pandas", "polars", "numpy"])
@pytest.mark.parametrize("series", [pd.Series, pl.Series, np.array, list], ids=["pandas", "polars", "numpy", "list"])
def test_numbers_give_the_same_inputs_from_every_library(make: Any, series: Any) -> None:
    found = from_frames(make(NUMBERS), series(ANSWERS), sensitive_features={"sex": series(SEX)})
    data = found.data
    assert (found.classes, found.task) == (("no", "yes"), "binary")
    assert isinstance(data.inputs, np.ndarray if make is as_numpy else pd.DataFrame)
    assert np.asarray(data.inputs, dtype=np.float64).tolist() == as_numpy(NUMBERS).tolist()
    assert data.features.dtype == np.float32
    assert data.features.flags.c_contiguous
    assert data.features.tolist() == as_numpy(NUMBERS).tolist()
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.groups["sex"].levels == ("F", "M")
    assert data.groups["sex"].codes.tolist() == [0, 1, 0, -1]
    names = ["x0", "x1", "x2"] if make is as_numpy else ["a", "b", "c"]
    assert [(player.name, player.inputs) for player in data.players] == [(n, (i,)) for i, n in enumerate(names)]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_frame_with_text_is_kept_as_a_pandas_copy_with_a_numeric_view(make: Any) -> None:
    frame = make(MIXED)
    data = from_frames(frame, ANSWERS).data
    assert isinstance(data.inputs, pd.DataFrame)
    assert data.inputs is not frame
    assert data.inputs.to_dict("list") == MIXED
    assert data.features.dtype == np.float32
    assert data.features[:, 3].tolist() == [1, 2, 1, 0]
    assert data.features[:, :3].tolist() == as_numpy(NUMBERS).tolist()


def test_an_object_array_with_text_is_a_frame_without_column_names() -> None:
    array = np.array([[1, "u"], [2, "v"]], dtype=object)
    data = from_frames(array, [0, 1]).data
    assert data.inputs.columns.tolist() == [0, 1]
    assert data.features.tolist() == [[1, 0], [2, 1]]
    data.inputs.iloc[0, 1] = "changed"
    assert array[0, 1] == "u"


def test_missing_values_stay_in_inputs_and_are_filled_in_features() -> None:
    x = np.array([[1, np.nan], [3, np.nan], [np.nan, np.nan], [5, np.nan]])
    data = from_frames(x, [0, 1, 0, 1]).data
    assert np.array_equal(data.inputs, x, equal_nan=True)
    assert data.features.tolist() == [[1, 0], [3, 0], [3, 0], [5, 0]]
    assert data.missing is not None
    assert data.missing.tolist() == np.isnan(x).tolist()


def test_missing_text_has_the_code_minus_one() -> None:
    frame = pd.DataFrame({"a": ["u", None, "v", ""], "b": [1.0, None, 3.0, 8.0]})
    data = from_frames(frame, [0, 1, 0, 1]).data
    assert data.features.tolist() == [[0, 1], [-1, 3], [1, 3], [-1, 8]]
    assert data.inputs["a"].tolist()[2:] == ["v", ""]


def test_nothing_handed_in_is_changed_or_shared() -> None:
    x, y, group = np.ones((4, 2), dtype=np.float32), np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0])
    data = from_frames(x, y, sensitive_features=group).data
    for mine in (data.inputs, data.labels, data.groups["sensitive_feature"].codes):
        mine[:] = 7  # type: ignore[index]
    assert x.tolist() == [[1, 1]] * 4
    assert y.tolist() == [0, 1, 0, 1]
    assert group.tolist() == [0, 1, 1, 0]
    frame = pd.DataFrame(MIXED)
    copy = from_frames(frame, ANSWERS).data.inputs
    copy.loc[0, "d"] = "changed"
    assert frame.loc[0, "d"] == "x"


def test_a_model_gets_the_precision_that_the_caller_has() -> None:
    identifiers = np.array([[1_000_000_001], [1_000_000_002]])
    assert from_frames(identifiers, [0, 1]).data.inputs.tolist() == identifiers.tolist()
    assert from_frames(identifiers + 0.25, [0, 1]).data.inputs.tolist() == (identifiers + 0.25).tolist()


def test_a_mapping_of_columns_with_text_is_a_frame() -> None:
    data = from_frames(MIXED, ANSWERS).data
    assert data.inputs.to_dict("list") == MIXED


def test_torch_tensors_are_taken_off_the_graph() -> None:
    torch = pytest.importorskip("torch")
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for given_rows in (rows, rows.detach().bfloat16()):
        data = from_frames(given_rows, torch.tensor([0, 1])).data
        assert data.inputs.tolist() == [[1, 2], [3, 4]]
        assert data.features.tolist() == [[1, 2], [3, 4]]


def test_reference_columns_are_matched_by_name_and_others_are_left_out() -> None:
    first = from_frames(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), [0, 1])
    turned = pd.DataFrame({"c": [9, 9], "b": [3, 4], "a": [1, 2]})
    second = from_frames(turned, [0, 1], like=first).data
    assert second.features.tolist() == first.data.features.tolist()
    assert from_frames(turned[["a", "b"]].to_numpy(), [0, 1], like=first).data.features.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(InputError, match="no column 'b'"):
        from_frames(turned[["a", "c"]], [0, 1], like=first)


def test_an_empty_list_of_classes_means_values_to_predict() -> None:
    assert from_frames(np.ones((4, 1)), [1, 2, 3, 1], classes=()).task == "regression"


@pytest.mark.parametrize(
    ("y", "classes", "task"),
    [
        ([0, 1] * 12, ("0", "1"), "binary"),
        ([True, False] * 12, ("False", "True"), "binary"),
        ([1.0, 0.0] * 12, ("0", "1"), "binary"),
        ([10, 9, 2] * 8, ("2", "9", "10"), "multiclass"),
        (["10", "9", "2"] * 8, ("2", "9", "10"), "multiclass"),
        (["b", "a", "c"] * 8, ("a", "b", "c"), "multiclass"),
        (list(range(24)), (), "regression"),
        ([0.5, 1.0] * 12, (), "regression"),
    ],
)
def test_the_task_follows_the_labels(y: list[Any], classes: tuple[str, ...], task: str) -> None:
    found = from_frames(np.zeros((24, 1)), y)
    assert (found.classes, found.task) == (classes, task)
    assert found.data.labels is not None
    if classes:
        assert found.data.labels.dtype == np.int64
        named = [classes[label] for label in found.data.labels]
        assert named == [str(int(value) if isinstance(value, float) else value) for value in y]
    else:
        assert found.data.labels.dtype == np.float64
        assert found.data.labels.tolist() == [float(value) for value in y]


def test_given_classes_keep_their_order_and_may_be_numbers() -> None:
    assert from_frames(np.zeros((2, 1)), [1, 0], classes=[1, 0]).data.labels.tolist() == [0, 1]  # type: ignore[union-attr]
    found = from_frames(np.zeros((3, 1)), [2.0, 1.0, 2.0], classes=[np.int64(1), 2.0, 3])
    assert found.classes == ("1", "2", "3")
    assert found.task == "multiclass"
    assert from_frames(np.zeros((2, 1)), ["no", "no"], classes=["no", "yes"]).classes == ("no", "yes")


@pytest.mark.parametrize(
    ("sensitive", "names"),
    [
        (np.array([0, 1, 0, 1]), ["sensitive_feature"]),
        (np.array([[0, 1], [1, 0], [0, 0], [1, 1]]), ["sensitive_feature0", "sensitive_feature1"]),
        (pd.Series([0, 1, 0, 1], name="sex"), ["sex"]),
        (pd.Series([0, 1, 0, 1]), ["sensitive_feature"]),
        (pl.Series("sex", [0, 1, 0, 1]), ["sex"]),
        (pd.DataFrame({"sex": [0, 1, 0, 1], "race": ["u", "v", "v", "u"]}), ["sex", "race"]),
        (pl.DataFrame({"sex": [0, 1, 0, 1], "race": ["u", "v", "v", "u"]}), ["sex", "race"]),
        ({"sex": [0, 1, 0, 1], "race": np.array(["u", "v", "v", "u"])}, ["sex", "race"]),
        (pd.Series(pd.Categorical(["u", "v", "u", "v"], categories=["v", "u", "never"]), name="c"), ["c"]),
    ],
)
def test_sensitive_features_come_in_many_shapes(sensitive: Any, names: list[str]) -> None:
    groups = from_frames(np.zeros((4, 1)), ANSWERS, sensitive_features=sensitive).data.groups
    assert list(groups) == names
    first = groups[names[0]]
    assert len(first.levels) == 2
    assert first.codes.tolist() == [0, 1, 0, 1]


def test_rows_without_columns_are_rows() -> None:
    data = from_frames(np.zeros((4, 0), dtype=np.float32), ANSWERS).data
    assert data.rows == 4
    assert data.inputs.shape == (4, 0)
    assert data.players == ()


def shuffled(values: Any) -> Any:
    return pd.Series(values, index=[3, 2, 1, 0])


FRAME = pd.DataFrame(NUMBERS)
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("lengths", {"y": [0, 1, 0]}, ["X has 4 rows", "y has 3 rows"]),
    ("group lengths", {"sensitive_features": [0, 1]}, ["X has 4 rows", "sensitive_features has 2 rows"]),
    ("y index", {"y": shuffled(ANSWERS)}, ["X and y", "position", "indexes differ"]),
    ("group index", {"sensitive_features": shuffled(SEX)}, ["X and sensitive_features", "indexes differ"]),
    ("dict index", {"sensitive_features": {"s": shuffled(SEX)}}, ["X and sensitive_features", "indexes differ"]),
    (
        "y group index",
        {"X": as_numpy(NUMBERS), "y": shuffled(ANSWERS), "sensitive_features": pd.Series(SEX)},
        ["y and"],
    ),
    ("infinite", {"X": [[1.0], [np.inf], [2.0], [np.inf]]}, ["'x0'", "data row 2 ", "finite", "1 more"]),
    ("beyond 32 bits", {"X": [[1.0], [1e39], [2.0], [2.0]]}, ["'x0'", "data row 2 ", "32-bit"]),
    ("mixed column", {"X": pd.DataFrame({"m": [1, "a", 2, 3]})}, ["'m'", "mixes"]),
    ("dates", {"X": pd.DataFrame({"d": pd.to_datetime(["2020-01-01"] * 4)})}, ["'d'", "timestamp"]),
    ("three dimensions", {"X": np.zeros((4, 2, 2))}, ["X", "3 dimensions"]),
    ("a number", {"X": 3}, ["X", "int", "0 dimensions"]),
    ("lazy", {"X": pl.LazyFrame(NUMBERS)}, ["X", "LazyFrame"]),
    ("twice", {"X": pd.DataFrame([[1, 2]] * 4, columns=["a", "a"])}, ["'a'", "twice"]),
    ("ragged", {"X": [[1], [1, 2], [1], [1]]}, ["X", "list"]),
    ("no rows", {"X": np.zeros((0, 2)), "y": []}, ["no rows"]),
    ("two label columns", {"y": np.zeros((4, 2))}, ["y", "2 columns"]),
    ("missing label", {"y": ["no", None, "yes", "no"]}, ["'y'", "data row 2 ", "label is missing"]),
    ("missing number label", {"y": [0.5, 1.5, np.nan, 3.0]}, ["'y'", "data row 3 ", "label is missing"]),
    ("one class", {"y": ["no"] * 4}, ["'y'", "one class only"]),
    ("unknown class", {"classes": ["no", "maybe"]}, ["'y'", "data row 2 ", "'yes'"]),
    ("one class named", {"classes": ["no"]}, ["at least two"]),
    ("text target", {"X": np.zeros((200, 1)), "y": [f"t{i}" for i in range(200)]}, ["'y'", "200 distinct"]),
    ("one group", {"sensitive_features": {"s": ["F"] * 4}}, ["'s'", "nothing to compare"]),
    ("bands of nothing", {"bands": {"age": [3]}, "sensitive_features": {"s": SEX}}, ["'age'", "not sensitive"]),
    ("missing y", {"y": None}, ["y: is missing"]),
]


@pytest.mark.parametrize(("changes", "says"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_objects_are_named(changes: dict[str, Any], says: list[str]) -> None:
    handed = {"X": FRAME, "y": ANSWERS} | changes
    with pytest.raises(InputError) as caught:
        from_frames(handed.pop("X"), handed.pop("y"), **handed)
    said = str(caught.value)
    assert [word for word in says if word not in said] == []
    assert len(said.splitlines()) == 1
    assert not [word for word in ("arrow", "narwhals", "Traceback") if word in said.lower()]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
cells = {
    "number": st.one_of(st.none(), st.floats(-1e9, 1e9, width=32)),
    "whole": st.integers(-(2**20), 2**20),
    "text": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)),
}


@st.composite
def frames(draw: Any) -> dict[str, list[Any]]:
    rows = draw(st.integers(2, 12))
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return {
        name: draw(st.lists(cells[draw(st.sampled_from(sorted(cells)))], min_size=rows, max_size=rows))
        for name in columns
    }


@settings(max_examples=150, deadline=None)
@given(frames())
def test_pandas_and_polars_agree_on_any_frame(columns: dict[str, list[Any]]) -> None:
    rows = len(next(iter(columns.values())))
    answers = [i % 2 for i in range(rows)]
    first = from_frames(pd.DataFrame(columns), answers).data
    second = from_frames(pl.DataFrame(columns), answers).data
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(first.missing, second.missing)
    assert np.isfinite(first.features).all()
    assert [player.name for player in first.players] == list(columns)


@settings(max_examples=100, deadline=None)
@given(frames())
def test_a_frame_comes_back_as_it_was(columns: dict[str, list[Any]]) -> None:
    frame = pl.DataFrame(columns)
    data = from_frames(frame, [i % 2 for i in range(len(frame))]).data
    for place, (name, values) in enumerate(columns.items()):
        known = [i for i, value in enumerate(values) if value not in {None, ""}]
        assert np.flatnonzero(~data.missing[:, place]).tolist() == known  # type: ignore[index]
        if isinstance(data.inputs, pd.DataFrame):
            assert [data.inputs[name][i] for i in known] == [values[i] for i in known]
        else:
            assert [data.inputs[i, place] for i in known] == [np.float32(values[i]) for i in known]
