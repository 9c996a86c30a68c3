"""Every bad file is refused in one line of our own words that says where to look."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rai.card import Card, Column
from rai.data import load, raw
from rai.errors import InputError

GOOD = "age,country,income,sex,y\n31,NA,100.5,F,yes\n45,FR,200,M,no\n60,FR,300,F,no\n22,DE,0.5,M,yes\n"
LIBRARY = (
    "arrow",
    "pandas",
    "traceback",
    "errno",
    "keyerror",
    "codec",
    "parser",
    "polars",
    "narwhals",
    "numpy.",
    "0x7",
)
NUMBERS = "\n".join(
    ["age,country,income,sex,y"] + [f"{20 + i},FR,{i},{i},{'yes' if i % 2 else 'no'}" for i in range(60)]
)
WORDS = "\n".join(["age,country,income,sex,y"] + [f"3,FR,{i},g{i},{'yes' if i % 2 else 'no'}" for i in range(60)])


@dataclass(frozen=True)
class Bad:
    """A bad file (or a card that does not go with it) and words its message must hold."""

    name: str
    content: str | bytes
    says: tuple[str, ...]
    card: dict[str, Any] = field(default_factory=dict)


def swap(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


CELLS = [
    Bad("text in a number", swap("45,FR", "old,FR"), ("'age'", "data row 2 ", "'old'", "number")),
    Bad("two texts", swap("45,FR", "x,FR").replace("60,FR", "y,FR"), ("'age'", "data row 2 ", "1 more such row")),
    Bad("beyond range", swap("45,FR", "1e999,FR"), ("'age'", "data row 2 ", "'1e999'", "finite")),
    Bad("beyond 32 bits", swap("45,FR", "1e60,FR"), ("'age'", "data row 2 ", "'1e60'", "32-bit")),
    Bad("the word inf", swap("45,FR", "inf,FR"), ("'age'", "data row 2 ", "'inf'")),
    Bad("the word nan", swap("45,FR", "nan,FR"), ("'age'", "data row 2 ", "'nan'")),
    Bad("underscore", swap("45,FR", "4_5,FR"), ("'age'", "data row 2 ", "'4_5'")),
    Bad("decimal comma", swap("45,FR", '"4,5",FR'), ("'age'", "data row 2 ", "'4,5'")),
    Bad("hexadecimal", swap("45,FR", "0x2d,FR"), ("'age'", "data row 2 ", "'0x2d'")),
    Bad("other digits", swap("45,FR", "٤٥,FR"), ("'age'", "data row 2 ", "number")),
    Bad("only spaces", swap("45,FR", "  ,FR"), ("'age'", "data row 2 ", "number")),
    Bad("missing, no fill", swap("45,FR", ",FR"), ("'age'", "data row 2 ", "missing", "fill")),
    Bad("marked missing", swap("45,FR", "?,FR"), ("'age'", "data row 2 ", "missing"), {"missing_values": ("?",)}),
    Bad("missing category", swap("60,FR", "60,"), ("'country'", "data row 3 ", "missing", "fill")),
    Bad("unseen category", swap("60,FR", "60,XX"), ("'country'", "data row 3 ", "'XX'", "'DE', 'FR', 'NA'")),
    Bad("category in spaces", swap("60,FR", "60, FR"), ("'country'", "data row 3 ", "did you mean 'FR'")),
    Bad("unknown label", swap("F,no", "F,maybe"), ("'y'", "data row 3 ", "'maybe'", "'no', 'yes'")),
    Bad("no label", swap("F,no", "F,"), ("'y'", "data row 3 ", "label is missing")),
    Bad("blank label", swap("F,no", "F,  "), ("'y'", "data row 3 ", "label is missing")),
    Bad("one class", swap("yes", "no"), ("'y'", "one class only", "'no'")),
    Bad("text as target", GOOD, ("'y'", "data row 1 ", "number"), {"task": "regression", "classes": ()}),
    Bad("missing target", swap("F,no", "F,"), ("'y'", "data row 3 ", "missing"), {"task": "regression", "classes": ()}),
]
STRUCTURE = [
    Bad("twice named", swap("income", "age"), ("'age'", "twice")),
    Bad("missing column", swap("income", "incoem"), ("'income'", "'incoem'", "columns")),
    Bad("missing target column", swap("sex,y", "sex,yy"), ("'y'", "data.target")),
    Bad("missing sensitive", swap("sex,y", "gender,y"), ("'sex'", "data.sensitive")),
    Bad("semicolons", swap(",", ";"), ("semicolons", "commas")),
    Bad("tabs", swap(",", "\t"), ("tabs", "commas")),
    Bad("bars", swap(",", "|"), ("vertical bars", "commas")),
    Bad("short row", swap("60,FR,300,F,no", "60,FR,300,F"), ("data row 3 ", "4 cells", "5 columns")),
    Bad("long row", swap("60,FR,300,F,no", "60,FR,3,00,F,no"), ("data row 3 ", "6 cells", "5 columns")),
    Bad("ragged after blank", swap("60,FR,300,F,no", "\n60,FR,300"), ("data row 3 ", "3 cells")),
    Bad("all rows longer", GOOD.replace("\n", ",\n").replace("y,\n", "y\n"), ("data row 1 ", "3 more such rows")),
    Bad("open quote", swap("60,FR", '60,"FR'), ("data row 3 ", "quote")),
    Bad("open quote at the end", swap("M,yes\n", 'M,"yes'), ("data row 4 ", "quote")),
    Bad("swallowed rows", swap("45,FR", '45,"FR').replace("22,DE", '22,D"E'), ("data row 2 ", "quote")),
    Bad("quote inside a cell", swap("60,FR", '60,F"R'), ("data row 3 ", "quote")),
    Bad("text after a quote", swap("60,FR", '60,"F"R'), ("data row 3 ", "quote")),
    Bad("open quote in header", swap("age", '"age').replace("\n", " "), ("header", "quote")),
    Bad("broken quote in header", swap("age", '"a"ge'), ("header", "quote")),
    Bad("Latin-1", swap("60,FR", "60,Fé").encode("latin-1"), ("data row 3 ", "byte 63", "0xe9", "UTF-8")),
    Bad("Latin-1 header", swap("country", "coúntry").encode("latin-1"), ("header", "UTF-8")),
    Bad("UTF-16", GOOD.encode("utf-16"), ("UTF-16", "UTF-8")),
    Bad("zero byte", swap("60,FR", "60,F\0R"), ("data row 3 ", "zero byte")),
    Bad("empty", "", ("empty",)),
    Bad("header only", "age,country,income,sex,y\n", ("no rows",)),
    Bad("header without end", "age,country,income,sex,y", ("no rows",)),
    Bad("blank lines only", "age,country,income,sex,y\n\n\n", ("no rows",)),
    Bad("blank first line", "\n" + GOOD, ("first line is empty",)),
    Bad("gzip", b"\x1f\x8b\x08" + bytes(50), ("gzip",)),
    Bad("bzip2", b"BZh9" + bytes(50), ("bzip2",)),
    Bad("zstd", b"\x28\xb5\x2f\xfd" + bytes(50), ("zstd",)),
    Bad("workbook", b"PK\x03\x04" + bytes(50), ("zip archive or an Excel workbook",)),
    Bad("pickle", b"\x80\x04\x95" + bytes(50), ("pickle",)),
    Bad("array file", b"\x93NUMPY" + bytes(50), ("NumPy array",)),
    Bad("torn Parquet", b"PAR1" + bytes(50) + b"PAR1", ("Parquet",)),
    Bad("torn Feather", b"ARROW1\0\0" + bytes(50), ("Feather",)),
]
GROUPS = [
    Bad("numeric group", NUMBERS, ("'sex'", "60 values", "data.bands")),
    Bad("many levels", WORDS, ("'sex'", "60 levels", "50")),
    Bad("one level", swap(",M,", ",F,"), ("'sex'", "'F'", "nothing to compare")),
    Bad("no known level", swap(",M,", ",,").replace(",F,", ",,"), ("'sex'", "no value is known")),
    Bad("one band", GOOD, ("'age'", "nothing to compare"), {"sensitive": ("age",), "bands": {"age": (90.0,)}}),
    Bad("band of text", GOOD, ("'sex'", "data row 1 ", "number"), {"bands": {"sex": (1.0, 2.0)}}),
]
CARDS = [
    Bad("bands descend", GOOD, ("'sex'", "[50, 30]", "ascending"), {"bands": {"sex": (50.0, 30.0)}}),
    Bad("bands empty", GOOD, ("'sex'", "ascending"), {"bands": {"sex": ()}}),
    Bad("bands misspelt", GOOD, ("'sexx'", "did you mean 'sex'"), {"bands": {"sexx": (1.0,)}}),
    Bad("target is an input", GOOD, ("'age'", "data.target"), {"target": "age"}),
    Bad("target is sensitive", GOOD, ("'y'", "data.sensitive"), {"sensitive": ("y",)}),
    Bad("three classes", GOOD, ("binary", "exactly two"), {"classes": ("no", "yes", "maybe")}),
    Bad("no classes", GOOD, ("binary", "exactly two"), {"classes": ()}),
    Bad("class twice", GOOD, ("'no'", "twice"), {"classes": ("no", "no")}),
    Bad("no columns", GOOD, ("no columns",), {"columns": ()}),
    Bad("column twice", GOOD, ("'age'", "twice"), {"columns": (Column("age", "number"), Column("age", "number"))}),
    Bad("scale 0", GOOD, ("'age'", "scale 0"), {"columns": (Column("age", "number", scale=0),)}),
    Bad("fill is text", GOOD, ("'age'", "'x'"), {"columns": (Column("age", "number", fill="x"),)}),
    Bad("no categories", GOOD, ("'country'", "categories"), {"columns": (Column("country", "category"),)}),
]
FILES = [*CELLS, *STRUCTURE, *GROUPS]


def named(case: Bad) -> str:
    return case.name


def message(path: Path, card: Card) -> str:
    with pytest.raises(InputError) as caught:
        load(path, card)
    return str(caught.value)


@pytest.mark.parametrize("case", FILES, ids=named)
def test_a_bad_file_is_named_with_its_place(case: Bad, save: Callable[..., Path], recard: Callable[..., Card]) -> None:
    said = message(save(case.content), recard(**case.card))
    assert "people.csv" in said
    assert_one_plain_line(said, case.says)


@pytest.mark.parametrize("case", CARDS, ids=named)
def test_a_bad_card_is_named_with_its_key(case: Bad, save: Callable[..., Path], recard: Callable[..., Card]) -> None:
    said = message(save(case.content), recard(**case.card))
    assert "card" in said
    assert_one_plain_line(said, case.says)


def assert_one_plain_line(said: str, words: tuple[str, ...]) -> None:
    assert len(said.splitlines()) == 1
    assert len(said) <= 600
    assert [word for word in words if word not in said] == []
    mine = said.rsplit("people.csv", maxsplit=1)[-1].lower()
    assert [word for word in LIBRARY if word in mine] == []
    assert not [sign for sign in said if unicodedata.category(sign) in {"Cc", "Cf"}]


def test_the_good_file_is_good(save: Callable[..., Path], card: Card) -> None:
    assert load(save(GOOD), card).rows == 4


def test_names_that_steer_a_terminal_never_reach_the_message_raw(save: Callable[..., Path], card: Card) -> None:
    evil = "\x1b]0;owned\x07\u202egnp"
    said = message(save(swap("income", evil)), card)
    assert_one_plain_line(said, ("'income'",))
    column = Column(evil, "number")
    assert_one_plain_line(
        message(save(swap("age", evil).replace("45,", "\x1b[31m,")), replace(card, columns=(column,))), ("data row 2 ",)
    )


def test_raw_refuses_what_load_refuses(save: Callable[..., Path]) -> None:
    for case in STRUCTURE:
        if case.name in {"missing column", "missing target column", "missing sensitive"}:
            continue
        with pytest.raises(InputError):
            raw(save(case.content))


def test_missing_file_and_folder_are_named(tmp_path: Path, card: Card) -> None:
    assert "no such file" in message(tmp_path / "none.csv", card)
    assert "not an ordinary file" in message(tmp_path, card)


def problem(path: Path, card: Card) -> str | None:
    try:
        load(path, card)
    except InputError as error:
        return str(error)
    return None


def test_any_one_byte_of_a_csv_may_be_wrong_without_a_stray_exception(save: Callable[..., Path], card: Card) -> None:
    content = GOOD.encode()
    for at in range(len(content)):
        for byte in (0, 10, 13, 34, 44, 255):
            damaged = content[:at] + bytes([byte]) + content[at + 1 :]
            said = problem(save(damaged), card)
            assert said is None or len(said.splitlines()) == 1
