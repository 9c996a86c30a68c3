"""How often a classifier is right: every measure with its interval, the confusion matrix and the curves."""

from dataclasses import replace

import numpy as np

from rai.audits._exhibits import line, number, percent
from rai.audits._lift import hidden, lift, shown, undefined
from rai.audits.performance.per_class import balanced, named, per_class, visible
from rai.evidence import Curve, Evidence, Heat, Line, Measurement
from rai.stats.calibration import class_log_loss, log_loss_estimate
from rai.stats.confusion import METRICS, confusion_matrix
from rai.stats.macro import average_precision_estimate, macro_average_precision, macro_roc_auc
from rai.stats.proportions import proportion
from rai.stats.ranking import delong, precision_at, precision_recall_points, roc_points, true_positives_at
from rai.stats.shares import over_majority
from rai.subject import Bools, Floats, Ints, Subject

METHOD = (
    "Accuracy, precision and recall have Wilson intervals; means over classes join these, and F1 has that of the share "
    "it is made of. ROC AUC has DeLong's interval, average precision one from the influence of each row; averaged F1 "
    "is resampled. Log loss allows for at least the spread that the stated chances imply. Counts of 1 to 4 rows are "
    "not shown."
)
WIDEST_MATRIX = 40
WIDER = "The confusion matrix of {} classes is not drawn, as it would be too wide to read."


def classification(subject: Subject) -> tuple[Evidence, ...]:
    """All that is measured of a classifier, binary or of several classes."""
    actual = np.asarray(subject.data.labels, dtype=np.int64)
    matrix = confusion_matrix(actual, np.asarray(subject.predicted, dtype=np.int64), len(subject.card.classes))
    wide = (WIDER.format(len(matrix)),) if len(matrix) > WIDEST_MATRIX else ()
    overall = Evidence((*_rightness(subject, matrix),), _heat(subject, matrix), caveats=wide)
    classes = per_class(subject, matrix)
    if subject.card.task == "binary":
        return (overall, classes, _binary(subject), _binary_curves(subject))
    return (overall, classes, _several(subject, actual))


def _rightness(subject: Subject, matrix: Ints) -> list[Measurement]:
    """Accuracy, accuracy less that of always guessing the commonest class, and mean recall over classes."""
    return [
        lift(proportion(int(np.trace(matrix)), int(matrix.sum())), "accuracy", unit="share"),
        lift(over_majority(matrix), "accuracy_over_majority"),
        balanced(subject, matrix),
    ]


def _binary(subject: Subject) -> Evidence:
    """ROC AUC, average precision and log loss of the chance of the positive class."""
    positive, chance = _positive(subject), _chance(subject)
    loss = lift(log_loss_estimate(positive, chance), "log_loss", unit="nats")
    if positive.all() or not positive.any():
        missing = subject.card.classes[subject.positive if not positive.any() else 1 - subject.positive]
        return Evidence((*_no_areas(f"no test row is {missing}", len(positive)), loss))
    smallest = visible(int(min(positive.sum(), (~positive).sum())))
    areas = (
        lift(delong(positive, chance), "roc_auc"),
        lift(average_precision_estimate(positive, chance), "average_precision"),
    )
    return Evidence((*(replace(area, smallest=smallest) for area in areas), loss))


def _no_areas(reason: str, rows: int) -> list[Measurement]:
    return [undefined(name, reason, rows=rows) for name in ("roc_auc", "average_precision")]


def _positive(subject: Subject) -> Bools:
    return np.asarray(subject.data.labels == subject.positive)


def _chance(subject: Subject) -> Floats:
    return np.asarray(_probabilities(subject)[:, subject.positive])


def _probabilities(subject: Subject) -> Floats:
    if subject.probabilities is None:
        raise TypeError("a classifier was expected; the model's head gives values")
    return subject.probabilities


def _several(subject: Subject, actual: Ints) -> Evidence:
    """ROC AUC and average precision of each class against the rest, averaged, and log loss."""
    chances = _probabilities(subject)
    loss = lift(class_log_loss(actual, chances), "log_loss", unit="nats")
    counts = np.bincount(actual, minlength=chances.shape[1])
    if not counts.all():
        return Evidence((*_no_areas(f"no test row is {named(subject, counts == 0)}", len(actual)), loss))
    areas = (
        lift(macro_roc_auc(actual, chances), "roc_auc"),
        lift(macro_average_precision(actual, chances), "average_precision"),
    )
    smallest = visible(int(counts.min()))
    return Evidence((*(_averaged(area, smallest) for area in areas), loss))


def _averaged(found: Measurement, smallest: int) -> Measurement:
    return replace(found, smallest=smallest, method=f"mean of each class against the rest; {found.method}")


def _heat(subject: Subject, matrix: Ints) -> tuple[Heat, ...]:
    if len(matrix) > WIDEST_MATRIX:
        return ()
    right = percent(np.trace(matrix) / max(int(matrix.sum()), 1))
    classes = subject.card.classes
    alt = f"{right} of the rows are on the diagonal; {_commonest_error(matrix, classes)}."
    values = tuple(tuple(shown(int(cell)) for cell in cells) for cells in matrix)
    title = f"Confusion matrix: {right} of the predictions are right"
    return (Heat(title, alt, classes, classes, values, row_title="actual", column_title="predicted", unit="rows"),)


def _commonest_error(matrix: Ints, classes: tuple[str, ...]) -> str:
    """The pair of classes most often confused, in words; nothing is named that rests on 1 to 4 rows."""
    wrong = np.where(np.eye(len(matrix), dtype=np.bool_), 0, matrix)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(wrong)), matrix.shape))
    if not wrong.any():
        return "no row is off it"
    if hidden(int(wrong[row, column])):
        return "every other cell holds fewer than 5 rows"
    return f"most often {classes[row]} is taken for {classes[column]}"


def _binary_curves(subject: Subject) -> Evidence:
    positive, chance = _positive(subject), _chance(subject)
    if positive.all() or not positive.any() or hidden(int(min(positive.sum(), (~positive).sum()))):
        return Evidence(())
    name = subject.card.classes[subject.positive]
    return Evidence((), (_roc(positive, chance), _precision_recall(positive, chance), _sweep(positive, chance, name)))


def _roc(positive: Bools, chance: Floats) -> Curve:
    points = roc_points(positive, chance)
    found = true_positives_at(positive, chance, 0.1)
    title = f"ROC curve: {percent(found)} of the positives are found at no more than 10 % false alarms"
    lines = (line("model", points.x, points.y),)
    return Curve(title, f"{title}.", "false positive rate", "true positive rate", lines, diagonal=True)


def _precision_recall(positive: Bools, chance: Floats) -> Curve:
    points = precision_recall_points(positive, chance)
    base = float(positive.mean())
    half = precision_at(positive, chance, 0.5)
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
    return Curve(title, alt, "threshold", "share", (line("precision", thresholds, precision), *lines))


def sweep_counts(positive: Bools, chance: Floats, thresholds: Floats) -> Ints:
    """True negatives, false positives, false negatives, true positives at each threshold, shape (thresholds, 4)."""
    above = [len(part) - np.searchsorted(np.sort(part), thresholds) for part in (chance[~positive], chance[positive])]
    false, true = above
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return np.stack([negatives - false, false, positives - true, true], axis=1)
