import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rai.card import Card, Head
from rai.errors import InputError
from rai.models import from_scores
from rai.models.heads import choose
from rai.subject import probabilities

TWO, THREE = ("no", "yes"), ("a", "b", "c")
INSIDE = np.array([[0.2], [0.9], [0.5]])
OUTSIDE = np.array([[-2.0], [0.9], [3.0]])
CHANCES = np.array([[0.2, 0.8], [1.0, 0.0]])
LOGITS = np.array([[0.2, 0.9], [-1.0, 0.5]])
HALVES = np.array([[0.2, 0.9], [0.1, 0.5]])


def binary(**fields) -> Card:
    return Card(**({"task": "binary", "classes": TWO} | fields))


@pytest.mark.parametrize(
    ("outputs", "ending", "head", "doubt"),
    [
        (OUTSIDE, None, Head.LOGIT, False),
        (OUTSIDE, "linear", Head.LOGIT, False),
        (OUTSIDE, "other", Head.LOGIT, False),
        (INSIDE, "sigmoid", Head.PROBABILITY, False),
        (INSIDE, "linear", Head.LOGIT, False),
        (INSIDE, None, Head.PROBABILITY, True),
        (INSIDE, "other", Head.PROBABILITY, True),
        (CHANCES, "softmax", Head.PROBABILITIES, False),
        (CHANCES, None, Head.PROBABILITIES, False),
        (LOGITS, None, Head.LOGITS, False),
        (LOGITS, "linear", Head.LOGITS, False),
        (HALVES, "linear", Head.LOGITS, False),
        (HALVES, None, Head.LOGITS, True),
        (np.log(CHANCES + 1e-9), "log_softmax", Head.LOGITS, False),
    ],
)
def test_the_head_follows_from_outputs_and_ending(outputs, ending, head, doubt) -> None:
    choice = choose(outputs, binary(), ending, "m")
    assert choice.head is head
    assert ("guess" in choice.reason) is doubt


def test_log_softmax_read_as_logits_gives_back_the_probabilities() -> None:
    logs = np.log(np.array([[0.2, 0.8], [0.6, 0.4]]))
    head = choose(logs, binary(), "log_softmax", "m").head
    assert np.allclose(probabilities(head, logs), np.exp(logs))


def test_one_sigmoid_a_class_is_not_taken_for_exclusive_classes() -> None:
    with pytest.raises(InputError, match="one sigmoid for each class"):
        choose(HALVES, binary(), "sigmoid", "m")
    assert choose(HALVES, binary(head=Head.LOGITS), "sigmoid", "m").head is Head.LOGITS


@pytest.mark.parametrize(
    ("outputs", "card", "said"),
    [
        (np.ones((2, 3)), binary(), "gives 3 numbers a row; expected 1 or 2"),
        (INSIDE, Card(task="multiclass", classes=THREE), "gives 1 numbers a row; expected 3"),
        (CHANCES, Card(task="multiclass", classes=THREE), "gives 2 numbers a row; expected 3"),
        (CHANCES, Card(task="regression"), "gives 2 numbers a row; expected 1"),
        (CHANCES, Card(task="multiclass"), "too few classes"),
        (CHANCES, binary(classes=THREE), "lists 3 classes"),
        (OUTSIDE, binary(head=Head.PROBABILITY), "outputs run from -2 to 3; expected numbers from 0 to 1"),
        (LOGITS, binary(head=Head.PROBABILITIES), "not all at least 0 with rows that sum to 1"),
        (HALVES, binary(head=Head.PROBABILITIES), "not all at least 0 with rows that sum to 1"),
        (CHANCES, binary(head=Head.LOGIT), "'logit', and the model gives 2 numbers a row; expected one"),
        (INSIDE, binary(head=Head.LOGITS), "'logits', and the model gives 1 numbers a row; expected 2"),
        (INSIDE, binary(head=Head.VALUE), "task is 'binary'"),
        (INSIDE, Card(task="regression", head=Head.LOGIT), "task is 'regression'"),
        (INSIDE, Card(task="multiclass", classes=THREE, head=Head.LOGIT), "task is 'multiclass'"),
    ],
)
def test_what_does_not_agree_is_refused(outputs, card, said) -> None:
    with pytest.raises(InputError) as caught:
        choose(outputs, card, None, "m")
    assert said in str(caught.value)
    assert str(caught.value).startswith("m: ")


def test_the_card_wins_and_a_doubled_sigmoid_is_mentioned() -> None:
    assert choose(INSIDE, binary(head=Head.LOGIT), None, "m").reason == "the card says so"
    assert "sigmoid, which is then applied twice" in choose(INSIDE, binary(head=Head.LOGIT), "sigmoid", "m").reason
    assert "softmax, which is then applied twice" in choose(CHANCES, binary(head=Head.LOGITS), "softmax", "m").reason
    assert choose(OUTSIDE, Card(task="regression", head=Head.VALUE), None, "m").head is Head.VALUE


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 3)), elements=st.floats(-50, 50)))
def test_whatever_head_is_chosen_gives_probabilities(outputs) -> None:
    card = binary() if outputs.shape[1] < 3 else Card(task="multiclass", classes=THREE)
    head = choose(outputs, card, None, "m").head
    chances = probabilities(head, outputs)
    assert chances.shape == (len(outputs), max(2, outputs.shape[1]))
    assert np.all(chances >= -1e-5)
    assert np.allclose(chances.sum(axis=1), 1, atol=1e-3)


def test_stored_scores_answer_their_own_rows_and_no_others() -> None:
    loaded = from_scores([0.1, 0.7, 0.4], binary())
    assert loaded.model.head is Head.PROBABILITY
    assert loaded.model.trust == "predictions only"
    assert loaded.model.scores(np.zeros((3, 0))).tolist() == [[0.1], [0.7], [0.4]]
    with pytest.raises(InputError, match="no model to ask about 2 rows"):
        loaded.model.scores(np.zeros((2, 0)))
    with pytest.raises(InputError, match="no model behind"):
        loaded.model.inside(lambda module, x: 0, np.zeros((3, 0)))
    assert from_scores([[0.1, 0.9], [0.5, 0.5]], binary()).model.head is Head.PROBABILITIES
    assert from_scores([3.0, 4.5], Card(task="regression")).model.head is Head.VALUE


@pytest.mark.parametrize("scores", [[0.1, np.nan], [], [np.inf, 1.0]])
def test_scores_that_are_no_numbers_are_refused(scores) -> None:
    with pytest.raises(InputError, match="^scores: "):
        from_scores(scores, binary())
