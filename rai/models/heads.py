"""Decides how a model's outputs are to be read, and says why. A single logit is never mistaken for class 0."""

from dataclasses import dataclass

import numpy as np

from rai.card import Card, Head
from rai.errors import InputError
from rai.models.draft import Ending
from rai.subject import Floats

OVER = 1e-6
"""Rounding may carry a probability this far outside 0 to 1."""
SUM = 1e-4
"""Rows of probabilities sum to 1 within this."""
SINGLE = frozenset({Head.LOGIT, Head.PROBABILITY, Head.VALUE})


@dataclass(frozen=True)
class Choice:
    """A head and the reason for it."""

    head: Head
    reason: str


def choose(outputs: Floats, card: Card, ending: Ending | None, where: object) -> Choice:
    """Decide the head from the card's task, the outputs on some rows and the last operation, where it can be seen.

    A head named in the card wins, provided that the outputs can be read so. Raises `InputError` when the number of
    outputs, the card's classes and its task do not agree.
    """
    _require_classes(card, where)
    if card.head is not None:
        return _declared(outputs, card, ending, where)
    _require_width(outputs, card, where)
    _require_no_names(outputs, card, where)
    if card.task == "regression":
        return Choice(Head.VALUE, "the card says regression, and the model gives one number a row")
    return _single(outputs, ending) if outputs.shape[1] == 1 else _several(outputs, ending, where)


def require_sound(head: Head, scores: Floats, where: object) -> None:
    """Raise `InputError` when any row's answer is NaN or infinite, or cannot be read as the head says."""
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise InputError(
            f"the model answers {len(bad)} rows with NaN or infinity, the first is row {bad[0] + 1}", where=where
        )
    _require_range(head, scores, where)


def _require_classes(card: Card, where: object) -> None:
    count = len(card.classes)
    if card.task == "binary" and count not in {0, 2}:
        raise InputError(f"key classes lists {count} classes", where=where, expected="two classes for a binary task")
    if card.task == "multiclass" and count < 2:
        raise InputError("key classes lists too few classes", where=where, expected="every class the model tells apart")


def _require_width(outputs: Floats, card: Card, where: object) -> None:
    found, task = outputs.shape[1], card.task
    allowed = {"regression": (1,), "binary": (1, 2), "multiclass": (len(card.classes),)}[task]
    if found not in allowed:
        listed = f" with {len(card.classes)} classes" if task == "multiclass" else ""
        raise InputError(
            f"the model gives {found} numbers a row",
            where=where,
            expected=f"{' or '.join(map(str, allowed))}, as the card says {task}{listed}",
            do='mend task or classes in the card (from Python, head="value" means values to predict)',
        )


def _require_no_names(outputs: Floats, card: Card, where: object) -> None:
    """Classes numbered 1 and 2, or -1 and 1, would pass for logits."""
    names = {f"{number:g}" for number in np.unique(outputs)[:3]}
    if card.task == "binary" and not _within(outputs) and names <= set(card.classes):
        raise InputError(
            f"the model answers with the classes {' and '.join(card.classes)} themselves",
            where=where,
            expected="a probability or a logit of the positive class",
            do="hand in its probabilities, or its decisions as predictions without the model",
        )


def _single(outputs: Floats, ending: Ending | None) -> Choice:
    low, high = float(outputs.min()), float(outputs.max())
    span = f"on {len(outputs)} rows the single output runs from {low:.4g} to {high:.4g}"
    if not _within(outputs):
        doubt = "; none is below 0: if these are percentages, divide them by 100" if low >= 0 else ""
        return Choice(Head.LOGIT, f"{span}, outside 0 to 1, so it is read as a logit{doubt}")
    if ending == "sigmoid":
        return Choice(Head.PROBABILITY, f"the model ends in a sigmoid; {span}")
    if ending == "linear":
        return Choice(Head.LOGIT, f"the model ends in a weighted sum, which nothing keeps within 0 to 1; {span}")
    return Choice(
        Head.PROBABILITY,
        f"{span}, so it is read as a probability; no sigmoid was seen, so this is a guess: "
        'if the model gives logits, say so with head = "logit"',
    )


