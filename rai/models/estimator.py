"""Models in memory: torch modules, estimators in the manner of scikit-learn, and plain functions."""

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rai.card import Card
from rai.errors import InputError
from rai.models.black_box import BlackBox
from rai.models.draft import Draft
from rai.models.guard import guarded
from rai.subject import Floats, Trust

ACCEPTED = "a torch.nn.Module, an estimator with predict_proba or predict, or a function from rows to numbers"


def open_object(thing: Any, card: Card) -> Draft:
    """Make an object ready to be asked. A torch module is copied, so that the caller's own stays as it is."""
    label = type(thing).__name__
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.nn.Module):
        return _module(thing, label)
    if isinstance(thing, type):
        raise InputError(f"{thing.__name__} is a class, not a model made from it", expected=ACCEPTED)
    if hasattr(thing, "predict_proba") or hasattr(thing, "predict"):
        return open_estimator(thing, card, name=label, kind=f"in memory: {label}", trust="in memory")
    if callable(thing):
        return Draft(BlackBox(thing, label, "in memory"), f"in memory: {label}")
    raise InputError(f"a {label} is no model", expected=ACCEPTED)


def open_estimator(thing: Any, card: Card, *, name: str, kind: str, trust: Trust) -> Draft:
    """Make an estimator ready to be asked; its columns of probabilities come in the card's order of classes."""
    if not hasattr(thing, "predict"):
        raise InputError(f"a {type(thing).__name__} is no model", where=name, expected=ACCEPTED)
    width = getattr(thing, "n_features_in_", None)
    if card.task == "regression":
        return Draft(BlackBox(thing.predict, name, trust, width), kind)
    classes = _classes(thing, card, name)
    if hasattr(thing, "predict_proba"):
        return Draft(BlackBox(_Probabilities(thing, classes.order), name, trust, width), kind, classes.notes)
    note = "the estimator names classes and gives no probabilities: each row has probability 1 for the class named"
    return Draft(BlackBox(_Decisions(thing, classes.texts), name, trust, width), kind, (*classes.notes, note))


def _module(module: Any, label: str) -> Draft:
    from rai.models import torch_model

    torch_model.require_torch()
    with guarded("the module cannot be copied", where=label, do="hand in a function from rows to numbers"):
        twin = copy.deepcopy(module).cpu()
    return torch_model.draft(twin, name=label, kind=f"in memory: {label}", trust="in memory")


@dataclass(frozen=True)
class _Classes:
    """The estimator's classes as text in the card's order, and where each stands among its columns."""

    texts: tuple[str, ...]
    order: tuple[int, ...] | None
    notes: tuple[str, ...] = ()


def _classes(thing: Any, card: Card, name: str) -> _Classes:
    theirs = tuple(_text(each) for each in getattr(thing, "classes_", ()))
    if not theirs or not card.classes:
        return _Classes(card.classes or theirs, None)
    if set(theirs) == set(card.classes):
        return _Classes(card.classes, tuple(theirs.index(each) for each in card.classes))
    if theirs == tuple(str(position) for position in range(len(card.classes))):
        note = "the estimator numbers its classes from 0; they were read in the order of the card's classes"
        return _Classes(theirs, None, (note,))
    raise InputError(
        f"the estimator tells apart {_listed(theirs)}", where=name, expected=f"the classes {_listed(card.classes)}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:6]) + (", …" if len(names) > 6 else "")


def _text(value: Any) -> str:
    """A class as text: 1 and 1.0 are both "1"."""
    plain = value.item() if isinstance(value, np.generic) else value
    whole = isinstance(plain, float) and plain.is_integer()
    return str(int(plain)) if whole else str(plain).strip()


@dataclass(frozen=True)
class _Probabilities:
    thing: Any
    order: tuple[int, ...] | None

    def __call__(self, rows: Any) -> Floats:
        found = np.asarray(self.thing.predict_proba(rows))
        return found if self.order is None else found[:, self.order]


@dataclass(frozen=True)
class _Decisions:
    thing: Any
    texts: tuple[str, ...]

    def __call__(self, rows: Any) -> Floats:
        named = np.array([_text(each) for each in np.asarray(self.thing.predict(rows)).ravel()])
        strange = sorted(set(named) - set(self.texts))
        if strange:
            raise InputError(f"the model answers {strange[0]!r}", expected=f"one of {_listed(self.texts)}")
        return np.asarray(named[:, None] == np.array(self.texts)[None, :], dtype=np.float64)
