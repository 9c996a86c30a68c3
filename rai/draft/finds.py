"""What the files tell: the rows and what each of them is, the task and its classes, the network that tensors fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rai import models
from rai.card import ImageInput, Network, SequenceInput, Task
from rai.data.cells import Cells, Coded, Raw, show
from rai.data.groups import is_numeric
from rai.data.labels import class_labels, targets
from rai.data.limits import MOST_NUMERIC_LEVELS, MOST_TEXT_CLASSES
from rai.data.looks import Given, look
from rai.data.profiles import Profile, profile, usual_markers
from rai.errors import InputError

KINDS = {ImageInput: "images", SequenceInput: "sequences", type(None): "a table"}


@dataclass(frozen=True)
class Answer:
    """What the model is to tell: the task, its classes, and why that is believed."""

    task: Task
    classes: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Tensors:
    """The network a model file fits, or the reason that none could be told; `shapes` of bare tensors by name."""

    network: Network | None
    problem: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def size(self, key: str) -> int | None:
        """The number of its `inputs` or `outputs`, None where no network is known."""
        found = self.network.arguments.get(key) if self.network else None
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class Finds:
    """All that the files tell: test rows first, then the reference, and how each column of a table looks.

    `given` says what each row is where it is no row of a table; `tables` then hold labels and groups, row for row.
    """

    tables: tuple[Raw, ...]
    target: str
    sensitive: tuple[str, ...]
    profiles: tuple[Profile, ...]
    given: Given | None = None


def finds_of(paths: Sequence[Path], target: str, sensitive: tuple[str, ...]) -> Finds:
    """Look into the test file and, where there is one, the reference after it; raise `InputError` for what is wrong."""
    if target in sensitive:
        raise InputError(f"column {show(target)} is both --target and --sensitive", do="name another sensitive column")
    wanted = {**dict.fromkeys(sensitive, "--sensitive"), target: "--target"}
    seen = [look(path, wanted) for path in paths]
    kinds = [KINDS[type(each.given)] for each in seen]
    if len(set(kinds)) > 1:
        raise InputError(f"holds {kinds[1]}", where=paths[1], expected=f"{kinds[0]} as in {paths[0]}")
    markers = usual_markers(seen[0].beside)
    found = tuple(replace(each.beside, markers=markers) for each in seen)
    if seen[0].given is not None:
        return Finds(found, target, sensitive, (), _together([each.given for each in seen]))
    profiles = tuple(profile(found, name) for name in found[0].columns if name != target)
    return Finds(found, target, sensitive, profiles)


def _together(given: Sequence[Given | None]) -> Given | None:
    """The test file's, with as many steps as the longest sequence of either file."""
    first = given[0]
    if not isinstance(first, SequenceInput):
        return first
    return replace(first, steps=max(each.steps for each in given if isinstance(each, SequenceInput)))


def tensors_of(model: Path) -> Tensors:
    """Read the shapes of a model file's tensors, where it is a file of bare tensors."""
    try:
        shapes = models.tensor_shapes(model)
    except InputError as error:
        return Tensors(None, str(error))
    network = models.plain_mlp(shapes)
    return Tensors(network, "" if network else "its tensors fit no plain multilayer perceptron", shapes)


def answer_of(cells: Cells, outputs: int | None) -> Answer:
    """The task and the classes that a column of labels stands for; raise `InputError` where it can be neither."""
    coded = cells.coded.stripped().used()
    count, label = len(coded.names), f"column {show(cells.name)} holds"
    if _is_amount(coded, outputs):
        targets(cells)
        return Answer("regression", (), f"{label} {count:,} distinct numbers")
    if count > MOST_TEXT_CLASSES:
        cells.complain(f"holds {count:,} distinct texts", expected=f"numbers, or at most {MOST_TEXT_CLASSES} classes")
    classes = tuple(sorted(coded.names, key=float) if is_numeric(coded) else sorted(coded.names))
    class_labels(cells, classes, varied=True)
    return Answer("binary" if count == 2 else "multiclass", classes, f"{label} {count} distinct values")


def _is_amount(coded: Coded, outputs: int | None) -> bool:
    """Whether the target is a number to predict: many values, or broken ones, or three and more for one output."""
    if not is_numeric(coded):
        return False
    values = np.array([float(name) for name in coded.names])
    many = len(values) > MOST_NUMERIC_LEVELS or (outputs == 1 and len(values) > 2)
    return many or bool(np.any(values != np.floor(values)))
