"""Tries several settings and keeps the account of every run, because looking at the same data again costs privacy."""

import itertools
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rai.card import Network
from rai.errors import InputError
from rai.ledger import Run
from rai.train.settings import Fit, Private, Search

TABLES: Mapping[str, type] = MappingProxyType({"fit": Fit, "private": Private})
ARGUMENTS = "network.arguments."
SIGNS: Mapping[str, float] = MappingProxyType({"quality": 1.0, "group_gap": -1.0, "epsilon": -1.0, "energy": -1.0})
"""Of quality more is better; of the gap between groups, of epsilon and of energy less is better."""
Tried = Mapping[str, Any]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both among them; with `log` every order of magnitude counts the same."""

    low: float
    high: float
    log: bool


Space = Mapping[str, Range | tuple[Any, ...]]


@dataclass(frozen=True)
class Searched:
    """What came of a search: all runs in the order they were made, and the positions of those on the Pareto front.

    A run is on the front when no other is at least as good by every objective and better by one. `best` is the run of
    the front that is best by the objective named first; the next objectives decide between equals, then the order.
    """

    runs: tuple[Run, ...]
    front: tuple[int, ...]
    best: Run


def searched(run: Callable[[Tried], Run], settings: Search, *, seed: int) -> Searched:
    """Train once for each of the settings tried, and say which runs are worth a choice.

    `run` is handed the keys of `settings.space` with a value each, for example {"fit.learning_rate": 0.01}; its results
    hold the objectives by name ("epsilon" may stand in `Run.epsilon`). Grid tries every combination in order; random
    and TPE (Bergstra et al. 2011; Optuna) try `settings.trials`. The same seed tries the same settings. A run without
    a finite number for each objective cannot be on the front. Raises `InputError` for a space that means nothing,
    before the first run, and when no run has all objectives.
    """
    space = _space(settings)
    draw = _grid if settings.method == "grid" else _sampled
    runs = tuple(draw(run, settings, space, seed))
    goals = [_goals(each, settings.objectives) for each in runs]
    whole = [position for position, each in enumerate(goals) if each is not None]
    if not whole:
        names = ", ".join(settings.objectives)
        raise InputError(f"none of {len(runs)} runs gave a number for {names}", where="search.objectives")
    values = np.array([each for each in goals if each is not None])
    front = tuple(whole[place] for place in np.flatnonzero(non_dominated(values)))
    marked = tuple(replace(each, front=position in front) for position, each in enumerate(runs))
    return Searched(marked, front, marked[max(front, key=lambda position: goals[position] or ())])


def non_dominated(values: Any) -> Any:
    """Which rows of `values` (runs, objectives), all to be large, no other row beats: a mask of shape (runs,).

    A row is beaten by one that is nowhere smaller and somewhere larger. Equal rows do not beat each other.
    """
    least = (values[None, :, :] >= values[:, None, :]).all(axis=2)
    more = (values[None, :, :] > values[:, None, :]).any(axis=2)
    return ~(least & more).any(axis=1)


def spent(runs: Sequence[Run]) -> float | None:
    """The epsilon of all runs together: their sum (basic composition, Dwork et al. 2006), which holds for any tuning.

    Their deltas add up as well. None where there are no runs, or where one of them made no promise: then nothing is
    promised for all of them together.
    """
    promised = [each.epsilon for each in runs if each.epsilon is not None]
    return math.fsum(promised) if runs and len(promised) == len(runs) else None


def placed(recipe: Mapping[str, Any], tried: Tried) -> dict[str, Any]:
    """A copy of a recipe with the values tried at their keys, "fit.learning_rate" in table fit; tables are made."""
    found = dict(recipe)
    for key, value in tried.items():
        table, _, rest = key.partition(".")
        found[table] = placed(found.get(table, {}), {rest: value}) if rest else value
    return found


def _grid(run: Callable[[Tried], Run], _settings: Search, space: Space, _seed: int) -> Iterator[Run]:
    """One run for every combination, the last key changing fastest."""
    listed = [each for each in space.values() if not isinstance(each, Range)]
    for values in itertools.product(*listed):
        yield _finite(run(dict(zip(space, values, strict=True))))


def _sampled(run: Callable[[Tried], Run], settings: Search, space: Space, seed: int) -> Iterator[Run]:
    """One run after the other, each with the values that Optuna's sampler draws."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler if settings.method == "random" else optuna.samplers.TPESampler
    study = optuna.create_study(directions=["maximize"] * len(settings.objectives), sampler=sampler(seed=seed))
    distributions = {key: _distribution(each) for key, each in space.items()}
    for _ in range(settings.trials):
        trial = study.ask(distributions)
        made = _finite(run({key: _value(each, trial.params[key]) for key, each in space.items()}))
        goals = _goals(made, settings.objectives)
        failed = optuna.trial.TrialState.FAIL if goals is None else None
        study.tell(trial, goals, state=failed)
        yield made


