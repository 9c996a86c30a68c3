import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from torch import nn

from rai.card import Card, Column, Head
from rai.errors import InputError
from rai.models import from_object

BINARY = Card(task="binary", classes=("no", "yes"))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layer(rows) + 0.1 * torch.randn(len(rows), 1)


class OverBatch(nn.Module):
    """The old slip: softmax over the rows instead of the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(rows), dim=0)


class Answers(nn.Module):
    """Answers with whatever it was given to answer with."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, rows: torch.Tensor):
        return self.answer(rows)


def labelled(rows: np.ndarray) -> np.ndarray:
    return np.where(rows[:, 0] + 0.1 * rows[:, 1] > 0, "yes", "no")


def fingerprint(module: nn.Module) -> bytes:
    return pickle.dumps([(name, each.numpy().tobytes()) for name, each in module.state_dict().items()])


def test_a_module_in_training_mode_is_audited_in_evaluation_mode_and_left_as_it_was(rows, kit) -> None:
    module = kit.make(norm="batch", dropout=0.5).train()
    module[3].eval()
    modes, before = [each.training for each in module.modules()], fingerprint(module)
    loaded = from_object(module, BINARY, rows)
    scores = loaded.model.scores(rows)
    assert fingerprint(module) == before
    assert [each.training for each in module.modules()] == modes
    assert np.allclose(scores, kit.answer(copy.deepcopy(module), rows), atol=1e-6)
    assert any("training mode" in note for note in loaded.notes)
    assert loaded.model.trust == "in memory"
    assert not any("training mode" in note for note in from_object(module.eval(), BINARY, rows).notes)


def test_a_half_precision_module_stays_half_in_the_callers_hands(rows, kit) -> None:
    module = kit.make().to(torch.bfloat16)
    loaded = from_object(module, BINARY, rows)
    assert module[0].weight.dtype == torch.bfloat16
    assert np.allclose(loaded.model.scores(rows), kit.answer(copy.deepcopy(module).float(), rows), atol=1e-5)


def test_a_double_precision_module_is_asked_with_doubles(rows, kit) -> None:
    module = kit.make().double()
    expected = kit.answer(module, rows.astype(np.float64))
    assert np.allclose(from_object(module, BINARY, rows).model.scores(rows), expected, atol=1e-5)


def test_a_model_that_is_random_when_it_predicts_is_refused(rows) -> None:
    with pytest.raises(InputError, match=r"two passes over the same rows differ by 0\.\d+: the model is random"):
        from_object(Noisy(), BINARY, rows)


def test_an_answer_that_depends_on_the_rows_beside_it_is_noted(rows) -> None:
    card = Card(task="binary", classes=("no", "yes"), head=Head.LOGITS)
    assert any("depends on the rows beside it" in note for note in from_object(OverBatch(), card, rows).notes)


def test_a_sound_model_gets_the_batch_note_with_a_number(rows, kit) -> None:
    notes = from_object(kit.make(), BINARY, rows).notes
    assert any(note.startswith("asked one row at a time or 32 together, outputs differ by at most") for note in notes)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x[:, :1] * float("nan"), "answers 100 of 100 rows with NaN or infinity"),
        (lambda x: x[:-1, :1], "with an array of shape 99 × 1; expected shape 100 × outputs"),
        (lambda x: x.sum(), "with an array of shape a single number"),
        (lambda x: x[:, :, None], "with an array of shape 100 × 5 × 1"),
        (lambda x: (x, x), "answers with a tuple; expected one tensor"),
        (lambda x: {"out": x}, "answers with a dict"),
        (lambda x: torch.complex(x, x), "complex numbers"),
        (lambda x: x @ torch.ones(6, 1), "the model failed on 100 × 5 numbers (RuntimeError)"),
    ],
)
def test_what_is_wrong_with_the_answers_is_said_in_one_line(answer, said, rows, one_line) -> None:
    with pytest.raises(InputError) as caught:
        from_object(Answers(answer), BINARY, rows)
    assert said in str(caught.value)
    one_line(str(caught.value))


def test_a_wrong_width_names_both_numbers_and_the_columns(rows, kit) -> None:
    columns = tuple(Column(f"x{i}", "number") for i in range(4))
    card = Card(task="binary", classes=("no", "yes"), columns=columns)
    with pytest.raises(InputError, match="takes 7 inputs, and the 4 columns of the card become 5"):
        from_object(kit.make(inputs=7), card, rows)


