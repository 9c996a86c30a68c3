"""How often a classifier is right: every measure with its interval, the confusion matrix and the curves."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rai.audits._exhibits import line, number, percent
from rai.audits._lift import hidden, lift, shown, undefined
from rai.evidence import Curve, Evidence, Heat, Line, Measurement
from rai.stats.bootstrap import DRAWS, bootstrap_counts, bootstrap_rows
from rai.stats.calibration import log_loss_estimate
from rai.stats.confusion import METRICS, class_f1, confusion_matrix, macro_f1, macro_precision, macro_recall
from rai.stats.means import mean_estimate
from rai.stats.proportions import proportion
from rai.stats.ranking import (
    average_precision_estimate,
    precision_recall_points,
    roc_auc_estimate,
    roc_aucs,
    roc_points,
)
from rai.subject import Bools, Floats, Ints, Subject

METHOD = (
    "Accuracy, precision and recall have Wilson intervals; measures made of several counts and the areas under curves "
    "have intervals from resampling the rows. Counts of 1 to 4 rows are not shown."
)
MOST_CELLS_DRAWN = 2_000_000
WIDEST_MATRIX = 40
CLIP = 1e-15
Statistic = Callable[[Floats | Ints], Floats]


def classification(subject: Subject) -> tuple[Evidence, ...]:
    """All that is measured of a classifier, binary or of several classes."""
    actual = np.asarray(subject.data.labels, dtype=np.int64)
    matrix = confusion_matrix(actual, np.asarray(subject.predicted, dtype=np.int64), len(subject.card.classes))
    overall = Evidence((*_rightness(subject, matrix),), _heat(subject, matrix))
    if subject.card.task == "binary":
        return (overall, _binary(subject, matrix), _binary_curves(subject))
    return (overall, _classes(subject, matrix), _several(subject, actual))


def _rightness(subject: Subject, matrix: Ints) -> list[Measurement]:
    """Accuracy, accuracy less that of always guessing the commonest class, and mean recall over classes."""
    rows = int(matrix.sum())
    return [
        lift(proportion(int(np.trace(matrix)), rows), "accuracy", unit="share"),
        _resampled(subject, matrix, "accuracy_over_majority", over_majority),
        _balanced(subject, matrix),
    ]


def _balanced(subject: Subject, matrix: Ints) -> Measurement:
    absent = _named(subject, matrix.sum(axis=1) == 0)
    if absent:
        return undefined("balanced_accuracy", f"no test row is {absent}", rows=int(matrix.sum()))
    return replace(
        _resampled(subject, matrix, "balanced_accuracy", macro_recall), smallest=_visible(int(matrix.sum(axis=1).min()))
    )


def _visible(count: int) -> int:
    """A class's count where it may be shown; 0, which settles no rule, where it may not."""
    return 0 if hidden(count) else count


def _named(subject: Subject, which: Bools) -> str:
    return ", ".join(name for name, each in zip(subject.card.classes, which, strict=True) if each)


