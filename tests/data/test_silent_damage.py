"""What other readers change without a word stays as it was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rai.card import Card, Column
from rai.data import load, raw

Save = Callable[..., Path]
Recard = Callable[..., Card]


def test_every_cell_of_a_csv_stays_the_text_it_was(save: Save) -> None:
    cells = ["00123", "NA", "null", "1.10", "True", " x ", "2020-01-01", "1e3", "nan", "", "-0", '"', "a,b", "l1\nl2"]
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    found = raw(save("\n".join(["code,other", *(f"{cell},1" for cell in quoted)])))
    assert found["code"].tolist() == cells
    assert found["other"].tolist() == ["1"] * len(cells)


def test_leading_zeros_tell_two_categories_apart(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("zip", "category", categories=("00123", "123")),), sensitive=("zip",))
    found = load(save("zip,y\n00123,no\n123,yes\n00123,yes\n"), card)
    assert found.inputs.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert set(found.groups["zip"].levels) == {"00123", "123"}


def test_a_country_called_na_is_a_country(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("c", "category", categories=("NA", "None", "null")),), sensitive=("c",))
    found = load(save("c,y\nNA,no\nNone,yes\nnull,yes\n"), card)
    assert found.inputs.tolist() == np.eye(3).tolist()
    assert found.missing is not None
    assert not found.missing.any()
    assert found.groups["c"].levels == ("NA", "None", "null")


def test_only_the_empty_cell_and_the_cards_texts_are_missing(save: Save, recard: Recard) -> None:
    columns = (Column("a", "number", fill=9.0), Column("c", "category", categories=("NA", "x"), fill="x"))
    card = recard(columns=columns, sensitive=("s",), missing_values=("?", "-1"))
    found = load(save("a,c,s,y\n,NA,u,no\n ? ,?,?,yes\n-1,,v,no\n1,x,,yes\n"), card)
    assert found.missing is not None
    assert found.missing.tolist() == [[True, False], [True, True], [True, True], [False, False]]
    assert found.inputs.tolist() == [[9, 1, 0], [9, 0, 1], [9, 0, 1], [1, 0, 1]]
    assert found.groups["s"].codes.tolist() == [0, -1, 1, -1]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(save: Save, card: Card, lines: list[str]) -> None:
    plain = load(save("\n".join(lines)), card)
    for content in ("\r\n".join(lines), "\ufeff" + "\n".join(lines) + "\n", "\r".join(lines), "\n\n".join(lines)):
        other = load(save(content), card)
        assert np.array_equal(other.inputs, plain.inputs)
        assert np.array_equal(other.labels, plain.labels)


def test_a_quoted_byte_order_mark_header_is_read(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("a", "number"),), sensitive=())
    assert load(save('\ufeff"a","y"\n1,no\n2,yes\n'), card).inputs.tolist() == [[1], [2]]


def test_line_breaks_inside_quotes_do_not_make_rows(save: Save, recard: Recard) -> None:
    card = recard(columns=(Column("a", "number"),), sensitive=("s",))
    found = load(save('a,s,y\n1,"u\nv, ""w""",no\n2,x,yes\n'), card)
    assert found.rows == 2
    assert found.groups["s"].levels == ('u\nv, "w"', "x")


def test_a_blank_line_in_a_file_of_one_column_is_a_missing_cell(save: Save) -> None:
    assert raw(save("a\n1\n\n2\n"))["a"].tolist() == ["1", "", "2"]


def test_the_source_names_the_file_alone_and_its_bytes(save: Save, card: Card, lines: list[str]) -> None:
    import hashlib

    content = "\n".join(lines)
    source = load(save(content), card).source
    assert source.name == "people.csv"
    assert source.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_the_kind_is_told_by_content_never_by_name(save: Save, card: Card, lines: list[str]) -> None:
    import pandas as pd

    plain = load(save("\n".join(lines)), card)
    path = save("\n".join(lines), "people.parquet")
    assert np.array_equal(load(path, card).inputs, plain.inputs)
    frame = raw(path)
    pd.DataFrame(frame).to_parquet(path.with_name("parquet.csv"))
    assert np.array_equal(load(path.with_name("parquet.csv"), card).inputs, plain.inputs)


def test_inputs_are_32_bit_rows_first_and_features_the_same_object(save: Save, card: Card, lines: list[str]) -> None:
    found = load(save("\n".join(lines)), card)
    assert found.inputs.dtype == np.float32
    assert found.inputs.flags.c_contiguous
    assert found.features is found.inputs
    assert [(p.name, p.inputs) for p in found.players] == [("age", (0,)), ("country", (1, 2, 3)), ("income", (4,))]
    assert found.labels is not None
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [1, 0, 0, 1]


def test_without_a_target_there_are_no_labels(save: Save, recard: Recard, lines: list[str]) -> None:
    assert load(save("\n".join(lines)), recard(target=None)).labels is None


def test_only_the_reference_may_hold_one_class_and_one_group(save: Save, recard: Recard) -> None:
    import pytest

    from rai.errors import InputError

    path = save("age,sex,y\n1,F,no\n2,F,no\n")
    columns = (Column("age", "number"),)
    found = load(path, recard(columns=columns, reference=str(path), test="other.csv"))
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0]
    with pytest.raises(InputError, match="one class"):
        load(path, recard(columns=columns, test=str(path)))
