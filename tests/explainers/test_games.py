import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rai.errors import InputError
from rai.explainers import games, shapley_values
from rai.subject import Player


class Counter:
    """A model that remembers how many rows it was asked about, at most how many at once, and of which type."""

    def __init__(self, score):
        self.score, self.rows, self.most, self.kinds = score, 0, 0, set()

    def __call__(self, table):
        self.rows, self.most = self.rows + len(table), max(self.most, len(table))
        self.kinds.add(table.dtype)
        return self.score(table)


def total(table):
    return np.cos(table).prod(axis=1)


@pytest.mark.parametrize("evaluations", [None, 30])
@pytest.mark.parametrize("owned", [6, 5])
def test_it_counts_the_rows_that_the_model_is_asked_about(evaluations, owned, singles, rng):
    model = Counter(total)
    found = shapley_values(model, rng.normal(size=(4, 6)), rng.normal(size=(3, 6)), singles(owned), rng,
                    evaluations=evaluations)  # fmt: skip
    assert found.rows_scored == model.rows


def test_chunks_change_nothing(monkeypatch, singles, rng):
    given = (rng.normal(size=(4, 6)), rng.normal(size=(11, 6)), singles(6), rng)
    whole, model = shapley_values(total, *given), Counter(total)
    monkeypatch.setattr(games, "CHUNK_BYTES", 7 * 6 * 8)
    parts = shapley_values(model, *given)
    np.testing.assert_allclose(parts.values, whole.values, rtol=0, atol=1e-13)
    assert model.most == 7
    assert model.rows == parts.rows_scored == whole.rows_scored


@pytest.mark.parametrize("chunk", [7 * 6 * 8, games.CHUNK_BYTES])
@pytest.mark.parametrize("owned", [6, 4])
def test_each_row_in_coalitions_of_its_own_is_that_of_a_slow_loop(monkeypatch, chunk, owned, singles, rng):
    monkeypatch.setattr(games, "CHUNK_BYTES", chunk)
    rows, background = rng.normal(size=(3, 6)), rng.normal(size=(4, 6))
    known = rng.random((3, 5, owned)) < 0.5
    found = games.game(lambda table: table**2 + table[:, ::-1], rows, background, singles(owned)).own_values(known)
    for row, place in np.ndindex(3, 5):
        own = np.append(known[row, place], [True] * (6 - owned))
        mixed = np.where(own, rows[row], background)
        np.testing.assert_allclose(found[row, place], (mixed**2 + mixed[:, ::-1]).mean(axis=0), atol=1e-12)


def test_nothing_that_is_handed_in_is_changed(singles, rng):
    def rude(table):
        found = total(table)
        table[:] = 0
        return found

    for evaluations in (None, 30):
        rows, background = rng.normal(size=(4, 6)), rng.normal(size=(3, 6))
        before = rows.copy(), background.copy()
        found = shapley_values(rude, rows, background, singles(6), rng, evaluations=evaluations)
        np.testing.assert_array_equal(rows, before[0])
        np.testing.assert_array_equal(background, before[1])
        np.testing.assert_allclose(found.base + found.values.sum(axis=1), total(rows), atol=1e-10)


def test_the_model_is_handed_the_type_of_the_rows(singles, rng):
    rows, model = rng.normal(size=(2, 3)).astype(np.float32), Counter(total)
    found = shapley_values(model, rows, rows[:1], singles(3), rng)
    assert model.kinds == {np.dtype(np.float32)}
    assert found.values.dtype == np.float64


def test_without_players_the_base_is_the_score(rng):
    rows = rng.normal(size=(3, 2))
    found = shapley_values(total, rows, rows[:1], (), rng)
    assert found.values.shape == (3, 0)
    np.testing.assert_array_equal(found.base, total(rows))
    assert found.rows_scored == 3


@pytest.mark.parametrize("players", [1, 4, 15])
def test_a_constant_model_owes_nothing_to_anyone(players, singles, rng):
    rows = rng.normal(size=(2, players))
    found = shapley_values(lambda table: np.full(len(table), 3.0), rows, rows, singles(players), rng)
    np.testing.assert_allclose(found.values, 0, atol=1e-14)
    np.testing.assert_allclose(found.error, 0, atol=1e-14)
    np.testing.assert_allclose(found.base, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": lambda table: np.full(len(table), np.nan)}, "not finite"),
        ({"score": lambda table: np.where(np.arange(len(table)) == 1, np.inf, 0)}, "not finite"),
        ({"score": lambda table: table[None]}, "one number a row"),
        ({"rows": np.zeros(3)}, "rows to explain: shape (3,)"),
        ({"rows": np.zeros((0, 6))}, "rows to explain: shape (0, 6)"),
        ({"background": np.zeros((0, 6))}, "background: shape (0, 6)"),
        ({"background": np.zeros((2, 5))}, "background: 5 inputs; expected 6"),
        ({"players": (Player("a", (0, 6)),)}, "input 6 does not exist"),
        ({"players": (Player("a", (0, 1)), Player("b", (1,)))}, "owned twice"),
        ({"evaluations": 25}, "25 evaluations are too few for 6 players; expected at least 26"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, message, singles, rng):
    good = {"score": total, "rows": np.zeros((2, 6)), "background": np.ones((2, 6)), "players": singles(6), "rng": rng}
    with pytest.raises(InputError) as caught:
        shapley_values(**{**good, **change})
    assert message in str(caught.value)


def test_more_coalitions_than_memory_holds_are_refused(singles, rng):
    with pytest.raises(InputError, match="23 players are too many for exact values"):
        shapley_values(total, np.zeros((1, 23)), np.ones((1, 23)), singles(23), rng, evaluations=2**23)


def test_shap_gets_the_same_numbers_when_it_is_there(monkeypatch, singles, rng):
    found = shapley_values(total, rng.normal(size=(2, 3)), np.zeros((1, 3)), singles(3), rng)
    monkeypatch.setitem(sys.modules, "shap", SimpleNamespace(Explanation=lambda **given: given))
    given = found.to_shap(data=np.ones((2, 3)))
    np.testing.assert_array_equal(given["values"], found.values)
    np.testing.assert_array_equal(given["base_values"], found.base)
    assert given["feature_names"] == ["x0", "x1", "x2"]
    assert given["data"].shape == (2, 3)


def test_without_shap_it_says_what_to_install(monkeypatch, singles, rng):
    found = shapley_values(total, np.ones((1, 2)), np.zeros((1, 2)), singles(2), rng)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(InputError, match="pip install shap"):
        found.to_shap()
