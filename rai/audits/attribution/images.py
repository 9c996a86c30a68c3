"""Where in the picture the reasons lie: mean values of patches over mean images."""

from collections.abc import Iterator

import numpy as np

from rai.audits.attribution.reasons import Explained
from rai.evidence import SMALLEST_CELL, Exhibit, Overlay
from rai.subject import Bools, Data, Floats, Subject

LARGEST = 64
MOST_CLASSES = 6


def overlays(subject: Subject, found: Explained) -> tuple[Exhibit, ...]:
    """One picture for each predicted class, and one of the wrong decisions, each of at least five images."""
    rows, chosen = found.reasons.rows, list(_kinds(subject, found))
    spoken = found.reasons.scale if subject.card.task != "multiclass" else "score of the predicted class"
    return tuple(
        Overlay(
            f"{words} ({int(among.sum()):,} explained images): what adds to the {spoken}",
            f"Mean of what each patch added, over the mean of the {int(among.sum()):,} images. Made of averages; no "
            "single image is shown.",
            picture=_grey(np.asarray(subject.data.inputs[rows[among]], dtype=np.float64)),
            values=_grid(found.question.data, found.reasons.values[among].mean(axis=0)),
            unit=found.reasons.scale,
        )
        for words, among in chosen
        if among.sum() >= SMALLEST_CELL
    )


def _kinds(subject: Subject, found: Explained) -> Iterator[tuple[str, Bools]]:
    """Kinds of explained images in words, and which they are."""
    rows = found.reasons.rows
    if subject.card.task == "regression":
        yield "All images", np.ones(len(rows), dtype=np.bool_)
        return
    predicted = np.asarray(subject.predicted[rows])
    for place, name in list(enumerate(subject.card.classes))[:MOST_CLASSES]:
        yield f"Images taken for {name}", predicted == place
    if subject.data.labels is not None:
        yield "Wrong decisions", predicted != np.asarray(subject.data.labels[rows])


def _grey(images: Floats) -> tuple[tuple[int, ...], ...]:
    """The mean image (at most 64 a side) as grey levels: its darkest place 0, its lightest 255."""
    mean = images.mean(axis=(0, 1))
    step = -(-max(mean.shape) // LARGEST)
    tall, wide = (side // step for side in mean.shape)
    blocks = mean[: tall * step, : wide * step].reshape(tall, step, wide, step)
    calm = blocks.mean(axis=(1, 3))
    span = float(np.ptp(calm)) or 1.0
    return tuple(tuple(int(level) for level in row) for row in np.rint(255 * (calm - calm.min()) / span))


def _grid(data: Data, values: Floats) -> tuple[tuple[float, ...], ...]:
    """Values of the patches as they lie in the picture."""
    wide = data.inputs.shape[3]
    corners = [min(each.inputs) % (data.inputs.shape[2] * wide) for each in data.players]
    tops, lefts = (np.unique(each, return_inverse=True)[1] for each in np.divmod(np.array(corners), wide))
    grid = np.zeros((int(tops.max()) + 1, int(lefts.max()) + 1))
    grid[tops, lefts] = values
    return tuple(tuple(float(value) for value in row) for row in grid)
