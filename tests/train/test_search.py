"""A search: what it tries, what it keeps, and the account of what it spent."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rai.errors import InputError
from rai.ledger import Run
from rai.train.search import Searched, non_dominated, placed, searched, spent
from rai.train.settings import Search

RATE = "fit.learning_rate"


def trained(tried: Mapping[str, Any]) -> Run:
    """A training whose quality is best at rate 0.01, and whose energy grows with the epochs."""
    rate, epochs = tried.get(RATE, 0.01), tried.get("fit.epochs", 1)
    quality = 1 - (np.log10(rate) + 2) ** 2 - 1 / (1 + epochs)
    return Run(dict(tried), {"quality": float(quality), "energy": float(epochs)}, epsilon=float(epochs) / 10)


def scored(*points: Mapping[str, float]) -> Callable[[Mapping[str, Any]], Run]:
    return lambda tried: Run(tried, points[tried["fit.seed"]])


def over(points: tuple[Mapping[str, float], ...], *objectives: Any) -> Searched:
    listed = {"fit.seed": list(range(len(points)))}
    return searched(scored(*points), Search("grid", len(points), objectives, listed), seed=0)


def test_a_grid_tries_every_combination_once_in_order() -> None:
    space = {RATE: [0.1, 0.01], "fit.augment": [[], ["flip"]], "network.arguments.hidden": [[64], [32, 16]]}
    found = searched(trained, Search("grid", 8, ("quality",), space), seed=0)
    assert [tuple(each.settings.values()) for each in found.runs] == [
        (rate, augment, hidden) for rate in (0.1, 0.01) for augment in ((), ("flip",)) for hidden in ((64,), (32, 16))
    ]
    assert found.best.settings[RATE] == 0.01


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_the_same_seed_tries_the_same_and_another_does_not(method: Any) -> None:
    space = {RATE: {"low": 1e-5, "high": 1.0, "log": True}, "fit.epochs": {"low": 1, "high": 9}, "fit.gamma": [0.1, 1]}
    settings = Search(method, 15, ("quality", "energy"), space)
    first, again, other = (searched(trained, settings, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.runs != other.runs
    assert len(first.runs) == 15
    for each in first.runs:
        assert 1e-5 <= each.settings[RATE] <= 1
        assert type(each.settings["fit.epochs"]) is int
        assert each.settings["fit.gamma"] in (0.1, 1.0)


def test_tpe_learns_where_random_does_not() -> None:
    space = {RATE: {"low": 1e-6, "high": 1e2, "log": True}}
    late = {}
    for method in ("random", "tpe"):
        runs = [searched(trained, Search(method, 40, space=space), seed=seed).runs[20:] for seed in range(3)]  # type: ignore[arg-type]
        late[method] = np.mean([each.results["quality"] for one in runs for each in one])
    assert late["tpe"] > late["random"] + 1


def test_a_log_range_gives_every_order_of_magnitude_its_share() -> None:
    space = {RATE: {"low": 1e-6, "high": 1.0, "log": True}}
    found = searched(trained, Search("random", 200, space=space), seed=0)
    small = sum(each.settings[RATE] < 1e-3 for each in found.runs)
    assert 70 <= small <= 130


def test_whole_bounds_of_a_real_key_still_give_fractions() -> None:
    found = searched(trained, Search("random", 5, space={"fit.momentum": {"low": 0, "high": 1}}), seed=0)
    assert all(0 < each.settings["fit.momentum"] < 1 for each in found.runs)
    found = searched(trained, Search("random", 5, space={"network.arguments.dropout": {"low": 0.0, "high": 1}}), seed=0)
    assert all(0 < each.settings["network.arguments.dropout"] < 1 for each in found.runs)


def slow_front(points: Any) -> list[bool]:
    """The definition, run by run."""
    kept = []
    for one in points:
        beaten = False
        for other in points:
            if all(o >= x for o, x in zip(other, one, strict=True)) and any(
                o > x for o, x in zip(other, one, strict=True)
            ):
                beaten = True
        kept.append(not beaten)
    return kept


points = st.integers(1, 4).flatmap(
    lambda width: arrays(float, st.tuples(st.integers(1, 12), st.just(width)), elements=st.integers(0, 3).map(float))
)


@given(points)
def test_the_front_is_what_the_slow_loop_says(values: Any) -> None:
    assert non_dominated(values).tolist() == slow_front(values)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_quality_is_large_and_the_rest_small_on_the_front_as_optuna_says(pairs: list[tuple[int, int]]) -> None:
    found = over(tuple({"quality": float(q), "energy": float(e)} for q, e in pairs), "quality", "energy")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for pair in pairs:
        study.add_trial(optuna.trial.create_trial(values=[float(each) for each in pair]))
    assert found.front == tuple(sorted(each.number for each in study.best_trials))
    assert found.front == tuple(place for place, each in enumerate(found.runs) if each.front)


def test_the_best_is_on_the_front_and_the_first_objective_decides() -> None:
    tied = ({"quality": 0.8, "energy": 1.0}, {"quality": 0.9, "energy": 5.0}, {"quality": 0.9, "energy": 4.0})
    found = over(tied, "quality", "energy")
    assert found.front == (0, 2)
    assert found.best is found.runs[2]
    assert over(tied, "energy", "quality").best.results["energy"] == 1.0
    assert over((tied[0], tied[0]), "quality").front == (0, 1)


def test_epsilon_of_the_run_is_an_objective() -> None:
    space = {"fit.epochs": [1, 5]}
    found = searched(trained, Search("grid", 2, ("epsilon", "quality"), space), seed=0)
    assert found.front == (0, 1)
    assert found.best.epsilon == 0.1


def test_a_run_without_a_number_is_kept_but_never_on_the_front() -> None:
    points = ({"quality": float("nan"), "energy": 1.0}, {"quality": 0.5}, {"energy": 0.0})
    found = over(points, "quality")
    assert found.front == (1,)
    assert [dict(each.results) for each in found.runs] == [{"energy": 1.0}, {"quality": 0.5}, {"energy": 0.0}]
    with pytest.raises(InputError, match="search.objectives: none of 3 runs gave a number for group_gap"):
        over(points, "group_gap")


def test_random_and_tpe_go_on_after_a_run_without_a_number() -> None:
    def sometimes(tried: Mapping[str, Any]) -> Run:
        return Run(tried, {"quality": tried[RATE] if tried[RATE] > 0.5 else float("inf")})

    for method in ("random", "tpe"):
        found = searched(sometimes, Search(method, 30, space={RATE: {"low": 0.0, "high": 1.0}}), seed=1)  # type: ignore[arg-type]
        assert len(found.runs) == 30
        assert found.best.results["quality"] == max(each.results.get("quality", 0) for each in found.runs) > 0.5


def test_spent_is_the_sum_and_undefined_without_a_promise() -> None:
    runs = [Run({}, {}, epsilon=0.1)] * 10
    assert spent(runs) == 1.0
    assert spent([*runs, Run({}, {})]) is None
    assert spent([]) is None


def test_placed_makes_tables_and_changes_nothing_that_was_there() -> None:
    recipe = {"fit": {"epochs": 3, "seed": 1}, "network": {"kind": "mlp"}}
    tried = {"fit.epochs": 5, "network.arguments.hidden": (8,), "private.epsilon": 1.0}
    assert placed(recipe, tried) == {
        "fit": {"epochs": 5, "seed": 1},
        "network": {"kind": "mlp", "arguments": {"hidden": (8,)}},
        "private": {"epsilon": 1.0},
    }
    assert recipe == {"fit": {"epochs": 3, "seed": 1}, "network": {"kind": "mlp"}}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (Search(), 'search.space: names no key; list values, such as "fit.learning_rate" = [0.1, 1]'),
        (Search(trials=0), "search.trials: is 0; expected a whole number from 1"),
        (Search(objectives=()), "search.objectives: is []; expected each once of quality, group_gap, epsilon, energy"),
        (
            Search(space={"fit.learnrate": [1]}),
            "search.space.fit.learnrate: is no key that can be searched; expected one of epochs,",
        ),
        (
            Search(space={"data.train": [1]}),
            "search.space.data.train: is no key that can be searched; expected one of fit.NAME, private.NAME or",
        ),
        (Search(space={RATE: []}), "is []; expected a list of values, or a table with low and high"),
        (Search(space={RATE: [0.1, "fast"]}), "search.space.fit.learning_rate: tries 'fast'; expected a valid number"),
        (Search(space={RATE: [0.1, 0.1]}), "search.space.fit.learning_rate: lists a value twice"),
        (Search(space={"fit.optimizer": ["adam", "lion"]}), "tries 'lion'; expected 'sgd', 'adam'"),
        (Search(space={"fit.epochs": {"low": 1.5, "high": 3}}), "search.space.fit.epochs: tries 1.5; expected a valid"),
        (Search(space={RATE: {"low": 1, "high": 0}}), "expected low below high, both numbers, and maybe log = true"),
        (Search(space={RATE: {"low": 0.1}}), "is {'low': 0.1}; expected low below high"),
        (Search(space={RATE: {"low": 0, "high": 1, "log": True}}), "expected low above 0 where log = true"),
        (Search(space={RATE: {"low": 0, "high": 1, "step": 2}}), "expected low below high"),
        (Search("grid", space={RATE: {"low": 0, "high": 1}}), "is a range; expected a list of values, which a grid"),
        (
            Search("grid", 3, space={RATE: [0.1, 1], "fit.epochs": [1, 2]}),
            "search.space: the grid has 4 combinations, and trials is 3; list fewer values, or set search.trials = 4",
        ),
    ],
)
def test_a_space_that_means_nothing_is_refused_in_one_line_before_any_run(settings: Search, line: str) -> None:
    def never(tried: Mapping[str, Any]) -> Run:
        raise AssertionError(tried)

    with pytest.raises(InputError) as caught:
        searched(never, settings, seed=0)
    assert line in str(caught.value)


def test_optuna_stays_quiet(capfd: Any) -> None:
    searched(trained, Search("tpe", 12, ("quality", "energy"), {RATE: {"low": 0.1, "high": 1.0}}), seed=0)
    assert capfd.readouterr() == ("", "")
