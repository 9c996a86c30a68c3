"""Tries a drafted card on the test rows, so that a wrong guess shows before anybody trusts a report."""

from pathlib import Path
from types import MappingProxyType

import numpy as np

from rai.errors import InputError
from rai.intake import Choices, from_files
from rai.subject import Subject

FIRST = MappingProxyType(
    {
        "table": "mean and scale, activation, positive, and which columns in which order",
        "image": "mean and scale, channels, positive, and the arguments of the network",
        "sequence": "mean and scale, positive, which features in which order, and the arguments of the network",
        "text": "positive, the order of the vocabulary, lowercase, and the arguments of the network",
    }
)


def rehearse(model: Path) -> str:
    """Say in one line how the model fares with the card beside it; nothing is written and no code in the file runs.

    For classes: how often it is right, beside always naming the most frequent class. For numbers: the root mean square
    error, beside always answering the mean. Where the model is not clearly better, the line says what to check first.
    """
    try:
        subject = from_files(model, Choices()).subject
    except InputError as error:
        return f"rai audit cannot use this card yet: {error}"
    said, useful = _numbers(subject) if subject.card.task == "regression" else _classes(subject)
    rows = f"tried on the {subject.data.rows:,} test rows, the model {said}"
    first = FIRST[subject.data.kind]
    return rows if useful else f"{rows}; it is not clearly better than that, so a guess may be wrong: check {first}"


def _classes(subject: Subject) -> tuple[str, bool]:
    labels, names = np.asarray(subject.data.labels), subject.card.classes
    counts = np.bincount(labels, minlength=len(names))
    right, usual = float(np.mean(subject.predicted == labels)), float(counts.max() / len(labels))
    said = f"is right for {right:.1%} of them, and always saying {names[int(counts.argmax())]!r} for {usual:.1%}"
    return said, right > usual + np.sqrt(usual * (1 - usual) / len(labels))  # one standard error


def _numbers(subject: Subject) -> tuple[str, bool]:
    values = np.asarray(subject.data.labels, dtype=np.float64)
    error, spread = float(np.sqrt(np.mean((subject.predicted - values) ** 2))), float(values.std())
    return (
        f"errs by {error:.4g} (root mean square), and always answering the mean by {spread:.4g}",
        error < 0.99 * spread,
    )
