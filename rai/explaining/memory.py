"""Which features moved a model's scores? For models and rows that are in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rai import explainers
from rai.card import Card, Head, Task
from rai.data import Words, unlabelled
from rai.errors import InputError
from rai.explainers import Attribution, Question, Target
from rai.models import bare
from rai.subject import Data, Kind, Player

MOST_BACKGROUND = 100


def explain(  # noqa: PLR0913 - the front door spells out what a caller may say
    model: Any,
    X: Any,
    *,
    reference: Any = None,
    method: str = "shapley",
    kind: Kind | None = None,
    vocabulary: Words | None = None,
    players: Mapping[str, Sequence[str]] | None = None,
    head: str | None = None,
    classes: Sequence[str] = (),
    positive: str | None = None,
    budget: int | None = None,
    random_state: int = 0,
    **options: Any,
) -> Attribution:
    """Say which features moved the model's score of each row of `X`, by how much, and how sure that is.

    `model` is a torch module, a scikit-learn style estimator, or a callable from X to scores; it is not changed. `X`
    has shape (rows, features); images have (rows, channels, height, width), sequences (rows, steps, features) with NaN
    after the end of a short one, and texts, told by `kind` "text", are whole numbers (rows, tokens) of a `vocabulary`.
    `reference`: rows to compare with, usually a sample of the training rows (default: X itself); at most 100 of them
    are used, drawn with `random_state`. `method`: one of `rai.explainers.METHODS`. `players` joins columns into one
    feature: {"job": ["job_clerk", "job_cook"]}; columns without a name are called x0, x1 and so on. `head`: how the
    outputs are to be read (default: each raw output is explained as it is); with two classes the `positive` one, by
    default the last, is explained. `budget`: the most coalitions, samples or steps a row. `options` are words that
    only one method knows. Raises `InputError`.
    """
    data = unlabelled(X, kind=kind, vocabulary=vocabulary)
    compared = data if reference is None else unlabelled(reference, kind=kind, name="reference", like=data)
    question = Question(
        bare(model, data.inputs[:1], tokens=data.kind == "text"),
        _target(head, tuple(classes), positive),
        grouped(data, players or {}),
        sample(compared, MOST_BACKGROUND, random_state),
        seed=random_state,
        budget=budget,
        options=options,
    )
    return explainers.method(method)(question)


def sample(data: Data, most: int, seed: int) -> Data:
    """At most so many of the rows, drawn without replacement, in their order."""
    if data.rows <= most:
        return data
    drawn = np.random.default_rng(seed).choice(data.rows, most, replace=False)
    return data.take(np.sort(drawn))


def grouped(data: Data, groups: Mapping[str, Sequence[str]]) -> Data:
    """The data with the named columns joined into one feature each; raise `InputError` for one unknown or twice."""
    own = {each.name: each.inputs for each in data.players}
    taken = [column for columns in groups.values() for column in columns]
    for column in taken:
        if column not in own or taken.count(column) > 1:
            what = f"{column!r} is {'in two groups' if column in own else 'no column'}"
            raise InputError(what, where="players", expected=f"each once, of {', '.join(own)}")
    joined = [
        Player(name, tuple(each for column in columns for each in own[column])) for name, columns in groups.items()
    ]
    kept = [each for each in data.players if each.name not in taken]
    return replace(data, players=(*joined, *kept), missing=data.missing if not groups else None)


def _target(head: str | None, classes: tuple[str, ...], positive: str | None) -> Target:
    if head is None:
        return Target(names=classes)
    if head not in set(Head):
        raise InputError(f"is {head!r}", where="head", expected=f"one of {', '.join(Head)}")
    if positive is not None and positive not in classes:
        raise InputError(f"is {positive!r}", where="positive", expected=f"one of {', '.join(classes)}")
    task: Task = "regression" if head == Head.VALUE else "multiclass" if len(classes) > 2 else "binary"
    place = len(classes) - 1 if positive is None else classes.index(positive)
    return explainers.target_of(Card(task, classes=classes), Head(head), place if len(classes) == 2 else 1)
