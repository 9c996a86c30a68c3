"""Parquet and Feather say what CSV says; a file that would unpack into too much is refused before it does."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from rai.card import Card, Column
from rai.data import limits, load, raw, tables
from rai.errors import InputError

Save = Callable[..., Path]
TYPED = {
    "age": pa.array([31, 45, 60, 22], pa.int8()),
    "country": pa.array(["NA", "FR", "FR", "DE"]).dictionary_encode(),
    "income": pa.array([100.5, 200.0, 300.0, 0.5]),
    "sex": pa.array(["F", "M", "F", "M"], pa.large_string()),
    "y": pa.array(["yes", "no", "no", "yes"]),
}


def as_parquet(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def as_feather(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    feather.write_feather(table, out, **options)
    return out.getvalue()


WRITERS = {
    "parquet": as_parquet,
    "parquet in two groups": lambda table: as_parquet(table, row_group_size=3),
    "feather lz4": as_feather,
    "feather zstd": lambda table: as_feather(table, compression="zstd"),
    "feather plain": lambda table: as_feather(table, compression="uncompressed"),
    "feather in two parts": lambda table: as_feather(table, chunksize=3),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


@writers
def test_every_format_gives_the_same_data(
    write: Callable[[Any], bytes], save: Save, card: Card, lines: list[str]
) -> None:
    plain = load(save("\n".join(lines)), card)
    other = load(save(write(pa.table(TYPED))), card)
    assert np.array_equal(other.inputs, plain.inputs)
    assert np.array_equal(other.labels, plain.labels)
    assert other.groups["sex"].levels == plain.groups["sex"].levels
    assert other.groups["sex"].codes.tolist() == plain.groups["sex"].codes.tolist()


@writers
def test_null_and_nan_are_missing(write: Callable[[Any], bytes], save: Save, recard: Callable[..., Card]) -> None:
    table = pa.table(
        {
            "a": pa.array([1.0, None, float("nan"), 4.0]),
            "c": pa.array(["x", None, "", "NA"]),
            "s": pa.array([1, 2, None, 1]),
            "y": pa.array([True, False, True, False]),
        }
    )
    columns = (Column("a", "number", fill=7.0), Column("c", "category", categories=("x", "NA"), fill="x"))
    card = recard(columns=columns, sensitive=("s",), classes=("0", "1"))
    found = load(save(write(table)), card)
    assert found.inputs.tolist() == [[1, 1, 0], [7, 1, 0], [7, 1, 0], [4, 0, 1]]
    assert found.groups["s"].codes.tolist() == [0, 1, -1, 0]
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0, 1, 0]


def test_a_marker_is_missing_in_a_typed_file_too(save: Save, recard: Callable[..., Card]) -> None:
    table = pa.table({"a": [1, -999, 3], "b": [-999.0, 2.0, 3.0], "y": ["no", "yes", "no"]})
    columns = (Column("a", "number", fill=0.0), Column("b", "number", fill=5.0))
    found = load(save(as_parquet(table)), recard(columns=columns, sensitive=(), missing_values=("-999",)))
    assert found.inputs.tolist() == [[1, 5], [0, 2], [3, 3]]


def test_typed_numbers_match_categories_written_as_numbers(save: Save, recard: Callable[..., Card]) -> None:
    table = pa.table({"a": [1.0, 2.0, 1.0], "b": [True, False, True], "y": [1.0, 0.0, 1.0]})
    columns = (Column("a", "category", categories=("1", "2")), Column("b", "category", categories=("0", "1")))
    found = load(save(as_parquet(table)), recard(columns=columns, sensitive=("a",), classes=("0", "1")))
    assert found.inputs.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]]
    assert found.groups["a"].levels == ("1", "2")


def test_long_identifiers_are_not_rounded_together(save: Save) -> None:
    near = [2**53, 2**53 + 1, 2**63 - 1]
    found = tables.read(save(as_parquet(pa.table({"id": near})))).cells("id").coded
    assert [found.names[code] for code in found.codes] == [str(each) for each in near]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (pa.array([1.0, float("inf"), 2.0]), "data row 2 "),
        (pa.array([[1], [2], [3]]), "list"),
        (pa.array([b"a", b"b", b"c"]), "binary"),
        (pa.array([1, 2, 3], pa.date32()), "date32"),
        (pa.array(["1", "two", "3"]), "'two'"),
        (pa.array([1.0, None, 3.0]), "data row 2 "),
    ],
    ids=["infinite", "lists", "bytes", "dates", "text", "null"],
)
def test_bad_typed_cells_are_named(cells: Any, says: str, save: Save, recard: Callable[..., Card]) -> None:
    path = save(as_parquet(pa.table({"a": cells, "y": ["no", "yes", "no"]})))
    with pytest.raises(InputError, match="column 'a'") as caught:
        load(path, recard(columns=(Column("a", "number"),), sensitive=()))
    assert says in str(caught.value)


def test_names_twice_in_a_parquet_file_are_refused(save: Save) -> None:
    path = save(as_parquet(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])))
    with pytest.raises(InputError, match="column 'a' stands twice"):
        raw(path)


def test_a_file_of_no_rows_or_columns_is_refused(save: Save) -> None:
    for table in (pa.table({"a": pa.array([], pa.int64())}), pa.table({})):
        for write in (as_parquet, as_feather):
            with pytest.raises(InputError, match="no rows"):
                raw(save(write(table)))


def refused(path: Path) -> str:
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError) as caught:
        raw(path)
    assert pa.total_allocated_bytes() - before < 64 << 20
    return str(caught.value)


def test_a_parquet_file_of_too_many_rows_is_refused_by_its_footer(save: Save) -> None:
    rows = pa.array([1]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000_000, np.int8)), rows.dictionary)
    content = as_parquet(pa.table({f"c{i}": many for i in range(26)}), compression="zstd")
    assert len(content) < 2 << 20
    assert "too many" in refused(save(content))


def test_a_feather_file_that_unpacks_too_far_is_refused_by_its_headers(save: Save, monkeypatch: Any) -> None:
    content = as_feather(pa.table({"a": np.zeros(20_000_000)}), compression="zstd")
    assert len(content) < 1 << 20
    monkeypatch.setattr(limits, "LARGEST_TABLE", 100 << 20)
    assert "unpacks to more" in refused(save(content))


def test_a_feather_file_of_many_null_rows_is_refused(save: Save) -> None:
    content = as_feather(pa.table({"a": pa.nulls(limits.MOST_CELLS + 1)}))
    assert len(content) < 1 << 20
    assert "too many" in refused(save(content))


def test_a_csv_of_too_many_columns_is_refused_by_its_header(save: Save) -> None:
    names = ",".join(f"c{i}" for i in range(limits.MOST_COLUMNS + 1))
    assert "10,001 columns" in refused(save(f"{names}\n" + "1," * 10_000 + "1\n"))


def test_a_header_without_end_is_refused(save: Save) -> None:
    assert "longer than 1 MiB" in refused(save("a" * (limits.LONGEST_HEADER + 10) + "\n1\n"))


def test_a_csv_of_too_many_cells_is_refused_before_it_is_parsed(save: Save) -> None:
    names = ",".join(f"c{i}" for i in range(10_000))
    assert "too many" in refused(save(names + "\n" * 30_000))


def test_a_row_too_long_is_refused(save: Save, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "LONGEST_ROW", 1 << 10)
    said = refused(save("a,b\n" + "1,2\n" * 500 + '"' + "x" * 5000 + '",2\n' + "1,2\n" * 500))
    assert "longer than" in said


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.csv"
    with path.open("wb") as stream:
        stream.truncate(limits.LARGEST_FILE + 1)
    assert "larger than 4 GiB" in refused(path)


def test_too_many_inputs_are_refused(save: Save, card: Card, lines: list[str], monkeypatch: Any) -> None:
    path = save("\n".join(lines))
    monkeypatch.setattr(limits, "MOST_CELLS", 4 * 5 - 1)
    with pytest.raises(InputError, match="too many"):
        load(path, card)


def problem(path: Path) -> str | None:
    try:
        raw(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("write", [as_parquet, as_feather])
def test_damaged_files_are_refused_or_read_never_worse(write: Callable[[Any], bytes], save: Save) -> None:
    content, rng = write(pa.table(TYPED)), np.random.default_rng(0)
    for _ in range(1500):
        damaged = bytearray(content)
        for at in rng.integers(len(content), size=rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        said = problem(save(bytes(damaged)))
        assert said is None or len(said.splitlines()) == 1