def _resampled(subject: Subject, matrix: Ints, name: str, statistic: Statistic) -> Measurement:
    draws = int(np.clip(MOST_CELLS_DRAWN // matrix.size, 200, DRAWS))
    rng = subject.rng(f"performance {name}")
    return lift(bootstrap_counts(matrix.ravel(), statistic, rng, draws=draws), name)


def over_majority(cells: Floats | Ints) -> Floats:
    """Accuracy less the share of the commonest class, from flattened matrices (..., classes²)."""
    classes = int(np.sqrt(cells.shape[-1]))
    square = cells.reshape(*cells.shape[:-1], classes, classes)
    right = np.trace(square, axis1=-2, axis2=-1)
    return np.asarray((right - square.sum(axis=-1).max(axis=-1)) / square.sum(axis=(-2, -1)))


def weighted_f1(cells: Floats | Ints) -> Floats:
    """F1 averaged over classes by how often they occur; a class that never occurs weighs nothing."""
    classes = int(np.sqrt(cells.shape[-1]))
    support = cells.reshape(*cells.shape[:-1], classes, classes).sum(axis=-1)
    return np.asarray((np.nan_to_num(class_f1(cells)) * support).sum(axis=-1) / support.sum(axis=-1))


def _binary(subject: Subject, matrix: Ints) -> Evidence:
    found = _one_class(subject, matrix, subject.positive, {})
    positive, chance = _positive(subject), _chance(subject)
    if positive.all() or not positive.any():
        missing = subject.card.classes[subject.positive if not positive.any() else 1 - subject.positive]
        names = ("roc_auc", "average_precision")
        areas = [undefined(name, f"no test row is {missing}", rows=len(positive)) for name in names]
    else:
        smallest = _visible(int(min(positive.sum(), (~positive).sum())))
        rng = subject.rng("performance areas")
        areas = [
            replace(lift(roc_auc_estimate(positive, chance, rng), "roc_auc"), smallest=smallest),
            replace(lift(average_precision_estimate(positive, chance, rng), "average_precision"), smallest=smallest),
        ]
    return Evidence((*found, *areas, lift(log_loss_estimate(positive, chance), "log_loss", unit="nats")))


def _one_class(subject: Subject, matrix: Ints, place: int, facet: dict[str, str]) -> list[Measurement]:
    """Precision, recall and F1 of one class against the rest."""
    name = subject.card.classes[place]
    hits, predicted, actual = (int(n) for n in (matrix[place, place], matrix[:, place].sum(), matrix[place].sum()))
    cells = np.array([matrix.sum() - predicted - actual + hits, predicted - hits, actual - hits, hits])
    rng = subject.rng(f"performance f1 {name}")
    f1 = bootstrap_counts(cells, METRICS["f1"], rng)
    if f1.value is None:
        f1 = replace(f1, reason=f"no test row is {name} or is predicted {name}")
    shares = (
        ("precision", predicted, f"no test row is predicted {name}"),
        ("recall", actual, f"no test row is {name}"),
    )
    found = [
        lift(proportion(hits, whole), what, facet=facet, unit="share") if whole else undefined(what, why, facet=facet)
        for what, whole, why in shares
    ]
    return [*found, replace(lift(f1, "f1", facet=facet), smallest=_visible(actual))]


def _positive(subject: Subject) -> Bools:
    return np.asarray(subject.data.labels == subject.positive)


def _chance(subject: Subject) -> Floats:
    return np.asarray(_probabilities(subject)[:, subject.positive])


def _probabilities(subject: Subject) -> Floats:
    if subject.probabilities is None:
        raise TypeError("a classifier was expected; the model's head gives values")
    return subject.probabilities


def _classes(subject: Subject, matrix: Ints) -> Evidence:
    """Precision, recall and F1 of each class, and their means over classes."""
    each = [
        found
        for place, name in enumerate(subject.card.classes)
        for found in _one_class(subject, matrix, place, {"class": name})
    ]
    unseen = (
        ("precision_macro", macro_precision, matrix.sum(axis=0) == 0, "no test row is predicted"),
        ("f1_macro", macro_f1, (matrix.sum(axis=0) + matrix.sum(axis=1)) == 0, "no test row is or is predicted"),
    )
    means = [
        undefined(name, f"{why} {_named(subject, absent)}", rows=int(matrix.sum()))
        if absent.any()
        else _resampled(subject, matrix, name, statistic)
        for name, statistic, absent, why in unseen
    ]
    return Evidence((*each, *means, _resampled(subject, matrix, "f1_weighted", weighted_f1)))


def _several(subject: Subject, actual: Ints) -> Evidence:
    """One-vs-rest ROC AUC and log loss of a model of several classes."""
    chances = _probabilities(subject)
    told = np.clip(chances[np.arange(len(actual)), actual], CLIP, 1.0)
    loss = lift(mean_estimate(-np.log(told)), "log_loss", unit="nats")
    counts = np.bincount(actual, minlength=chances.shape[1])
    if not counts.all():
        return Evidence(
            (undefined("roc_auc", f"no test row is {_named(subject, counts == 0)}", rows=len(actual)), loss)
        )
    area = bootstrap_rows(_macro_auc(actual, chances), len(actual), subject.rng("performance areas"), draws=200)
    found = replace(lift(area, "roc_auc"), smallest=_visible(int(counts.min())))
    return Evidence((replace(found, method=f"mean of each class against the rest; {found.method}"), loss))


def _macro_auc(actual: Ints, chances: Floats) -> Statistic:
    def statistic(weights: Floats | Ints) -> Floats:
        each = [roc_aucs(actual == place, chances[:, place], weights) for place in range(chances.shape[1])]
        return np.asarray(np.mean(each, axis=0))

    return statistic


def _heat(subject: Subject, matrix: Ints) -> tuple[Heat, ...]:
    if len(matrix) > WIDEST_MATRIX:
        return ()
    right = percent(np.trace(matrix) / max(int(matrix.sum()), 1))
    worst = np.where(np.eye(len(matrix), dtype=np.bool_), -1, matrix)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(worst)), matrix.shape))
    classes = subject.card.classes
    alt = f"{right} of the rows are on the diagonal; most often {classes[row]} is taken for {classes[column]}."
    values = tuple(tuple(shown(int(cell)) for cell in cells) for cells in matrix)
    title = f"Confusion matrix: {right} of the predictions are right"
    return (Heat(title, alt, classes, classes, values, row_title="actual", column_title="predicted", unit="rows"),)