def test_weights_that_are_not_finite_are_named(rows, kit) -> None:
    module = kit.make()
    with torch.no_grad():
        module[2].bias[0] = torch.inf
    with pytest.raises(InputError, match=r"tensor '2\.bias' holds NaN or infinity"):
        from_object(module, BINARY, rows)


def test_no_rows_and_no_model_are_refused(rows, kit) -> None:
    with pytest.raises(InputError, match="no rows to try"):
        from_object(kit.make(), BINARY, rows[:0])
    for thing in ("model.pt", 3, None, LogisticRegression):
        with pytest.raises(InputError, match=r"expected a torch\.nn\.Module, an estimator"):
            from_object(thing, BINARY, rows)


@pytest.mark.parametrize("classes", [("no", "yes"), ("yes", "no")])
@pytest.mark.parametrize("frame", [False, True])
def test_an_estimators_columns_come_in_the_order_of_the_card(classes, frame, rows) -> None:
    given = pd.DataFrame(rows, columns=list("abcde")) if frame else rows
    forest = RandomForestClassifier(10, random_state=0).fit(given, labelled(rows))
    before = pickle.dumps(forest)
    loaded = from_object(forest, Card(task="binary", classes=classes), given)
    expected = forest.predict_proba(given)[:, [list(forest.classes_).index(each) for each in classes]]
    assert np.array_equal(loaded.model.scores(given), expected)
    assert loaded.model.head is Head.PROBABILITIES
    assert pickle.dumps(forest) == before
    with pytest.raises(InputError, match="only its answers can be seen"):
        loaded.model.inside(lambda module, x: 0, given)


def test_an_estimator_with_numbered_classes_is_read_in_order_with_a_note(rows) -> None:
    model = LogisticRegression().fit(rows, (labelled(rows) == "yes").astype(int))
    loaded = from_object(model, BINARY, rows)
    assert np.allclose(loaded.model.scores(rows), model.predict_proba(rows))
    assert any("numbers its classes from 0" in note for note in loaded.notes)
    numbered = from_object(model, Card(task="binary", classes=("1", "0")), rows)
    assert np.allclose(numbered.model.scores(rows), model.predict_proba(rows)[:, ::-1])


def test_an_estimator_of_other_classes_is_refused(rows) -> None:
    model = LogisticRegression().fit(rows, labelled(rows))
    with pytest.raises(InputError, match="tells apart 'no', 'yes'; expected the classes 'good', 'bad'"):
        from_object(model, Card(task="binary", classes=("good", "bad")), rows)


def test_an_estimator_without_probabilities_decides_with_a_note(rows) -> None:
    model = LinearSVC().fit(rows, labelled(rows))
    loaded = from_object(model, BINARY, rows)
    assert np.array_equal(loaded.model.scores(rows)[:, 1] == 1, model.predict(rows) == "yes")
    assert any("gives no probabilities" in note for note in loaded.notes)


def test_a_regressor_predicts_values(rows) -> None:
    model = LinearRegression().fit(rows, rows @ np.arange(5))
    loaded = from_object(model, Card(task="regression"), rows)
    assert np.allclose(loaded.model.scores(rows)[:, 0], model.predict(rows))
    assert loaded.model.head is Head.VALUE


def test_an_estimator_of_another_width_is_named(rows) -> None:
    model = LogisticRegression().fit(rows[:, :3], labelled(rows))
    with pytest.raises(InputError, match="takes 3 inputs, and the data has 5"):
        from_object(model, BINARY, rows)


def test_a_function_is_a_model_and_cannot_change_the_rows(rows) -> None:
    def answer(x):
        out = x[:, 0] * 3
        x[:] = 0
        return out

    before = rows.copy()
    loaded = from_object(answer, BINARY, rows)
    assert np.array_equal(rows, before)
    assert np.array_equal(loaded.model.scores(rows)[:, 0], before[:, 0] * 3)
    assert loaded.model.head is Head.LOGIT
    weight = torch.ones(5, 1, requires_grad=True)
    tensors = from_object(lambda x: torch.from_numpy(x) @ weight, BINARY, rows)
    assert np.allclose(tensors.model.scores(rows)[:, 0], rows.sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    "function", [lambda x: ["a"] * len(x), lambda x: 1 / 0, lambda x: None, lambda x: np.ones((len(x), 0))]
)
def test_a_function_that_fails_is_one_line(function, rows, one_line) -> None:
    with pytest.raises(InputError) as caught:
        from_object(function, BINARY, rows)
    one_line(str(caught.value))
