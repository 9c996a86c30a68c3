"""Who is in which group, told in all the ways that fairlearn takes it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from rai.errors import InputError
from rai.subject import Groups
from rai.train.batches import Rows
from rai.train.fair.job import Attribute
from rai.train.fair.sensitive import marked, marked_like

SEX = ["f", "m", "m", "f"]
COLOUR = ["red", "blue", "red", None]


def rows(count=4, **groups):
    return Rows(torch.zeros(count, 2), torch.zeros(count), "binary", groups=groups)


@pytest.mark.parametrize(
    "who",
    [
        SEX,
        np.array(SEX),
        np.array(SEX, dtype=object)[:, None],
        pd.Series(SEX, name="sex"),
        pl.Series("sex", SEX),
        pd.DataFrame({"sex": SEX}),
        pl.DataFrame({"sex": SEX}),
        {"sex": SEX},
        Groups("sex", ("f", "m"), np.array([0, 1, 1, 0])),
    ],
    ids=lambda each: type(each).__module__,
)
def test_every_way_of_saying_it_gives_the_same_codes(who):
    found = marked(rows(), who)
    assert found.rows.sensitive.tolist() == [[0], [1], [1], [0]]
    assert [each.levels for each in found.attributes] == [("f", "m")]
    assert found.names[0].startswith("se")
    assert list(found.rows.groups) == list(found.names)


def test_columns_of_the_data_are_named_and_all_of_them_are_meant_where_none_is():
    sex, age = (
        Groups("sex", ("f", "m"), np.array([0, 1, 1, 0])),
        Groups("age", ("young", "old"), np.array([1, 1, 0, 0])),
    )
    given = rows(sex=sex, age=age)
    assert marked(given, "age").names == ("age",)
    assert marked(given, ["age", "sex"]).rows.sensitive.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]
    assert marked(given, ()).names == ("sex", "age")


def test_missing_values_are_unknown():
    for missing in (None, float("nan"), pd.NA):
        found = marked(rows(), [*COLOUR[:3], missing])
        assert found.rows.sensitive.flatten().tolist() == [1, 0, 1, -1]


def test_numbers_are_in_their_own_order():
    found = marked(rows(), [10, 9, 100, 9])
    assert found.attributes == (Attribute("sensitive", ("9", "10", "100")),)
    assert marked(rows(), np.array([1.0, 0.5, np.nan, 1.0])).attributes[0].levels == ("0.5", "1")


def test_combinations_that_occur_make_one_attribute_more():
    found = marked(rows(), {"sex": SEX, "colour": COLOUR}, intersections=True)
    assert found.names == ("sex", "colour")
    assert found.attributes[2] == Attribute("sex × colour", ("f × red", "m × blue", "m × red"))
    assert found.rows.sensitive[:, 2].tolist() == [0, 1, 2, -1]
    assert len(marked(rows(), SEX, intersections=True).attributes) == 1


def test_rows_to_validate_on_have_the_codes_of_those_to_learn_from():
    other = marked(rows(), {"sex": SEX, "colour": COLOUR}, intersections=True)
    found = marked_like(rows(3), {"colour": ["red", "green", "red"], "sex": ["m", "m", "f"]}, other)
    assert found.sensitive.tolist() == [[1, 1, 2], [1, -1, -1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ((), "nobody said"),
        ("age", "no group 'age'; expected among sex"),
        (["f", "m"], "no group 'f'"),
        (np.array(["f", "m"]), "2 values for 4 rows"),
        (np.array(["f"] * 4), "sensitive has 1 level; expected at least two"),
        (np.zeros((4, 1, 1)), r"shape \(4, 1, 1\)"),
        ([None] * 4, "has no levels"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(who, said):
    groups = {} if isinstance(who, tuple) else {"sex": Groups("sex", ("f", "m"), np.array([0, 1, 1, 0]))}
    with pytest.raises(InputError, match=said):
        marked(rows(**groups), who)


def test_a_number_that_was_not_cut_into_bands_is_refused():
    with pytest.raises(InputError, match="has 60 levels; expected at most 50; cut its values into bands"):
        marked(rows(60), np.arange(60))


def test_validation_rows_that_say_nothing_of_an_attribute_are_refused():
    with pytest.raises(InputError, match="says nothing of 'sex'"):
        marked_like(rows(), {"colour": SEX}, marked(rows(), {"sex": SEX}))