def _binary_curves(subject: Subject) -> Evidence:
    positive, chance = _positive(subject), _chance(subject)
    if positive.all() or not positive.any() or hidden(int(min(positive.sum(), (~positive).sum()))):
        return Evidence(())
    name = subject.card.classes[subject.positive]
    return Evidence((), (_roc(positive, chance), _precision_recall(positive, chance), _sweep(positive, chance, name)))


def _roc(positive: Bools, chance: Floats) -> Curve:
    points = roc_points(positive, chance)
    found = float(np.interp(0.1, points.x, points.y))
    title = f"ROC curve: {percent(found)} of the positives are found at 10 % false alarms"
    lines = (line("model", points.x, points.y),)
    return Curve(title, f"{title}.", "false positive rate", "true positive rate", lines, diagonal=True)


def _precision_recall(positive: Bools, chance: Floats) -> Curve:
    points = precision_recall_points(positive, chance)
    base = float(positive.mean())
    half = float(np.interp(0.5, points.x, points.y))
    title = f"Precision-recall curve: precision {percent(half)} where half of the positives are found"
    guess = Line("guessing", (0.0, 1.0), (base, base))
    return Curve(
        title,
        f"{title}; guessing gives {percent(base)}.",
        "recall",
        "precision",
        (line("model", points.x, points.y), guess),
    )


def _sweep(positive: Bools, chance: Floats, name: str) -> Curve:
    """What other thresholds would give; precision is left out where it would rest on 0 to 4 rows."""
    thresholds = np.arange(1, 100) / 100
    cells = sweep_counts(positive, chance, thresholds)
    selected = cells[:, 1] + cells[:, 3]
    precision = np.where((selected == 0) | [hidden(int(n)) for n in selected], np.nan, METRICS["precision"](cells))
    names = ("recall", "selection_rate", "accuracy")
    lines = [line(each.replace("_", " "), thresholds, METRICS[each](cells)) for each in names]
    best = int(np.argmax(METRICS["accuracy"](cells)))
    title = f"Other thresholds: accuracy is highest at {number(float(thresholds[best]))}"
    alt = f"Precision, recall, selection rate and accuracy when {name} is predicted from each threshold upwards."
    return Curve(title, alt, "threshold", "share of rows", (line("precision", thresholds, precision), *lines))


def sweep_counts(positive: Bools, chance: Floats, thresholds: Floats) -> Ints:
    """True negatives, false positives, false negatives, true positives at each threshold, shape (thresholds, 4)."""
    above = [len(part) - np.searchsorted(np.sort(part), thresholds) for part in (chance[~positive], chance[positive])]
    false, true = above
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return np.stack([negatives - false, false, positives - true, true], axis=1)
