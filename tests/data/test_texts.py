"""Texts become the token numbers that the vocabulary gives, and nothing in a vocabulary can hang or crash."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.card import Card, Files, TextInput
from rai.data import load
from rai.data.tokens import _words
from rai.errors import InputError

NAMES = ("[PAD]", "[UNK]", "[MASK]", "the", "boss", "isn't", "good", "7", "straße")
CSV = 'text,y,sex\n"The BOSS, isn\'t good!",no,f\ngood_good Straße 7 ünder,yes,m\n!!!,yes,f\n'


@pytest.fixture
def words(tmp_path: Path) -> Callable[..., Card]:
    """Write a vocabulary, and return the card that names it."""

    def make(content: str | bytes = "\n".join(NAMES) + "\n", **changes: Any) -> Card:
        path = tmp_path / "words.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        given = TextInput("text", vocabulary=str(path), length=5)
        files = Files(target="y", sensitive=("sex",))
        return Card(task="binary", classes=("no", "yes"), data=files, input=replace(given, **changes))

    return make


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "texts.csv").write_text(CSV)
    return tmp_path / "texts.csv"


def test_words_become_their_lines_in_the_list(words: Callable[..., Card], table: Path) -> None:
    data = load(table, words())
    assert (data.kind, data.inputs.dtype) == ("text", np.int64)
    assert data.inputs.tolist() == [[3, 4, 5, 6, 0], [6, 6, 8, 7, 1], [1, 0, 0, 0, 0]]
    assert data.vocabulary is not None
    assert (data.vocabulary.names, data.vocabulary.pad, data.vocabulary.mask) == (NAMES, 0, 2)
    assert [player.name for player in data.players] == ["token 1", "token 2", "token 3", "token 4", "token 5"]
    np.testing.assert_array_equal(data.labels, [0, 1, 1])


def loop_words(text: str) -> list[str]:
    """The slow twin: one character after the other."""
    found, word = [], ""
    for each in [*text.lower(), " "]:
        if each.isalnum() or each == "'":
            word += each
        elif word:
            found.append(word)
            word = ""
    return found


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(categories=["L", "Nd", "P", "Z", "Sm"]), max_size=40))
def test_words_are_cut_as_a_slow_loop_cuts_them(text: str) -> None:
    assert list(_words(text, TextInput("text", vocabulary="words.txt"))) == loop_words(text)


def test_length_cuts_and_case_counts_where_the_card_says_so(words: Callable[..., Card], table: Path) -> None:
    assert load(table, words(length=2)).inputs.tolist() == [[3, 4], [6, 6], [1, 0]]
    assert load(table, words(lowercase=False)).inputs[0].tolist() == [1, 1, 5, 6, 0]


def test_features_count_the_commonest_tokens_without_padding(words: Callable[..., Card], table: Path) -> None:
    data = load(table, words())
    counted = {tuple(column) for column in data.features.T.astype(int).tolist()}
    assert (1, 2, 0) in counted  # good
    assert (0, 1, 1) in counted  # unknown
    assert data.features.sum() == (data.inputs != 0).sum()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "\n".join(NAMES[1:]),
            r"holds no token '\[PAD\]', which the card names as input.pad; add it, or set input.pad",
        ),
        ("[PAD]\n[UNK]\nboss\n", r"holds no token '\[MASK\]'"),
        ("[PAD]\n[UNK]\n[MASK]\na\nb\na\n", "token 'a' stands twice, first in line 4"),
        ("[PAD]\n[UNK]\n\n[MASK]\n", "line 3 is empty"),
        (b"[PAD]\n\xff\xfe", "is not UTF-8 text"),
        ("", "the file is empty"),
        ('{"model": ', "is not valid JSON"),
        ('{"a": 1}', "holds no tokenizer"),
        ('{"model": {"type": "WordLevel"}}', "cannot be read as a tokenizer"),
    ],
)
def test_a_faulty_vocabulary_is_one_line(words: Callable[..., Card], table: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"words.txt: {said}"):
        load(table, words(content))


def test_a_huge_vocabulary_is_refused_before_it_is_read(
    words: Callable[..., Card], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rai.data.limits.MOST_TOKENS", 8)
    with pytest.raises(InputError, match="has 9 tokens; expected at most 8"):
        load(table, words())
    monkeypatch.setattr("rai.data.limits.LARGEST_VOCABULARY", 10)
    with pytest.raises(InputError, match="larger than 64 MiB"):
        load(table, words())


def test_a_missing_text_names_its_row(words: Callable[..., Card], tmp_path: Path) -> None:
    (tmp_path / "gap.csv").write_text("text,y,sex\ngood,no,f\n,yes,m\n")
    with pytest.raises(InputError, match=r"column 'text', data row 2 \(the first is 1\): the text is missing"):
        load(tmp_path / "gap.csv", words())


def tokenizer(pattern: str | None = None, **vocabulary: int) -> str:
    """A Hugging Face tokenizer that marks begin and end, as its own library writes it."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    names = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "good": 5, "bad": 6, **vocabulary}
    made = Tokenizer(models.WordLevel(names, unk_token="<unk>"))  # noqa: S106 - no password
    made.normalizer = normalizers.Lowercase()
    split = pre_tokenizers.Split(Regex(pattern), "isolated") if pattern else pre_tokenizers.Whitespace()
    made.pre_tokenizer = split
    made.add_special_tokens(["<pad>", "<s>", "</s>", "<unk>", "<mask>"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    made.enable_padding(length=9)
    return str(made.to_str(pretty=True))


def test_a_hugging_face_tokenizer_is_followed_with_its_marks(words: Callable[..., Card], table: Path) -> None:
    data = load(table, words(tokenizer()))
    assert data.inputs.tolist()[1] == [1, 3, 3, 3, 2]  # good_good is one word here, and the end mark survives the cut
    assert data.vocabulary is not None
    assert data.vocabulary.names[:7] == ("<pad>", "<s>", "</s>", "<unk>", "<mask>", "good", "bad")
    assert (data.vocabulary.pad, data.vocabulary.mask, data.vocabulary.special) == (0, 4, (0, 1, 2))


@pytest.mark.parametrize("pattern", ["(a+)+$", r"(?:a|aa){2,}b", r"(a)\1"])
def test_patterns_that_could_hang_are_refused(words: Callable[..., Card], table: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="which could take very long on some texts"):
        load(table, words(tokenizer(pattern)))


def test_the_patterns_of_well_known_tokenizers_are_taken(words: Callable[..., Card], table: Path) -> None:
    words_of = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    llama = words_of + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    assert load(table, words(tokenizer(llama))).rows == 3


def test_a_token_number_beyond_reason_is_refused(words: Callable[..., Card], table: Path) -> None:
    content = json.loads(tokenizer(far=7))
    content["model"]["vocab"]["far"] = 4_000_000_000
    with pytest.raises(InputError, match="has 4,000,000,001 tokens; expected at most 1,000,000"):
        load(table, words(json.dumps(content)))
