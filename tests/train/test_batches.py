"""Every row is seen once an epoch, and what is held back mirrors the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rai.data import labelled, unlabelled
from rai.errors import InputError
from rai.subject import Data, Groups
from rai.train.batches import rows_of, shuffled, steps_in
from rai.train.splits import split, strata

RNG = np.random.default_rng(8)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_an_epoch_holds_every_row_once_in_batches_of_nearly_one_size(rows, size, seed):
    sampler, steps = shuffled(rows, size, seed), steps_in(rows, size)
    epochs = [[sampler(epoch * steps + step) for step in range(steps)] for epoch in range(2)]
    for batches in epochs:
        assert sorted(torch.cat(batches).tolist()) == list(range(rows))
        assert all(len(each) == size for each in batches[:-1])
        assert len(batches[-1]) <= size + (size > 1)
        assert size == 1 or rows == 1 or min(map(len, batches)) > 1
    if rows > 12:
        assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()


def test_a_sampler_answers_the_same_in_any_order():
    one, other = shuffled(50, 8, 3), shuffled(50, 8, 3)
    forward = [one(step).tolist() for step in range(30)]
    assert [other(step).tolist() for step in reversed(range(30))] == forward[::-1]
    assert forward != [shuffled(50, 8, 4)(step).tolist() for step in range(30)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 0.9), st.integers(0, 3))
def test_every_stratum_keeps_a_row_and_gives_its_share(found, share, seed):
    codes = np.array(found)
    parts = split(codes, share, seed)
    assert sorted([*parts.kept, *parts.held]) == list(range(len(codes)))
    assert set(codes[parts.kept]) == set(codes)
    for level in set(found):
        size, away = found.count(level), int((codes[parts.held] == level).sum())
        assert away >= min(int(size * share), size - 1)
    able = sum(found.count(level) - 1 for level in set(found))
    assert len(parts.held) == min(round(len(found) * share), able) or abs(len(parts.held) - len(found) * share) <= 0.5


def test_small_strata_are_served_first():
    codes = np.repeat([0, 1, 2], [86, 12, 2])
    held = codes[split(codes, 0.15, 0).held]
    assert np.bincount(held).tolist() == [13, 1, 1]  # quotas of 12.9, 1.8 and 0.3 of 15 seats


def test_strata_are_combinations_of_label_and_groups():
    labels, sex = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 0, 1, 0])
    groups = {"sex": Groups("sex", ("a", "b"), sex), "race": Groups("race", ("c",), np.array([0, 0, 0, 0, -1]))}
    found = strata(labels, groups)
    assert len(set(found)) == 5
    assert len(set(strata(labels, {"sex": groups["sex"]}))) == 4
    quartiles = strata(RNG.normal(size=400).astype(np.float32), {})
    assert np.bincount(quartiles).tolist() == [100, 100, 100, 100]
    assert len(set(strata(np.array([[0, 1], [1, 0], [0, 1], [1, 1]]), {}))) == 3


def test_rows_are_what_a_model_is_handed():
    X = RNG.normal(size=(5, 4, 2)).astype(np.float32)
    X[1, 2:] = np.nan
    rows = rows_of(labelled(unlabelled(X), [0, 1, 2, 1, 0]).data)
    assert (rows.task, rows.targets.dtype, rows.inputs.dtype) == ("multiclass", torch.int64, torch.float32)
    assert rows.inputs[1, 2:].isnan().all()
    tokens = rows_of(labelled(unlabelled(np.array([[1, 2], [2, 0]]), kind="text"), [0, 1]).data)
    assert (tokens.task, tokens.targets.dtype, tokens.inputs.dtype) == ("binary", torch.float32, torch.int64)


def test_taking_rows_takes_their_groups():
    X, codes = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
    data = Data("table", X, X, codes * 2.5, {"sex": Groups("sex", ("a", "b"), codes)}, ())
    rows = rows_of(data)
    some = rows.take(torch.tensor([4, 0]))
    assert some.inputs.tolist() == [[8.0, 9.0], [0.0, 1.0]]
    assert some.targets.tolist() == [2.5, 0.0]
    assert some.groups["sex"].codes.tolist() == [1, 0]
    assert some.fingerprint == rows_of(data.take(np.array([4, 0]))).fingerprint
    assert len(rows.batch(torch.zeros(0, dtype=torch.int64))) == 0


def test_a_data_frame_is_refused():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    with pytest.raises(InputError, match="data frame"):
        rows_of(Data("table", frame, np.zeros((2, 1)), np.array([0, 1]), {}, ()))
