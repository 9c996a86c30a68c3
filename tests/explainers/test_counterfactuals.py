"""The nearest change: as cheap as trying everything, valid, allowed, and it does turn the decision."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rai.explainers.counterfactuals import Freedom, nearest
from rai.subject import Data, Player

FREE = Freedom()


def table(values: np.ndarray, blocks: tuple[int, ...] = ()) -> Data:
    """Rows as data; `blocks` are the widths of the players, by default 1 each."""
    ends = np.cumsum([0, *(blocks or (1,) * values.shape[1])]).tolist()
    players = tuple(Player(f"x{place}", tuple(range(start, end))) for place, (start, end) in enumerate(pairwise(ends)))
    return Data("table", values, values, None, {}, players)


def deviation(column: np.ndarray) -> float:
    return float(np.median(np.abs(column - np.median(column))))


def cheapest(margin, row: np.ndarray, background: np.ndarray) -> float:
    """Every combination of every background value: the slow obvious search."""
    mad = np.array([deviation(column) for column in background.T])
    grid = np.array(
        list(product(*(np.append(np.unique(column), now) for column, now in zip(background.T, row, strict=True))))
    )
    cost = (np.abs(grid - row) / mad).sum(axis=1)
    return float(cost[margin(grid) >= 0].min(initial=np.inf))


def test_a_linear_model_of_one_column_has_the_cost_in_closed_form() -> None:
    """Score 2x - 4: from x to the first grid value at or above 2, in median absolute deviations."""
    background = table(np.arange(0.0, 10.0)[:, None])
    found = nearest(lambda x: 2 * x[:, 0] - 4, table(np.array([[0.0], [1.0], [1.5], [7.0]])), background, [FREE])
    assert found.cost.tolist() == pytest.approx([2 / 2.5, 1 / 2.5, 0.5 / 2.5, 0.0])
    assert found.inputs[:3, 0].tolist() == [2.0, 2.0, 2.0]
    assert found.changed[:, 0].tolist() == [True, True, True, False]


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_model_costs_what_trying_everything_costs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    background = np.round(rng.normal(size=(8, 3)), 2)
    weight = rng.normal(size=3)
    rows = rng.normal(size=(25, 3))

    def margin(x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weight - 1.0)

    found = nearest(margin, table(rows), table(background), [FREE] * 3)
    slow = [cheapest(margin, row, background) for row in rows]
    assert np.where(found.found, found.cost, np.inf).tolist() == pytest.approx(
        [0.0 if margin(row[None])[0] >= 0 else cost for row, cost in zip(rows, slow, strict=True)]
    )


def test_a_network_costs_little_more_than_trying_everything(network) -> None:
    rng = np.random.default_rng(1)
    background, rows = rng.normal(size=(8, 4)), rng.normal(size=(30, 4))
    answer = network(4)
    line = float(np.quantile(answer(rows), 0.8))

    def margin(x: np.ndarray) -> np.ndarray:
        return np.asarray(answer(x) - line)

    found = nearest(margin, table(rows), table(background), [FREE] * 4)
    refused = margin(rows) < 0
    slow = np.array([cheapest(margin, row, background) for row in rows])
    assert np.isfinite(slow[refused]).all()
    assert found.found[refused].mean() >= 0.9
    ratio = (found.cost / np.where(refused, slow, 1.0))[refused & found.found]
    assert ratio.min() >= 1 - 1e-9
    assert np.median(ratio) == pytest.approx(1.0)
    assert ratio.mean() < 1.1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    immutable=st.lists(st.booleans(), min_size=3, max_size=3),
    directions=st.lists(st.sampled_from(["both", "increase", "decrease"]), min_size=3, max_size=3),
    least=st.floats(-2, 0),
    most=st.floats(0, 2),
)
def test_what_may_not_change_does_not(seed, immutable, directions, least, most) -> None:
    rng = np.random.default_rng(seed)
    rows, background, weight = rng.normal(size=(6, 3)), rng.normal(size=(20, 3)), rng.normal(size=3)
    free = [
        Freedom(immutable=fixed, least=least, most=most, direction=way)
        for fixed, way in zip(immutable, directions, strict=True)
    ]

    def margin(x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weight + 0.3 * x[:, 0] * x[:, 1] - 0.5)

    found = nearest(margin, table(rows), table(background), free)
    assert (margin(found.inputs)[found.found] >= 0).all()
    apart = found.inputs - rows
    assert ((apart != 0) == found.changed).all()
    assert (found.changed.sum(axis=1) <= 4).all()
    mad = np.array([deviation(column) for column in background.T])
    assert (np.abs(apart) / mad).sum(axis=1)[found.found] == pytest.approx(found.cost[found.found])
    for place, each in enumerate(free):
        moved = apart[:, place][found.changed[:, place]]
        new = found.inputs[:, place][found.changed[:, place]]
        assert not (each.immutable and len(moved))
        assert ((new >= least) & (new <= most)).all()
        assert each.direction != "increase" or (moved > 0).all()
        assert each.direction != "decrease" or (moved < 0).all()


def test_categories_stay_whole_and_cost_one() -> None:
    """Three one-hot inputs are one column: the change goes to another category, never to half of one."""
    rng = np.random.default_rng(3)
    hot = np.eye(3)[rng.integers(3, size=60)]
    values = np.column_stack([hot, rng.normal(size=60)])
    rows = values[hot[:, 2] == 0][:20]

    def margin(x: np.ndarray) -> np.ndarray:
        return np.asarray(5 * x[:, 2] + 0.1 * x[:, 3] - 2)

    found = nearest(margin, table(rows, (3, 1)), table(values, (3, 1)), [Freedom(category=True), FREE])
    assert (found.inputs[:, :3].sum(axis=1) == 1).all()
    assert set(np.unique(found.inputs[:, :3])) == {0.0, 1.0}
    assert found.cost.tolist() == [1.0] * 20
    assert (found.inputs[:, 2] == 1).all()


def test_where_nothing_can_change_nothing_is_found() -> None:
    rng = np.random.default_rng(4)
    rows = table(rng.normal(size=(5, 2)))
    found = nearest(lambda x: x[:, 0] - 9, rows, rows, [Freedom(immutable=True)] * 2)
    assert not found.found.any()
    assert np.isnan(found.cost).all()
    assert (found.inputs == rows.inputs).all()


def test_a_change_of_two_columns_is_found_where_one_cannot_turn_it() -> None:
    """Only 1 and 1 together pass: no single change gains anything alone but the sum of both does."""
    values = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    found = nearest(lambda x: x.sum(axis=1) - 2, table(np.zeros((1, 2))), table(values), [FREE, FREE])
    assert found.changed.tolist() == [[True, True]]


def test_data_frames_keep_their_words() -> None:
    frame = pd.DataFrame({"job": ["cook", "clerk", "judge"] * 10, "years": np.arange(30.0)})
    codes = np.column_stack([np.tile([0.0, 1.0, 2.0], 10), np.arange(30.0)])
    players = (Player("job", (0,)), Player("years", (1,)))
    data = Data("table", frame, codes, None, {}, players)

    def margin(x: pd.DataFrame) -> np.ndarray:
        return np.asarray(np.where(x["job"] == "judge", 1.0, -1.0))

    found = nearest(margin, data.take(np.array([0, 1])), data, [Freedom(category=True), FREE])
    assert list(found.inputs["job"]) == ["judge", "judge"]
    assert list(found.inputs["years"]) == [0.0, 1.0]
    assert found.cost.tolist() == [1.0, 1.0]


def test_cells_that_were_missing_are_no_new_values() -> None:
    values = np.array([[0.0], [5.0], [5.0], [1.0]])
    data = table(values)
    gaps = Data("table", values, values, None, {}, data.players, np.array([[False], [True], [True], [False]]))
    found = nearest(lambda x: x[:, 0] - 3, data.take(np.array([0])), gaps, [FREE])
    assert not found.found.any()
