"""The column to be predicted becomes class positions or values."""

from collections.abc import Sequence

import numpy as np

from rai.card import Task
from rai.data.cells import Cells, Float64, Int64, listed, positions, show
from rai.data.columns import CARD
from rai.errors import InputError
from rai.subject import UNKNOWN

NO_LABEL = "the label is missing"
DROP_ROWS = "leave such rows out, or label them"


def require_classes(task: Task, classes: Sequence[str]) -> None:
    """Refuse a list of classes that does not go with the task: two for binary, at least two otherwise."""
    if task == "regression":
        return
    if len(set(classes)) < len(classes):
        raise InputError(f"classes {listed(classes)} name a class twice", where=CARD, expected="distinct names")
    right = len(classes) == 2 if task == "binary" else len(classes) >= 2
    if not right:
        wants = "exactly two" if task == "binary" else "at least two"
        names = listed(classes) if classes else "none"
        raise InputError(f'task is "{task}" but classes names {names}', where=CARD, expected=f"{wants} class names")


def targets(cells: Cells) -> Float64:
    """Return the values a regression model should give, float64; every row must have one."""
    cells.refuse(cells.missing, NO_LABEL, do=DROP_ROWS, cell=False)
    return cells.numbers


def names_classes(cells: Cells, classes: Sequence[str], task: Task) -> bool:
    """Whether predictions are decisions, named or numbered like the classes, rather than scores.

    Text always is. Of several classes a single column can only be one; of two it is when it holds nothing else.
    """
    if cells.textual or task == "multiclass":
        return True
    coded = cells.coded.used()
    return bool(len(coded.names)) and bool(np.all(positions(coded, classes, loose=True) != UNKNOWN))


def class_labels(cells: Cells, classes: Sequence[str], *, varied: bool) -> Int64:
    """Position of every row's label among `classes`, int64; with `varied`, a single class is refused.

    Labels are compared as text without spaces around them. A label that is not found so may match as a number: 1, 1.0
    and True are the class "1" (and the class "True").
    """
    cells.refuse(cells.missing, NO_LABEL, do=DROP_ROWS, cell=False)
    coded = cells.coded.stripped()
    cells.refuse(coded.codes == UNKNOWN, NO_LABEL, do=DROP_ROWS, cell=False)
    found = positions(coded, [name.strip() for name in classes], loose=True)[coded.codes]
    cells.refuse(found == UNKNOWN, "is not among the classes", expected=listed(classes), do="mend it, or the card")
    if varied:
        _require_varied(cells, found, classes)
    return found


def _require_varied(cells: Cells, found: Int64, classes: Sequence[str]) -> None:
    if np.all(found == found[0]):
        cells.complain(
            f"holds one class only: every label is {show(classes[found[0]])}",
            expected="rows of at least two classes",
            do="name a test set with both outcomes",
        )
