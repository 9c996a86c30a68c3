"""What is wrong is said in one line, before anything is trained; odd but right data is learned from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rai import train
from rai.errors import InputError
from rai.networks import mlp
from rai.subject import Data
from rai.train.batches import rows_of
from rai.train.settings import Fit

X = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
ONE = mlp.mlp(inputs=3, outputs=1, hidden=())


def changed(place, value):
    new = X.copy()
    new[place] = value
    return new


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.own = torch.nn.Linear(3, 1)

    def forward(self, inputs):
        return self.own(inputs), 1


def data(**more):
    return Data(**{"kind": "table", "inputs": X, "features": X, "labels": Y, "groups": {}, "players": (), **more})


WRONG = {
    "row 8 .*NaN": (ONE, (changed(7, np.nan), Y)),
    "row 3 .*infinity": (ONE, (changed((2, 1), np.inf), Y)),
    "one label a row": (ONE, (X, Y[:-1])),
    "values of kind <U1": (ONE, (X, np.full(40, "a"))),
    "labels hold NaN": (ONE, (X, np.full(40, np.nan))),
    "no labels": (ONE, data(labels=None)),
    "holds no rows": (ONE, (X[:0], Y[:0])),
    "all labels are 0.0 or 1.0": (ONE, (X, Y.astype(float))),
    "the labels ask for 3": (ONE, (X, Y + (X[:, 1] > 0))),
    "the labels ask for 2": (mlp.mlp(inputs=3, outputs=4), (X, X[:, :2])),
    "not class positions": (mlp.mlp(inputs=3, outputs=4), (X, Y - 1)),
    "cannot take rows of shape 3": (mlp.mlp(inputs=5, outputs=1), (X, Y)),
    "answers 4 rows with a tuple": (Pair(), (X, Y)),
    "is a str": ("mlp", (X, Y)),
    "is a dict": (ONE, {"X": X}),
    "needs a checkpoint": (ONE, (X, Y), {"resume": True}),
    "task is 'binary'": (ONE, (X, Y * 2), {"task": "binary"}),
    "no parameter is left to learn": (ONE, (X, Y), {"settings": Fit(freeze=("0",))}),
    "no parameter begins with 'body'.*among 0": (ONE, (X, Y), {"settings": Fit(freeze=("body",))}),
    "needs rows held back": (ONE, (X, Y), {"settings": Fit(early_stopping=2, validation=0.0)}),
    "class_weight: is given for regression": (ONE, (X, X[:, 0]), {"settings": Fit(class_weight="balanced")}),
    "there is no device 'abacus'": (ONE, (X, Y), {"settings": Fit(device="abacus")}),
    "mixed_precision: is on, and device is 'cpu'": (ONE, (X, Y), {"settings": Fit(mixed_precision=True)}),
    "fit.augment": (ONE, (X, Y), {"settings": Fit(augment=("flip",))}),
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_named(line):
    network, rows, *more = WRONG[line]
    with pytest.raises(InputError, match=line):
        train.fit(network, rows, **(more[0] if more else {}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 2.5),
        ("learning_rate", -1.0),
        ("momentum", 1.0),
        ("validation", 1.0),
        ("warmup", -1),
        ("optimizer", "lion"),
        ("max_grad_norm", 0.0),
        ("early_stopping", 0),
        ("gamma", float("nan")),
        ("freeze", "body"),
        ("augment", ["flip"]),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(key, value):
    with pytest.raises(InputError, match=f"fit.{key}: is .*expected"):
        train.fit(ONE, (X, Y), settings=replace(Fit(), **{key: value}))


def test_a_loss_that_is_no_number_stops_the_run_with_advice():
    settings = Fit(optimizer="sgd", learning_rate=1e6, epochs=50)
    network = mlp.mlp(inputs=3, outputs=1, hidden=(8,))
    with pytest.raises(InputError, match=r"no number any more in epoch 2, learning rate 1e\+06.*smaller"):
        train.fit(network, (X, X[:, 0]), settings=settings)


def test_a_last_batch_of_one_row_does_not_break_batch_norm():
    network = mlp.mlp(inputs=3, outputs=1, hidden=(4,), norm="batch")
    settings = Fit(epochs=2, batch_size=13, validation=0.0)
    assert train.fit(network, (X, Y), settings=settings).ledger.epochs[-1].number == 2  # 13 + 13 + 14 rows


def test_rows_handed_in_for_validation_are_not_learned_from():
    known = Fit(epochs=2, validation=0.3)
    one, other = (train.fit(ONE, (X, Y), validation=(X + shift, Y), settings=known) for shift in (0, 5))
    assert one.ledger.split == {"train": 40, "validation": 40}
    assert torch.equal(one.model[0].weight, other.model[0].weight)
    assert one.ledger.epochs[0].validation_loss != other.ledger.epochs[0].validation_loss


def test_training_beside_the_main_thread_works():
    from threading import Thread

    found = []
    thread = Thread(target=lambda: found.append(train.fit(ONE, (X, Y)).model[0].weight))
    thread.start()
    thread.join()
    assert torch.equal(found[0], train.fit(ONE, (X, Y)).model[0].weight)


def test_the_fingerprint_is_the_datas_own_whatever_network_reads_it():
    networks = [ONE, mlp.mlp(inputs=3, outputs=2), mlp.mlp(inputs=3, outputs=1).double()]
    marks = {train.fit(each, (X, Y), settings=Fit(epochs=1)).ledger.data.sha256 for each in networks}
    assert marks == {rows_of(data()).fingerprint.sha256}


def test_a_network_in_double_precision_is_handed_such_numbers():
    found = train.fit(mlp.mlp(inputs=3, outputs=1).double(), (X, Y)).model
    assert found[0].weight.dtype == torch.float64


def test_targets_of_one_column_and_tensors_are_read_as_plain_labels():
    plain, column = (
        train.fit(ONE, rows).model[0].weight for rows in [(X, Y), (torch.tensor(X), torch.tensor(Y)[:, None])]
    )
    assert torch.equal(plain, column)


def test_an_own_loss_takes_the_place_of_the_usual_one():
    def absolute(outputs, targets):
        return (outputs[:, 0] - targets).abs()

    y = np.where(np.arange(40) < 4, 100.0, X[:, 0]).astype(np.float32)
    settings = Fit(epochs=300, learning_rate=0.02, validation=0.0, schedule="cosine")
    found = train.fit(ONE, (X, y), settings=settings, loss=absolute).model[0]
    np.testing.assert_allclose(found.weight[0].detach(), [1, 0, 0], atol=0.05)  # a median: ten percent do not count