def _distribution(values: Range | tuple[Any, ...]) -> Any:
    """What Optuna draws for a key: a number of a range, or the position of one of the values listed."""
    from optuna import distributions

    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(tuple(range(len(values))))
    if isinstance(values.low, int) and isinstance(values.high, int):
        return distributions.IntDistribution(values.low, values.high, log=values.log)
    return distributions.FloatDistribution(values.low, values.high, log=values.log)


def _value(values: Range | tuple[Any, ...], drawn: Any) -> Any:
    return drawn if isinstance(values, Range) else values[drawn]


def _finite(run: Run) -> Run:
    """The run without the results that are no finite numbers: such a thing is undefined, not a number."""
    kept = {name: float(value) for name, value in run.results.items() if math.isfinite(value)}
    known = run.epsilon is not None and math.isfinite(run.epsilon)
    return replace(run, results=kept, epsilon=run.epsilon if known else None)


def _goals(run: Run, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """What is to be made large, in the order of `objectives`; None where one of them is missing."""
    known = {"epsilon": run.epsilon, **run.results}
    values = [known.get(name) for name in objectives]
    pairs = zip(objectives, values, strict=True)
    found = tuple(SIGNS[name] * value for name, value in pairs if value is not None)
    return found if len(found) == len(objectives) else None


def _space(settings: Search) -> Space:
    """The space with every value checked; raise `InputError` naming the key that means nothing."""
    goals = settings.objectives
    unknown = [name for name in goals if name not in SIGNS]
    if unknown or not goals or len(set(goals)) < len(goals):
        raise InputError(f"is {list(goals)}", where="search.objectives", expected=f"each once of {', '.join(SIGNS)}")
    if settings.trials < 1:
        raise InputError(f"is {settings.trials}", where="search.trials", expected="a whole number from 1")
    if not settings.space:
        raise InputError("names no key", where="search.space", do='list values, such as "fit.learning_rate" = [0.1, 1]')
    space = {key: _values(key, given, settings.method) for key, given in settings.space.items()}
    if settings.method == "grid":
        _require_affordable(space, settings.trials)
    return space


def _require_affordable(space: Space, trials: int) -> None:
    size = math.prod(len(each) for each in space.values() if not isinstance(each, Range))
    if size > trials:
        raise InputError(
            f"the grid has {size:,} combinations, and trials is {trials:,}",
            where="search.space",
            do=f"list fewer values, or set search.trials = {size}",
        )


def _values(key: str, given: Any, method: str) -> Range | tuple[Any, ...]:
    where, kind = f"search.space.{key}", _kind(key)
    if isinstance(given, Mapping):
        if method == "grid":
            raise InputError("is a range", where=where, expected="a list of values, which a grid needs")
        return _range(given, where, kind)
    if not isinstance(given, list | tuple) or not given:
        raise InputError(f"is {given!r}", where=where, expected="a list of values, or a table with low and high")
    values = tuple(_checked(each, where, kind) for each in given)
    if any(each in values[:place] for place, each in enumerate(values)):
        raise InputError("lists a value twice", where=where)
    return values


def _range(given: Mapping[str, Any], where: str, kind: Any) -> Range:
    low: Any = given.get("low")
    high: Any = given.get("high")
    log = given.get("log", False)
    odd = not set(given) <= {"low", "high", "log"} or not isinstance(log, bool)
    if odd or not (_number(low) and _number(high) and low < high):
        raise InputError(
            f"is {dict(given)}", where=where, expected="low below high, both numbers, and maybe log = true"
        )
    if log and low <= 0:
        raise InputError(f"is {dict(given)}", where=where, expected="low above 0 where log = true")
    for end in (low, high):
        _checked(end, where, kind)
    whole = isinstance(low, int) and isinstance(high, int) and not _takes_fractions(kind)
    return Range(low, high, log) if whole else Range(float(low), float(high), log)


def _number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _takes_fractions(kind: Any) -> bool:
    """Whether a key of this type means a real number; an argument of a network may be anything."""
    return kind is float or (float in typing.get_args(kind) and str not in typing.get_args(kind))


def _checked(value: Any, where: str, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise InputError(f"tries {value!r}", where=where, expected=expected) from None


def _kind(key: str) -> Any:
    """The type of the recipe's key; raise `InputError` for one that a search cannot change."""
    table, _, name = key.partition(".")
    hints = typing.get_type_hints(TABLES[table]) if table in TABLES else {}
    if name in hints:
        return hints[name]
    if key.startswith(ARGUMENTS) and key != ARGUMENTS:
        return typing.get_args(typing.get_type_hints(Network)["arguments"])[1]
    where, known = f"search.space.{key}", "fit.NAME, private.NAME or network.arguments.NAME"
    raise InputError("is no key that can be searched", where=where, expected=f"one of {', '.join(hints) or known}")
