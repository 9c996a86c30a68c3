"""What each row is where it is no row of a table: the [input] of a drafted card, and the network to name for it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rai.card import LARGEST_SIDE, ImageInput, SequenceInput, TextInput
from rai.data.looks import Given, longest, marks, prose
from rai.draft.finds import Answer, Finds, Tensors
from rai.draft.toml import Value, blank, entry

VOCABULARIES = ("tokenizer.json", "vocabulary.txt", "vocab.txt", "words.txt")
USUAL_LENGTH, MOST_LENGTH = 128, 512
USUAL_SIZE = (224, 224)
PLACES = ("positions", "position_embeddings.weight")
NETWORKS = {ImageInput: '"cnn" or "resnet"', SequenceInput: '"recurrent" or "transformer"'}
MARKED = {"pad": "fills up short texts", "unknown": "stands for other words", "mask": "stands for a word left out"}


@dataclass(frozen=True)
class Text:
    """A column of texts, the vocabulary file beside the model (None where none lies there), and the card's folder."""

    column: str
    vocabulary: Path | None
    folder: Path


def text_of(finds: Finds, tensors: Tensors, model: Path) -> Text | None:
    """The texts that a model reads in a table, None where it seems to read the table's columns.

    It reads texts where a column holds prose, its tensors are no network for columns, and either a vocabulary lies
    beside it or no other column could be an input.
    """
    if finds.given is not None or tensors.network is not None:
        return None
    column = prose(finds.tables[0], (finds.target, *finds.sensitive))
    found = _vocabulary(model)
    apart = {column, *finds.sensitive}
    others = [each for each in finds.profiles if not each.unusable and each.column.name not in apart]
    return Text(column, found, _folder(model)) if column is not None and (found or not others) else None


def text_lines(text: Text, finds: Finds, tensors: Tensors) -> Iterator[str]:
    """The [input] of texts; a vocabulary that was not found has to be filled in."""
    yield "[input]"
    yield entry("kind", "text", "a column holds texts of several words, hardly any twice")
    yield entry("column", text.column, "the column of the longest texts")
    if text.vocabulary is None:
        yield blank("vocabulary", "a file beside the card, one token a line, or the tokenizer.json of a tokenizer")
    else:
        named = Path(os.path.relpath(text.vocabulary, text.folder)).as_posix()
        yield entry("vocabulary", named, "it lies with the model, and must be the one of training")
    yield _length(text, finds, tensors)
    for key, name in marks(text.vocabulary).items() if text.vocabulary else ():
        wanted = f"the token of the vocabulary that {MARKED[key]}"
        yield entry(key, name, f"the usual name of {wanted}") if name else blank(key, wanted)
    if text.vocabulary is None or marks(text.vocabulary):
        yield entry("lowercase", value=True, guess="the usual way to cut texts")


def input_lines(given: Given, finds: Finds) -> Iterator[str]:
    """The [input] of images or sequences."""
    yield "[input]"
    yield from _image(given) if isinstance(given, ImageInput) else _sequence(given, finds)


def network_lines(
    kind: type[Given | TextInput], given: Given | None, answer: Answer, tensors: Tensors
) -> Iterator[str]:
    """The network that bare tensors belong to, as far as files tell, to be filled in; of another file its reason."""
    if not tensors.shapes:
        yield f"# [network] is left out: {tensors.problem}"
        return
    yield "[network]"
    if kind is TextInput:
        yield entry("kind", "transformer", "the one network of rai that reads texts")
    else:
        yield blank("kind", f"{NETWORKS[kind]}, whichever the tensors belong to")
    yield ""
    yield f"[network.arguments]  # to be filled in: whatever else the network was made with{_also(given)}"
    for key, value, why in _arguments(kind, given, answer, tensors):
        yield entry(key, value, why)


def _also(given: Given | None) -> str:
    return f"; a cnn needs size = [{given.size[0]}, {given.size[1]}]" if isinstance(given, ImageInput) else ""


def _arguments(
    kind: type[Given | TextInput], given: Given | None, answer: Answer, tensors: Tensors
) -> Iterator[tuple[str, Value, str]]:
    if isinstance(given, ImageInput):
        yield "inputs", given.channels, "one for each channel"
    elif isinstance(given, SequenceInput):
        yield "inputs", len(given.features), "one for each feature"
    elif kind is TextInput:
        embedded = [shape[0] for name, shape in tensors.shapes.items() if "embedding" in name and len(shape) == 2]
        yield from [("vocabulary", embedded[0], "the rows of the first embedding")] if embedded else ()
    last = list(tensors.shapes.values())[-1]
    usual = len(answer.classes) if answer.task == "multiclass" else 1
    yield "outputs", last[0] if last else usual, "the rows of the last tensor" if last else answer.why


def _image(given: ImageInput) -> Iterator[str]:
    yield entry("kind", "image", "what the file holds")
    if max(given.size) <= LARGEST_SIDE:
        yield entry("size", given.size, "height and width of the images, of most of them where they differ")
    else:
        seen = " × ".join(map(str, given.size))
        yield f"{entry('size', USUAL_SIZE)}  # to be filled in: what the model takes; the images have {seen}"
    yield entry("channels", given.channels, "3 for colour, 1 for gray")
    yield "# guess: mean and scale are left out, so the model takes values from 0 to 1; if training standardised, write"
    yield "# mean and scale here, one number for each channel"
    yield entry("patches", given.patches, "parts a side, each a feature in explanations")


def _sequence(given: SequenceInput, finds: Finds) -> Iterator[str]:
    yield entry("kind", "sequence", "what the file holds")
    numbered = given.features == tuple(f"feature {place + 1}" for place in range(len(given.features)))
    why = (
        "the array holds no names; write your own, in its order" if numbered else "the file's other columns of numbers"
    )
    yield entry("features", given.features, why)
    yield entry("steps", given.steps, f"the most in {'either file' if len(finds.tables) > 1 else 'the file'}")
    yield "# guess: mean and scale are left out, so the model takes raw numbers; if training standardised, write mean"
    yield "# and scale here, one number for each feature"
    yield entry("segments", given.segments, "parts of the time, each of each feature a feature in explanations")


def _length(text: Text, finds: Finds, tensors: Tensors) -> str:
    """As many tokens as the network has places, else as the longest text has words, else the usual number."""
    places = [s[0] for name, s in tensors.shapes.items() if name.endswith(PLACES) and len(s) == 2]
    if places:
        return entry("length", places[0], "the places of the network")
    if text.vocabulary is None or not marks(text.vocabulary):
        return entry("length", USUAL_LENGTH, "a usual number of tokens; longer texts are cut")
    words = max(longest(table, text.column) for table in finds.tables if text.column in table.columns)
    return entry("length", min(words, MOST_LENGTH), f"the longest text has {words:,} words; longer ones are cut")


def _vocabulary(model: Path) -> Path | None:
    folders = (model,) if model.is_dir() else (model.parent,)
    found = (folder / name for folder in folders for name in VOCABULARIES)
    return next((path for path in found if path.is_file()), None)


def _folder(model: Path) -> Path:
    return Path(os.path.abspath(model)).parent  # noqa: PTH100 - resolve() would follow links away from the card
