"""A first model card, drafted from a model and a test table; every guess says what it rests on."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rai.card import Column, Head, Network, Task
from rai.data.cells import Cells, Coded, Raw, show
from rai.data.groups import group, is_numeric, round_cuts
from rai.data.labels import class_labels, targets
from rai.data.layouts import Choice, choose
from rai.data.limits import MOST_NUMERIC_LEVELS, MOST_TEXT_CLASSES
from rai.data.profiles import Profile, profile, usual_markers
from rai.data.tables import lacks, read
from rai.errors import InputError
from rai.files import require_file

TITLE = '# A first card, drafted from the files. Check every line marked "guess" and answer the empty ones.'
MOST_NAMED = 4
OTHERS = "tanh, gelu, silu, elu, leaky_relu, sigmoid"
RAW_NUMBERS = "the model takes raw numbers; if training standardised, write its mean and scale here"
SEEN = {
    "norm": 'read off the tensors; it stands before the activation unless norm_place = "after" follows',
    "norm_place": "the numbers in the tensors' names leave room for an activation before it and none behind",
    "bias": "no layer has one",
}
Value = str | bool | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """What the model is to tell: the task, its classes, and why that is believed."""

    task: Task
    classes: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Tensors:
    """The network a model file fits, or the reason that none could be told."""

    network: Network | None
    problem: str = ""

    def size(self, key: str) -> int | None:
        """The number of its `inputs` or `outputs`, None where no network is known."""
        found = self.network.arguments.get(key) if self.network else None
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class Finds:
    """All that the files tell: test rows first, then the reference, and how each column looks."""

    tables: tuple[Raw, ...]
    target: str
    sensitive: tuple[str, ...]
    profiles: tuple[Profile, ...]


def draft(
    model: Path, data: Path, *, target: str, sensitive: tuple[str, ...] = (), reference: Path | None = None
) -> str:
    """Return the text of a `model.toml` that `rai audit` accepts as it stands.

    Each guess carries a comment saying what it rests on; what no file can tell stays an empty text. Raises
    `InputError` for a table that cannot be audited: no such column, one class, one group.
    """
    require_file(model, do="give the path of a model file")
    finds = _finds(data, reference, target, tuple(dict.fromkeys(sensitive)))
    tensors = _tensors(model)
    answer = _answer(finds.tables[0].cells(target), tensors.size("outputs"))
    choice = choose(finds.profiles, finds.sensitive, tensors.size("inputs"))
    if choice is None:
        raise InputError("has no column that a model could take", where=data, expected="numbers or categories")
    folder = Path(os.path.abspath(model)).parent  # noqa: PTH100 - resolve() would follow links away from the card
    files = {"test": data} | ({"reference": reference} if reference else {})
    paths = {key: Path(os.path.relpath(path, folder)).as_posix() for key, path in files.items()}
    parts = [_about(model, answer, tensors), _network(tensors), _files(paths, finds), _columns(choice, finds, tensors)]
    return "\n".join(line for part in parts for line in (*part, ""))


def _finds(data: Path, reference: Path | None, target: str, sensitive: tuple[str, ...]) -> Finds:
    found = [read(path) for path in (data, reference) if path is not None]
    for table in found:
        for name, asks in {**dict.fromkeys(sensitive, "--sensitive"), target: "--target"}.items():
            if name not in table.columns:
                raise lacks(name, asks, tuple(table.columns), table.where)
    if target in sensitive:
        raise InputError(f"column {show(target)} is both --target and --sensitive", do="name another sensitive column")
    markers = usual_markers(found[0])
    tables = tuple(replace(table, markers=markers) for table in found)
    profiles = tuple(profile(tables, name) for name in tables[0].columns if name != target)
    return Finds(tables, target, sensitive, profiles)


def _tensors(model: Path) -> Tensors:
    from rai import models

    try:
        network = models.plain_mlp(models.tensor_shapes(model))
    except InputError as error:
        return Tensors(None, str(error))
    return Tensors(network, "" if network else "its tensors fit no plain multilayer perceptron")


def _answer(cells: Cells, outputs: int | None) -> Answer:
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


def _about(model: Path, answer: Answer, tensors: Tensors) -> Iterator[str]:
    yield TITLE
    yield ""
    yield entry("name", model.stem, "the file's name")
    for key, question in (
        ("version", "which version of the model this is"),
        ("purpose", "what the model decides, and for whom"),
        ("owner", "who answers for the model"),
        ("intended_use", "where it may be used, and where not"),
    ):
        yield f'{key} = ""  # to be answered: {question}'
    yield entry("task", answer.task, answer.why)
    if answer.classes:
        yield entry("classes", answer.classes, "the distinct values of the target, sorted")
    if answer.task == "binary":
        yield entry("positive", answer.classes[-1], "the last class in sorted order")
        yield entry("threshold", 0.5, "the usual threshold")
    yield _head(answer, tensors.size("outputs"))


def _head(answer: Answer, outputs: int | None) -> str:
    if outputs is None:
        return "# head is left out: rai tells it from the model's outputs when it loads it"
    wide = {len(answer.classes): Head.LOGITS} if answer.classes else {}
    one = {"binary": {1: Head.LOGIT}, "regression": {1: Head.VALUE}}.get(answer.task, {})
    head = (wide | one).get(outputs)
    numbers = "1 number" if outputs == 1 else f"{outputs} numbers"
    if head is None:
        return f"# head is left out: the network gives {numbers} a row, the target has {len(answer.classes)} classes"
    return entry("head", str(head), f"the network gives {numbers} a row")


def _network(tensors: Tensors) -> Iterator[str]:
    if tensors.network is None:
        yield f"# [network] is left out: {tensors.problem}"
        return
    yield "[network]"
    yield entry("kind", tensors.network.kind, "the shapes of the tensors fit it")
    yield ""
    yield "[network.arguments]"
    for key, value in tensors.network.arguments.items():
        yield entry(key, value, SEEN.get(key, "read off the shapes of the tensors"))
    if "activation" not in tensors.network.arguments:
        yield entry("activation", "relu", f"no tensor tells the activation; relu is the usual one, others: {OTHERS}")


def _files(paths: dict[str, str], finds: Finds) -> Iterator[str]:
    yield "[data]"
    for key, path in paths.items():
        yield entry(key, path)
    yield entry("target", finds.target)
    yield entry("sensitive", finds.sensitive)
    markers = finds.tables[0].markers
    if markers:
        yield entry("missing_values", markers, "the only texts among the numbers of a column")
    cuts = {name: _cuts(finds.tables[0].cells(name)) for name in finds.sensitive}
    if any(cuts.values()):
        yield ""
        yield "[data.bands]"
    for name in (name for name in cuts if cuts[name]):
        yield entry(quoted(name), cuts[name], "round numbers that cut the rows into about three equal parts")


def _cuts(cells: Cells) -> tuple[float, ...]:
    """Bands for a sensitive number of many values, none for a column of few levels."""
    coded = cells.coded.stripped().used()
    many = is_numeric(coded) and len(coded.names) > MOST_NUMERIC_LEVELS
    cuts = round_cuts(cells.numbers[~cells.missing]) if many else ()
    group(cells, cuts or None, varied=True)
    return cuts


def _columns(choice: Choice, finds: Finds, tensors: Tensors) -> Iterator[str]:
    yield f"# guess: {_fit(choice, tensors)}"
    yield "# guess: the inputs stand in the order of the file's columns"
    for each in finds.profiles:
        if each.unusable:
            yield f"# guess: column {show(each.column.name)} is no input ({each.unusable})"
    known = {each.column.name: each for each in finds.profiles}
    for column in choice.layout.columns:
        yield ""
        yield from _column(column, known[column.name], finds)


def _fit(choice: Choice, tensors: Tensors) -> str:
    width, wanted, says = choice.layout.width, tensors.size("inputs"), choice.layout.says
    if wanted is None:
        return f"{says}: {width} inputs, which nothing confirms because no network is known"
    if not choice.fits:
        seen = "" if wanted < width else "; categories that only training saw? draft again with the training file"
        return f"{says}: {width} inputs, but the network takes {wanted}, so the widths disagree: mend this list{seen}"
    also = f"; of that width too: {'; or '.join(choice.others[:MOST_NAMED])}" if choice.others else ""
    return f"{says}: {width} inputs, as many as the network takes{also}"


def _column(column: Column, known: Profile, finds: Finds) -> Iterator[str]:
    yield "[[columns]]"
    yield entry("name", column.name)
    if column.kind == "number":
        yield entry("kind", "number", "every cell is a number")
        measured = _measured(known) if len(finds.tables) > 1 else ""
        yield entry("mean", 0.0, RAW_NUMBERS + measured)
        yield entry("scale", 1.0, "as for the mean")
    else:
        yield entry("kind", "category", "some cells are text")
        yield entry("categories", column.categories, "the distinct texts of the file, sorted")
    if column.encoding == "ordinal":
        yield entry("encoding", "ordinal", "the width above")
    if column.drop is not None:
        yield entry("drop", column.drop, "the width above")
    if column.fill is not None:
        usual = "the median" if column.kind == "number" else "the most frequent category"
        yield entry(
            "fill", column.fill, f"{usual}; {known.gaps:,} {'cell is' if known.gaps == 1 else 'cells are'} missing"
        )


def _measured(known: Profile) -> str:
    return f" (reference rows: mean {known.mean:.6g}, standard deviation {known.sd:.6g})"


def entry(key: str, value: Value, guess: str = "") -> str:
    """One line of TOML, with what the guess rests on where it is one."""
    return f"{key} = {_toml(value)}" + (f"  # guess: {guess}" if guess else "")


def quoted(text: str) -> str:
    """Write a TOML basic string; whatever is not plainly printable is written as a code."""
    return '"' + "".join(_escaped(sign) for sign in text) + '"'


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def _toml(value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{_listed(value)}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(_toml(value) for value in values)
