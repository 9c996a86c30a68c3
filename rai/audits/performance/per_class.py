"""How often a classifier is right about each class, and on average over the classes."""

from dataclasses import replace

import numpy as np

from rai.audits._exhibits import number
from rai.audits._lift import hidden, lift, undefined
from rai.evidence import Evidence, Measurement, Table
from rai.stats.bootstrap import DRAWS, Statistic, bootstrap_counts
from rai.stats.confusion import class_f1, macro_f1
from rai.stats.proportions import proportion
from rai.stats.shares import f1_estimate, joint_reach, mean_rate
from rai.subject import Bools, Floats, Ints, Subject

MOST_CELLS_DRAWN = 2_000_000
MOST_LINES = 40
ENDS = ("", " low", " high")
COLUMNS = ("class", "rows", *(f"{what}{end}" for what in ("precision", "recall", "F1") for end in ENDS))


def per_class(subject: Subject, matrix: Ints) -> Evidence:
    """Precision, recall and F1 of the positive class (of each of several) and their means; a table of all classes."""
    classes = subject.card.classes
    each = [one_class(classes, matrix, place) for place in range(len(classes))]
    means = [_precision_macro(subject, matrix), *_f1_means(subject, matrix, [found[2] for found in each])]
    if subject.card.task == "binary":
        told = [replace(found, facet={}) for found in each[subject.positive]]
    else:
        told = [found for of_class in each for found in of_class]
    return Evidence((*told, *means), (_table(each, means),))


def one_class(classes: tuple[str, ...], matrix: Ints, place: int) -> list[Measurement]:
    """Precision, recall and F1 of one class against the rest."""
    name, facet = classes[place], {"class": classes[place]}
    hits, predicted, actual = (int(n) for n in (matrix[place, place], matrix[:, place].sum(), matrix[place].sum()))
    shares = (
        ("precision", predicted, f"no test row is predicted {name}"),
        ("recall", actual, f"no test row is {name}"),
    )
    found = [
        lift(proportion(hits, whole), what, facet=facet, unit="share")
        if whole
        else undefined(what, why, facet=facet, unit="share")
        for what, whole, why in shares
    ]
    f1 = f1_estimate(hits, predicted + actual - hits, rows=int(matrix.sum()))
    if f1.value is None:
        f1 = replace(f1, reason=f"no test row is {name} or is predicted {name}")
    return [*found, replace(lift(f1, "f1", facet=facet), smallest=visible(actual))]


def visible(count: int) -> int:
    """A class's count where it may be shown; 0, which settles no rule, where it may not."""
    return 0 if hidden(count) else count


def named(subject: Subject, which: Bools) -> str:
    """The names of the classes for which `which` holds."""
    return ", ".join(name for name, each in zip(subject.card.classes, which, strict=True) if each)


def balanced(subject: Subject, matrix: Ints) -> Measurement:
    """Mean recall over the classes; undefined where a class never occurs."""
    actual = matrix.sum(axis=1)
    absent = named(subject, actual == 0)
    if absent:
        return undefined("balanced_accuracy", f"no test row is {absent}", rows=int(matrix.sum()), unit="share")
    found = lift(mean_rate(np.diag(matrix), actual), "balanced_accuracy", unit="share")
    return replace(found, smallest=visible(int(actual.min())))


def _precision_macro(subject: Subject, matrix: Ints) -> Measurement:
    predicted = matrix.sum(axis=0)
    absent = named(subject, predicted == 0)
    if absent:
        why = f"no test row is predicted {absent}"
        return undefined("precision_macro", why, rows=int(matrix.sum()), unit="share")
    return lift(mean_rate(np.diag(matrix), predicted), "precision_macro", unit="share")


def _f1_means(subject: Subject, matrix: Ints, each: list[Measurement]) -> list[Measurement]:
    absent = named(subject, (matrix.sum(axis=0) + matrix.sum(axis=1)) == 0)
    why = f"no test row is or is predicted {absent}"
    macro = (
        undefined("f1_macro", why, rows=int(matrix.sum()))
        if absent
        else _no_narrower(_resampled(subject, matrix, "f1_macro", macro_f1), each)
    )
    return [macro, _resampled(subject, matrix, "f1_weighted", weighted_f1)]


def _no_narrower(found: Measurement, each: list[Measurement]) -> Measurement:
    """Widen a resampled mean to what its parts' own intervals give: a class hit once or never resamples too narrowly.

    Resampling knows how the classes hang together, the parts' Wilson intervals what few rows can tell.
    """
    value, reach = found.value, joint_reach([(one.value, one.low, one.high) for one in each])
    if value is None or reach is None:
        return found
    low, high = max(0.0, value - reach.down), min(1.0, value + reach.up)
    method = f"{found.method or 'resampled'}, no narrower than joined from the classes' own intervals"
    if found.low is None or found.high is None:
        return replace(found, low=low, high=high, reason="", method=method)
    return replace(found, low=min(low, found.low), high=max(high, found.high), method=method)


def _resampled(subject: Subject, matrix: Ints, name: str, statistic: Statistic) -> Measurement:
    draws = int(np.clip(MOST_CELLS_DRAWN // matrix.size, 200, DRAWS))
    rng = subject.rng(f"performance {name}")
    return lift(bootstrap_counts(matrix.ravel(), statistic, rng, draws=draws), name)


def weighted_f1(cells: Floats | Ints) -> Floats:
    """F1 averaged over classes by how often they occur; a class that never occurs weighs nothing."""
    classes = int(np.sqrt(cells.shape[-1]))
    support = cells.reshape(*cells.shape[:-1], classes, classes).sum(axis=-1)
    return np.asarray((np.nan_to_num(class_f1(cells)) * support).sum(axis=-1) / support.sum(axis=-1))


def _table(each: list[list[Measurement]], means: list[Measurement]) -> Table:
    """One line a class, those with the lowest F1 where there are very many, and a last line of means."""
    ordered = each if len(each) <= MOST_LINES else sorted(each, key=lambda found: found[2].value or 0.0)[:MOST_LINES]
    known = [found[2] for found in each if found[2].value is not None]
    title = f"Precision, recall and F1 by class: {_ends(known)}"
    left = f" The {MOST_LINES} classes of the lowest F1." if len(ordered) < len(each) else ""
    macro = means[1]
    alt = f"F1 averages {'nothing' if macro.value is None else number(macro.value)} over {len(each)} classes.{left}"
    return Table(title, alt, COLUMNS, tuple(_line(found) for found in ordered))


def _ends(known: list[Measurement]) -> str:
    if not known:
        return "F1 not measured"
    ends = min(known, key=_value), max(known, key=_value)
    if len(known) > 1 and _value(ends[0]) == _value(ends[1]):
        return f"F1 {number(_value(ends[0]))} in each"
    told = [f"{number(_value(one))} ({one.facet['class']})" for one in ends]
    return f"F1 {told[0]}" if len(known) == 1 else f"F1 {' to '.join(told)}"


def _value(found: Measurement) -> float:
    return 0.0 if found.value is None else found.value


def _line(found: list[Measurement]) -> tuple[str | float | int | None, ...]:
    numbers = [end for one in found for end in (one.value, one.low, one.high)]
    return (found[0].facet["class"], found[1].rows or None, *numbers)