def _several(outputs: Floats, ending: Ending | None, where: object) -> Choice:
    sums = outputs.sum(axis=1)
    span = f"on {len(outputs)} rows the outputs sum to {float(sums.min()):.4g} up to {float(sums.max()):.4g}"
    if _are_probabilities(outputs):
        seen = "the model ends in a softmax; " if ending == "softmax" else ""
        return Choice(Head.PROBABILITIES, f"{seen}on {len(outputs)} rows the outputs are at least 0 and sum to 1")
    if ending == "sigmoid":
        raise InputError(
            "the model ends in one sigmoid for each class, so its outputs are no probabilities of exclusive classes",
            where=where,
            expected="logits, or probabilities that sum to 1",
            do='take the sigmoid away, or write head = "logits" in the card to have the outputs read so',
        )
    if ending == "log_softmax":
        return Choice(Head.LOGITS, "the model ends in a log-softmax, and softmax turns that into the probabilities")
    doubt = "" if ending == "linear" or not _within(outputs) else "; all lie within 0 to 1, so this is a guess"
    return Choice(Head.LOGITS, f"{span} and not to 1, so they are read as logits{doubt}")


def _declared(outputs: Floats, card: Card, ending: Ending | None, where: object) -> Choice:
    head = Head(str(card.head))
    if (head is Head.VALUE) != (card.task == "regression"):
        raise InputError(f"key head is {str(head)!r}, and task is {card.task!r}", where=where, do="mend either")
    if head in SINGLE and outputs.shape[1] != 1:
        raise _disagrees(head, f"the model gives {outputs.shape[1]} numbers a row", "one", where)
    if head not in SINGLE and outputs.shape[1] != max(2, len(card.classes)):
        count = max(2, len(card.classes))
        raise _disagrees(head, f"the model gives {outputs.shape[1]} numbers a row", f"{count}", where)
    if head in {Head.LOGIT, Head.PROBABILITY} and card.task == "multiclass":
        raise InputError(f"key head is {str(head)!r}, and task is 'multiclass'", where=where, do="mend either")
    _require_range(head, outputs, where)
    return Choice(head, "the card says so" + _doubt(head, ending))


def _require_range(head: Head, outputs: Floats, where: object) -> None:
    if head is Head.PROBABILITY and not _within(outputs):
        what = f"the outputs run from {float(outputs.min()):.4g} to {float(outputs.max()):.4g}"
        raise _disagrees(head, what, "numbers from 0 to 1", where)
    if head is Head.PROBABILITIES and not _are_probabilities(outputs):
        raise _disagrees(head, "the outputs are not all at least 0 with rows that sum to 1", "probabilities", where)


def _disagrees(head: Head, what: str, expected: str, where: object) -> InputError:
    return InputError(
        f"key head is {str(head)!r}, and {what}", where=where, expected=expected, do="mend head in the card"
    )


def _doubt(head: Head, ending: Ending | None) -> str:
    twice = {(Head.LOGIT, "sigmoid"): "a sigmoid", (Head.LOGITS, "softmax"): "a softmax", (Head.LOGITS, "sigmoid"): ""}
    named = twice.get((head, ending or "other"))
    return f"; yet the model ends in {named or 'a sigmoid'}, which is then applied twice" if named is not None else ""


def _within(outputs: Floats) -> bool:
    return bool(outputs.min() >= -OVER and outputs.max() <= 1 + OVER)


def _are_probabilities(outputs: Floats) -> bool:
    sums = outputs.sum(axis=1, dtype=np.float64)
    return _within(outputs) and bool(np.all(np.abs(sums - 1) <= SUM))
