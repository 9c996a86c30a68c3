"""A first model card, drafted from a model and its test rows; every guess says what it rests on."""

import os
from collections.abc import Iterator
from pathlib import Path

from rai.card import Head, TextInput
from rai.data.cells import Cells
from rai.data.groups import group, is_numeric, round_cuts
from rai.data.layouts import choose
from rai.data.limits import MOST_NUMERIC_LEVELS
from rai.draft.columns import columns
from rai.draft.finds import Answer, Finds, Tensors, answer_of, finds_of, tensors_of
from rai.draft.inputs import Text, input_lines, network_lines, text_lines, text_of
from rai.draft.toml import entry, quoted
from rai.errors import InputError
from rai.files import require_file

__all__ = ["draft", "entry", "quoted"]

TITLE = '# A first card, drafted from the files. Check every line marked "guess" and answer the empty ones.'
OTHERS = "tanh, gelu, silu, elu, leaky_relu, sigmoid"
SEEN = {
    "norm": 'read off the tensors; it stands before the activation unless norm_place = "after" follows',
    "norm_place": "the numbers in the tensors' names leave room for an activation before it and none behind",
    "bias": "no layer has one",
}


def draft(
    model: Path, data: Path, *, target: str, sensitive: tuple[str, ...] = (), reference: Path | None = None
) -> str:
    """Return the text of a `model.toml` that `rai audit` accepts once the lines marked "to be filled in" are.

    `data` is a table, a folder of images with its labels.csv, an .npz of images or sequences, a long table of sequences
    or a table with a column of texts: told by looking into it. Each guess carries a comment saying what it rests on;
    what no file can tell stays an empty text. Raises `InputError` for data that cannot be audited: no such column, one
    class, one group.
    """
    if not model.is_dir():
        require_file(model, do="give the path of a model file")
    files = {"test": data} | ({"reference": reference} if reference else {})
    finds = finds_of(tuple(files.values()), target, tuple(dict.fromkeys(sensitive)))
    tensors = tensors_of(model)
    answer = answer_of(finds.tables[0].cells(target), tensors.size("outputs"))
    folder = Path(os.path.abspath(model)).parent  # noqa: PTH100 - resolve() would follow links away from the card
    paths = {key: Path(os.path.relpath(path, folder)).as_posix() for key, path in files.items()}
    text = text_of(finds, tensors, model)
    parts = [_about(model, answer, tensors), _named(text, finds, answer, tensors), _files(paths, finds)]
    parts.append(_inputs(text, finds, tensors, data))
    return "\n".join(line for part in parts for line in (*part, ""))


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


def _named(text: Text | None, finds: Finds, answer: Answer, tensors: Tensors) -> Iterator[str]:
    """The network: the perceptron that the tensors fit, else what is to be filled in for rows of this kind."""
    kind = TextInput if text else type(finds.given) if finds.given else None
    if kind is None or tensors.network is not None:
        return _network(tensors)
    return network_lines(kind, finds.given, answer, tensors)


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


def _inputs(text: Text | None, finds: Finds, tensors: Tensors, data: Path) -> Iterator[str]:
    """What each row is, or the columns of a table."""
    if text is not None:
        return text_lines(text, finds, tensors)
    if finds.given is not None:
        return input_lines(finds.given, finds)
    choice = choose(finds.profiles, finds.sensitive, tensors.size("inputs"))
    if choice is None:
        raise InputError("has no column that a model could take", where=data, expected="numbers or categories")
    return columns(choice, finds, tensors)
