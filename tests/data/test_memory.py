"""Images, sequences and texts from memory are taken as they are, copied, and refused in one line."""

from typing import Any

import numpy as np
import pytest
import torch

from rai.data import kind_of, labelled, unlabelled
from rai.errors import InputError
from rai.subject import Kind, Vocabulary

RNG = np.random.default_rng(3)
IMAGES = RNG.random((6, 3, 8, 8))
SEQUENCES = RNG.normal(size=(6, 5, 2))
TEXTS = RNG.integers(1, 9, (6, 4))


@pytest.mark.parametrize(
    ("rows", "said", "kind"),
    [
        (IMAGES, None, "image"),
        (SEQUENCES, None, "sequence"),
        (TEXTS, None, "table"),
        (TEXTS, "text", "text"),
        (torch.tensor(IMAGES), None, "image"),
        ([[1, 2]], None, "table"),
    ],
)
def test_the_kind_shows_in_the_shape_but_for_texts(rows: Any, said: Kind | None, kind: Kind) -> None:
    assert kind_of(rows, said) == kind
    assert unlabelled(rows, kind=said).kind == kind


@pytest.mark.parametrize(("rows", "kind"), [(IMAGES, None), (SEQUENCES, None), (TEXTS, "text")])
@pytest.mark.parametrize("take", [np.array, torch.tensor])
def test_what_was_handed_in_is_copied(rows: np.ndarray, kind: Kind | None, take: Any) -> None:
    given = take(rows)
    data = unlabelled(given, kind=kind)
    np.testing.assert_array_equal(data.inputs, rows.astype(data.inputs.dtype))
    data.inputs[:] = 0
    np.testing.assert_array_equal(np.asarray(given), rows)


def test_labels_groups_and_classes_are_read_as_those_of_a_table() -> None:
    table = labelled(unlabelled(IMAGES), ["b", "a"] * 3, sensitive_features={"sex": ["f", "f", "m"] * 2})
    assert (table.classes, table.task) == (("a", "b"), "binary")
    np.testing.assert_array_equal(table.data.labels, [1, 0] * 3)
    assert table.data.groups["sex"].counts.tolist() == [4, 2]
    again = labelled(unlabelled(IMAGES[:2], like=table.data), ["a", "a"], like=table)
    np.testing.assert_array_equal(again.data.labels, [0, 0])
    with pytest.raises(InputError, match="X has 6 rows, y has 5 rows"):
        labelled(unlabelled(IMAGES), [0, 1, 0, 1, 0])


def test_a_vocabulary_names_tokens_or_numbers_do() -> None:
    plain = unlabelled(TEXTS, kind="text").vocabulary
    named = unlabelled(TEXTS, kind="text", vocabulary=["pad", *"abcdefgh"]).vocabulary
    own = Vocabulary(tuple("abcdefghij"), pad=9, mask=8)
    assert plain is not None
    assert named is not None
    assert plain.names == tuple(f"token {place}" for place in range(TEXTS.max() + 1))
    assert (named.names[1], named.pad) == ("a", 0)
    assert unlabelled(TEXTS, kind="text", vocabulary=own).vocabulary == own
    like = unlabelled(TEXTS, kind="text", vocabulary=own)
    assert unlabelled(TEXTS[:, :2], like=like).vocabulary == own


def hole(place: tuple[int, ...]) -> np.ndarray:
    made = SEQUENCES.copy()
    made[place] = np.nan
    return made


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (hole((4, 2, 1)), {}, r"X: row 5, step 3, feature 'feature 2' \(the first is 1\): the value is missing"),
        (np.where(IMAGES > 2, 0, np.nan), {}, r"row 1 \(the first is 1\) holds NaN or infinity"),
        (IMAGES[0], {"kind": "image"}, "has shape 3 × 8 × 8; expected numbers of shape rows × channels"),
        (IMAGES.astype(str), {}, "holds values of kind"),
        (IMAGES[:0], {}, "holds no rows"),
        (TEXTS - 1.5, {"kind": "text"}, "holds values of kind float64; expected whole numbers"),
        (TEXTS - 5, {"kind": "text"}, "holds the token number -4; expected numbers from 0"),
        (np.where(TEXTS > 0, 0, 1), {"kind": "text"}, r"row 1 .* holds nothing but padding \(token 0\)"),
        (TEXTS, {"kind": "text", "vocabulary": ["a", "b"]}, "the data holds the token number 8; expected 0 to 1"),
        (TEXTS, {"kind": "text", "vocabulary": Vocabulary(tuple("abcdefghij"), mask=10)}, "names the token number 10"),
        (TEXTS * 10**7, {"kind": "text"}, "has [0-9,]+ tokens; expected at most 1,000,000"),
        (
            SEQUENCES[:, :3],
            {"like": unlabelled(SEQUENCES, name="the test")},
            "each row has shape 3 × 2; expected 5 × 2",
        ),
        (np.broadcast_to(np.float32(0), (100, 3, 2000, 2000)), {}, "each row is 12,000,000 numbers"),
    ],
)
def test_what_no_model_could_take_is_refused(rows: np.ndarray, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        unlabelled(rows, **options)


def test_nan_after_the_end_is_no_hole() -> None:
    rows = SEQUENCES.copy()
    rows[2, 3:] = np.nan
    np.testing.assert_array_equal(unlabelled(rows).features[2, 6:], 0)
